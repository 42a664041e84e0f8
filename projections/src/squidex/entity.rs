//! The common part of all aggregates: their version, author and times, and the snapshot elements for
//! them.
//!
//! Invariant: an event that changes nothing leaves no trace; one that changes something raises the
//! version by one and sets the time and the author of the last change.

use super::id::{DomainId, EMPTY_ID, RefToken};
use super::packed::Packed;
use super::time;
use crate::{DocumentWriter, Event, FoldError};

/// Positions of the common packed values of a state; those of its own follow. Those that change often come
/// last.
const ID: usize = 0;
/// `id,name`
pub(super) const APP_ID: usize = 1;
const CREATED_BY: usize = 2;
/// Author of the last change, unless that is the creator.
const MODIFIED_BY: usize = 3;
/// Position of the first packed value of its own.
pub(super) const OWN: usize = 4;

/// The common part of a state, with all its packed values: `N` of them.
#[derive(Debug, Default)]
pub(super) struct Entity<const N: usize> {
    pub(super) packed: Packed<N>,
    /// Number of events that changed something; the version is one less.
    pub(super) effective_events: i64,
    pub(super) is_deleted: bool,
    /// Whether somebody else than the creator made the last change.
    by_other: bool,
    /// `None` is the Unix epoch, which Squidex takes as not set.
    created_ms: Option<i64>,
    modified_ms: i64,
}

impl<const N: usize> Entity<N> {
    /// Becomes the common part of an object that an event creates, with packed values of its own: of the
    /// former one only the version is kept.
    pub(super) fn create<const OWN_VALUES: usize>(
        &mut self,
        id: &DomainId<'_>,
        app: Option<&[u8]>,
        own: [Option<&[u8]>; OWN_VALUES],
    ) {
        let mut values = [id.as_bytes(), app, None, None].into_iter().chain(own);
        self.packed.set_all(std::array::from_fn(|_| values.next().flatten()));
        let packed = std::mem::take(&mut self.packed);
        *self = Self { packed, effective_events: self.effective_events, ..Self::default() };
    }

    /// Records that an event changed the object.
    pub(super) fn changed(&mut self, event: &Event<'_>, actor: Option<RefToken<'_>>) {
        let ms = event.header_str("Timestamp").and_then(time::parse_ms);
        self.effective_events += 1;
        self.created_ms = self.created_ms.or(ms);
        self.modified_ms = ms.unwrap_or(0);
        let actor = actor.as_ref().map(|token| token.0.as_bytes());
        let created_by = self.packed.get(CREATED_BY);
        self.by_other = created_by.is_some() && created_by != actor;
        if self.by_other {
            self.packed.set(MODIFIED_BY, actor);
        } else {
            self.packed.set(CREATED_BY, actor);
        }
    }

    /// The common elements of the snapshot; `None` if no event changed anything, so that there is no
    /// object.
    ///
    /// # Errors
    /// [`FoldError::Missing`] if no event set the app, without which an object can't be stored.
    pub(super) fn finished(&self) -> Result<Option<Common<'_, N>>, FoldError> {
        if self.effective_events == 0 {
            return Ok(None);
        }
        let app_id = self.packed.get(APP_ID).ok_or(FoldError::Missing("appId"))?;
        Ok(Some(Common { entity: self, app: parts(app_id) }))
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.packed.heap_bytes()
    }
}

/// Id and name, of `id,name`.
pub(super) fn parts(named_id: &[u8]) -> (&[u8], &[u8]) {
    let comma = named_id.iter().position(|byte| *byte == b',').unwrap_or(named_id.len());
    (named_id.get(..comma).unwrap_or_default(), named_id.get(comma + 1..).unwrap_or_default())
}

/// The elements that every snapshot has.
pub(super) struct Common<'a, const N: usize> {
    entity: &'a Entity<N>,
    /// Its id and its name.
    app: (&'a [u8], &'a [u8]),
}

impl<'a, const N: usize> Common<'a, N> {
    /// Id of the app.
    pub(super) fn app_id(&self) -> &'a [u8] {
        self.app.0
    }

    /// Writes the leading elements except `_id`, which the sink has written.
    pub(super) fn begin(&self, document: &mut DocumentWriter<'_>) {
        let entity = self.entity;
        let created_by = entity.packed.get(CREATED_BY);
        let modified_by = if entity.by_other { entity.packed.get(MODIFIED_BY) } else { created_by };
        document.text("id", entity.packed.get(ID).unwrap_or(EMPTY_ID.as_bytes()));
        document.date_ms("mt", entity.modified_ms);
        document.text_or_null("mb", modified_by);
        document.date_ms("ct", entity.created_ms.unwrap_or(0));
        document.text_or_null("cb", created_by);
        document.i64("vs", entity.effective_events - 1);
        document.document("ai", |app| {
            app.text("_id", self.app.0);
            app.text("Name", self.app.1);
        });
        document.bool("dl", entity.is_deleted);
    }

    /// Writes the last element.
    pub(super) fn end(&self, document: &mut DocumentWriter<'_>) {
        document.text("_ai", self.app.0);
    }
}
