//! The common part of all aggregates: their version, author and times, and the snapshot elements for
//! them.
//!
//! Invariant: an event that changes nothing leaves no trace; one that changes something raises the
//! version by one and sets the time and the author of the last change.

use super::id::{EMPTY_ID, RefToken, named_id_parts};
use super::json::Text;
use super::time;
use crate::{DocumentWriter, Event, FoldError};

/// The common part of a state.
#[derive(Debug, Default)]
pub(super) struct Entity {
    /// Number of events that changed something; the version is one less.
    pub(super) effective_events: i64,
    pub(super) id: Option<Box<str>>,
    /// `id,name`
    pub(super) app_id: Option<Box<str>>,
    pub(super) is_deleted: bool,
    /// `None` is the Unix epoch, which Squidex takes as not set.
    created_ms: Option<i64>,
    modified_ms: i64,
    created_by: Option<Box<str>>,
    modified_by: Modifier,
}

/// The author of the last change: for most objects the one who created them.
#[derive(Debug, Default)]
enum Modifier {
    #[default]
    Creator,
    Other(Option<Box<str>>),
}

impl Entity {
    /// The common part of an object that an event creates: of the former one only the version is kept.
    pub(super) fn created(&self, id: Option<Text<'_>>, app_id: Option<Text<'_>>) -> Self {
        Self {
            effective_events: self.effective_events,
            id: id.map(Text::into_boxed),
            app_id: app_id.map(Text::into_boxed),
            ..Self::default()
        }
    }

    /// Records that an event changed the object.
    pub(super) fn changed(&mut self, event: &Event<'_>, actor: Option<RefToken<'_>>) {
        let ms = event.header_str("Timestamp").and_then(time::parse_ms);
        self.effective_events += 1;
        self.created_ms = self.created_ms.or(ms);
        self.modified_ms = ms.unwrap_or(0);
        if self.created_by.is_none() {
            self.created_by = actor.map(|token| token.0.into_boxed());
            self.modified_by = Modifier::Creator;
        } else if self.created_by.as_deref() == actor.as_ref().map(|token| token.0.as_str()) {
            self.modified_by = Modifier::Creator;
        } else {
            self.modified_by = Modifier::Other(actor.map(|token| token.0.into_boxed()));
        }
    }

    /// The common elements of the snapshot; `None` if no event changed anything, so that there is no
    /// object.
    ///
    /// # Errors
    /// [`FoldError::Missing`] if no event set the app, without which an object can't be stored.
    pub(super) fn finished(&self) -> Result<Option<Common<'_>>, FoldError> {
        if self.effective_events == 0 {
            return Ok(None);
        }
        let app_id = self.app_id.as_deref().ok_or(FoldError::Missing("appId"))?;
        Ok(Some(Common { entity: self, app: named_id_parts(app_id) }))
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let modified_by = match &self.modified_by {
            Modifier::Creator => 0,
            Modifier::Other(name) => text_bytes(name),
        };
        text_bytes(&self.id) + text_bytes(&self.app_id) + text_bytes(&self.created_by) + modified_by
    }
}

/// The elements that every snapshot has.
pub(super) struct Common<'a> {
    entity: &'a Entity,
    app: (&'a str, &'a str),
}

impl Common<'_> {
    /// Writes the leading elements except `_id`, which the sink has written.
    pub(super) fn begin(&self, document: &mut DocumentWriter<'_>) {
        let entity = self.entity;
        let created_by = entity.created_by.as_deref();
        let modified_by = match &entity.modified_by {
            Modifier::Creator => created_by,
            Modifier::Other(name) => name.as_deref(),
        };
        document.str("id", entity.id.as_deref().unwrap_or(EMPTY_ID));
        document.date_ms("mt", entity.modified_ms);
        document.str_or_null("mb", modified_by);
        document.date_ms("ct", entity.created_ms.unwrap_or(0));
        document.str_or_null("cb", created_by);
        document.i64("vs", entity.effective_events - 1);
        document.document("ai", |app| {
            app.str("_id", self.app.0);
            app.str("Name", self.app.1);
        });
        document.bool("dl", entity.is_deleted);
    }

    /// Writes the last element.
    pub(super) fn end(&self, document: &mut DocumentWriter<'_>) {
        document.str("_ai", self.app.0);
    }
}

/// Sets a text and returns true if it differs from the former one; an equal text isn't copied.
pub(super) fn set_text(slot: &mut Option<Box<str>>, text: Option<Text<'_>>) -> bool {
    let differs = slot.as_deref() != text.as_ref().map(Text::as_str);
    if differs {
        *slot = text.map(Text::into_boxed);
    }
    differs
}

/// Heap memory of an optional text, in bytes.
pub(super) fn text_bytes(text: &Option<Box<str>>) -> usize {
    text.as_deref().map_or(0, |text| heap_bytes(text.len()))
}

/// Memory of an allocation of this length: allocators round up and keep a header or a size class.
pub(super) fn heap_bytes(length: usize) -> usize {
    if length == 0 { 0 } else { (length + 8).next_multiple_of(16) }
}
