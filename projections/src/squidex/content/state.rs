//! The folded state of a content: a current version, sometimes a draft, sometimes a schedule.
//!
//! Invariant: while there is a draft, the current data don't change, so that a draft without data of its own
//! has the current ones.

use super::data::{ContentData, with_same_fields};
use super::payload::{Created, DraftCreated, Status, StatusScheduled};
use crate::squidex::entity::{Entity, OWN};
use crate::squidex::id::RefToken;
use crate::squidex::payload::Base;
use crate::{Event, FoldError};

/// `id,name`
const SCHEMA_ID: usize = OWN;
/// `None` is null, which a creation may set.
const DATA: usize = OWN + 1;
/// Data of the draft, unless they are the current ones.
const DRAFT_DATA: usize = OWN + 2;
const STATUS: usize = OWN + 3;
const DRAFT_STATUS: usize = OWN + 4;
const SCHEDULE_ID: usize = OWN + 5;
const SCHEDULED_STATUS: usize = OWN + 6;
const SCHEDULED_BY: usize = OWN + 7;
/// Number of packed values.
pub(super) const PACKED: usize = OWN + 8;

/// The folded state of one content.
#[derive(Debug, Default)]
pub struct Content {
    pub(super) entity: Entity<PACKED>,
    /// Due time of the schedule, if there is one.
    due_ms: Option<i64>,
    is_created: bool,
    has_draft: bool,
    data_have_odd_keys: bool,
    draft_data_have_odd_keys: bool,
}

/// Squidex can't do everything with null.
pub(super) fn without_data() -> FoldError {
    FoldError::Refused("the data of the content are null".into())
}

impl Content {
    /// Sets everything, replacing a content that exists already.
    pub(super) fn create(&mut self, base: &Base<'_>, event: &Created<'_>) {
        let data = event.data.as_ref();
        let schema_id = event.schema_id.as_ref().map(|schema| schema.0.as_bytes());
        let elements = data.map(ContentData::elements);
        let status = event.status.as_bytes();
        self.entity.create(
            &event.content_id,
            base.app(),
            [schema_id, elements, None, status, None, None, None, None],
        );
        let entity = std::mem::take(&mut self.entity);
        let data_have_odd_keys = data.is_some_and(ContentData::has_odd_keys);
        *self = Self { entity, is_created: true, data_have_odd_keys, ..Self::default() };
    }

    /// Replaces the data of the draft, or the current ones if there is none.
    pub(super) fn update(&mut self, data: Option<&ContentData<'_>>) -> Result<(), FoldError> {
        self.must_be_created()?;
        let data = data.ok_or_else(without_data)?;
        let elements = with_same_fields(data.elements(), self.editing_elements().unwrap_or_default());
        if self.has_draft {
            self.set_draft_data(&elements, data.has_odd_keys());
            return Ok(());
        }
        self.entity.packed.set(DATA, Some(&elements));
        self.data_have_odd_keys = data.has_odd_keys();
        Ok(())
    }

    pub(super) fn create_draft(&mut self, event: &DraftCreated<'_>) -> Result<(), FoldError> {
        self.must_be_created()?;
        self.end_draft();
        if let Some(data) = &event.migrated_data {
            let current = self.entity.packed.get(DATA).unwrap_or_default();
            self.set_draft_data(&with_same_fields(data.elements(), current), data.has_odd_keys());
        }
        self.has_draft = true;
        self.entity.packed.set(DRAFT_STATUS, event.status.as_bytes());
        self.cancel_schedule();
        Ok(())
    }

    pub(super) fn change_status(&mut self, status: &Status<'_>) -> Result<(), FoldError> {
        self.must_be_created()?;
        let is_published = status.as_bytes() == Some(Status::PUBLISHED);
        if self.has_draft && is_published {
            self.publish_draft()?;
        }
        self.entity.packed.set(if self.has_draft { DRAFT_STATUS } else { STATUS }, status.as_bytes());
        self.cancel_schedule();
        Ok(())
    }

    /// The draft becomes the current version.
    fn publish_draft(&mut self) -> Result<(), FoldError> {
        let packed = &self.entity.packed;
        let current = packed.get(DATA);
        match packed.get(DRAFT_DATA) {
            Some(draft) => {
                let elements = with_same_fields(draft, current.unwrap_or_default()).into_owned();
                self.data_have_odd_keys = self.draft_data_have_odd_keys;
                self.entity.packed.set(DATA, Some(&elements));
            }
            None => drop(current.ok_or_else(without_data)?),
        }
        self.end_draft();
        Ok(())
    }

