//! The common part of apps, teams, schemas and rules: version, author, times, and the members of `Doc` and
//! the elements beside it for them.
//!
//! Invariant: an event that changes nothing only counts as stored; one that changes something raises the
//! version of `Doc` by one, and sets the time and the author of the last change.

use serde_json::{Map, Value};

use super::id::{EMPTY_ID, RefToken};
use super::time::{self, Moment};
use crate::{DocumentWriter, Event};

/// The common part of a state.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// `None` is the empty id.
    pub(super) id: Option<String>,
    pub(super) is_deleted: bool,
    /// Number of events of the stream, whatever they are.
    stored_events: i64,
    /// Number of events that changed something.
    effective_events: i64,
    /// `None` is the Unix epoch, which Squidex takes as not set.
    created: Option<Moment>,
    created_by: Option<String>,
    modified: Moment,
    modified_by: Option<String>,
}

impl Frame {
    /// Counts an event of the stream: every one, also of an unknown type, before anything else.
    pub(super) fn count(&mut self) {
        self.stored_events += 1;
    }

    /// Becomes the frame of a new object: of the former one only the versions are kept.
    pub(super) fn create(&mut self, id: Option<String>) {
        let (stored_events, effective_events) = (self.stored_events, self.effective_events);
        *self = Self { id, stored_events, effective_events, ..Self::default() };
    }

    /// Sets when and by whom the object was created, as far as it isn't the event that says so.
    pub(super) fn set_creation(&mut self, created: Option<Moment>, created_by: Option<String>) {
        self.created = created;
        self.created_by = created_by;
    }

    /// Records that an event changed the object.
    pub(super) fn changed(&mut self, event: &Event<'_>, actor: Option<&RefToken<'_>>) {
        let at = event.header_str("Timestamp").and_then(time::parse_header);
        let actor = actor.map(|token| token.0.as_str().to_owned());
        self.modified = at.unwrap_or_default();
        self.modified_by.clone_from(&actor);
        self.created = self.created.or(at);
        self.created_by = self.created_by.take().or(actor);
        self.effective_events += 1;
    }

    /// Records that an event changed the object, but says nothing about when and by whom.
    pub(super) fn changed_silently(&mut self) {
        self.effective_events += 1;
    }

    /// Returns true if an event changed something, so that there is an object.
    pub(super) fn exists(&self) -> bool {
        self.effective_events > 0
    }

    /// The id as text.
    pub(super) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(EMPTY_ID)
    }

    /// Id of the actor who created the object, without its kind.
    pub(super) fn creator(&self) -> Option<&str> {
        self.created_by.as_deref().map(|token| token.split_once(':').map_or(token, |(_, id)| id))
    }

    /// Appends the members that end every `Doc`.
    pub(super) fn end_doc(&self, doc: &mut Map<String, Value>) {
        let created = self.created.unwrap_or_default();
        doc.insert("id".to_owned(), self.id().into());
        doc.insert("createdBy".to_owned(), self.created_by.clone().into());
        doc.insert("lastModifiedBy".to_owned(), self.modified_by.clone().into());
        doc.insert("created".to_owned(), created.to_string().into());
        doc.insert("lastModified".to_owned(), self.modified.to_string().into());
        doc.insert("version".to_owned(), (self.effective_events - 1).into());
    }

    /// Writes `Version`, the number of the stream's last event, which follows `Doc`.
    pub(super) fn write_version(&self, document: &mut DocumentWriter<'_>) {
        document.i64("Version", self.stored_events - 1);
    }

    /// Writes `_ct`, the time of the creation, if it is known.
    pub(super) fn write_created(&self, document: &mut DocumentWriter<'_>) {
        if let Some(created) = self.created {
            document.date_ms("_ct", created.ms());
        }
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let texts = [&self.id, &self.created_by, &self.modified_by];
        texts.into_iter().flatten().map(String::capacity).sum()
    }
}