    pub(super) fn end_draft(&mut self) {
        self.has_draft = false;
        self.entity.packed.set(DRAFT_STATUS, None);
        if self.entity.packed.set(DRAFT_DATA, None) {
            self.entity.packed.shrink();
        }
    }

    pub(super) fn schedule(
        &mut self,
        event: &StatusScheduled<'_>,
        source: &Event<'_>,
        actor: Option<&RefToken<'_>>,
    ) {
        let packed = &mut self.entity.packed;
        match source.header_str("EventId") {
            Some(id) => packed.set(SCHEDULE_ID, Some(id.as_bytes())),
            None => {
                let key = source.stream.split_once('-').map_or(source.stream, |(_, key)| key);
                packed.set(SCHEDULE_ID, Some(format!("{}--{key}", source.number).as_bytes()))
            }
        };
        packed.set(SCHEDULED_STATUS, event.status.as_bytes());
        packed.set(SCHEDULED_BY, actor.map(|token| token.0.as_bytes()));
        self.due_ms = Some(event.due_time.ms());
    }

    pub(super) fn cancel_schedule(&mut self) {
        if self.due_ms.take().is_some() {
            for at in [SCHEDULE_ID, SCHEDULED_STATUS, SCHEDULED_BY] {
                self.entity.packed.set(at, None);
            }
        }
    }

    fn must_be_created(&self) -> Result<(), FoldError> {
        let refused = || FoldError::Refused("the content was changed before it was created".into());
        if self.is_created { Ok(()) } else { Err(refused()) }
    }

    fn set_draft_data(&mut self, elements: &[u8], have_odd_keys: bool) {
        // The same data aren't kept twice.
        let is_current = self.entity.packed.get(DATA) == Some(elements);
        self.entity.packed.set(DRAFT_DATA, Some(elements).filter(|_| !is_current));
        self.draft_data_have_odd_keys = have_odd_keys;
    }

    fn editing_elements(&self) -> Option<&[u8]> {
        self.entity.packed.get(DRAFT_DATA).or_else(|| self.entity.packed.get(DATA))
    }
}

impl Content {
    /// Id and name of the schema, `id,name`.
    pub(super) fn schema_id(&self) -> Option<&[u8]> {
        self.entity.packed.get(SCHEMA_ID)
    }

    /// The current data; `None` if they are null.
    pub(super) fn current_data(&self) -> Option<ContentData<'_>> {
        self.entity.packed.get(DATA).map(|data| ContentData::kept(data, self.data_have_odd_keys))
    }

    /// The data of the draft, if it has data of its own.
    pub(super) fn draft_data(&self) -> Option<ContentData<'_>> {
        self.entity.packed.get(DRAFT_DATA).map(|data| ContentData::kept(data, self.draft_data_have_odd_keys))
    }

    /// The current status.
    pub(super) fn status(&self) -> &[u8] {
        self.entity.packed.get(STATUS).unwrap_or(Status::UNSET)
    }

    /// The status of the draft, if there is one.
    pub(super) fn draft_status(&self) -> Option<&[u8]> {
        self.has_draft.then(|| self.entity.packed.get(DRAFT_STATUS).unwrap_or(Status::UNSET))
    }

    /// Returns true if there is a published version.
    pub(super) fn is_published(&self) -> bool {
        self.status() == Status::PUBLISHED && !self.entity.is_deleted
    }

    /// The change of status that is scheduled, if there is one.
    pub(super) fn scheduled(&self) -> Option<Schedule<'_>> {
        let packed = &self.entity.packed;
        self.due_ms.map(|due_ms| Schedule {
            id: packed.get(SCHEDULE_ID).unwrap_or_default(),
            status: packed.get(SCHEDULED_STATUS).unwrap_or(Status::UNSET),
            by: packed.get(SCHEDULED_BY),
            due_ms,
        })
    }
}

/// A scheduled change of status.
pub(super) struct Schedule<'a> {
    pub(super) id: &'a [u8],
    pub(super) status: &'a [u8],
    /// Who scheduled it.
    pub(super) by: Option<&'a [u8]>,
    pub(super) due_ms: i64,
}
