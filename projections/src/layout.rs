//! Layout of an event store: its collection and field names as data.

/// Meaning of the stored offset of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetMeaning {
    /// Number of the last event *before* the commit, -1 for the first commit (Squidex).
    BeforeCommit,
    /// Number of the commit's own first event, 0 for the first commit.
    FirstEvent,
}

/// Collection and field names of an event store on MongoDB. [`Default`] is Squidex's `Events2`.
///
/// A commit is one document with a stream name (string), an offset (integer), an array of event
/// documents (each with a type, a payload and a metadata document) and, optionally, their number.
/// The engine reads by the index `{stream: 1, offset: -1}` (or its reverse), which must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Name of the event store's collection.
    pub collection: String,
    /// Field with the stream's name.
    pub stream: String,
    /// Field with the offset.
    pub offset: String,
    /// Meaning of the offset.
    pub offset_meaning: OffsetMeaning,
    /// Field with the number of events in the commit; checked against the array where present.
    pub count: Option<String>,
    /// Field with the time a commit was written (BSON timestamp), if there is one: the engine may
    /// partition the store by it.
    pub timestamp: Option<String>,
    /// Field with the array of events.
    pub events: String,
    /// Field of an event with its type name.
    pub event_type: String,
    /// Field of an event with its payload: JSON text, or a document.
    pub payload: String,
    /// Field of an event with its headers, a document; may be absent.
    pub metadata: String,
    /// The application's version from which on its event store has this layout, if that is known.
    pub since: Option<Since>,
}

/// The first version of an application, as its version document has it, whose event store has a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// The version. A database that has none, or 0, isn't judged.
    pub version: i32,
    /// What brings an older database up to it, as a sentence.
    pub remedy: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            collection: "Events2".into(),
            stream: "EventStream".into(),
            offset: "EventStreamOffset".into(),
            offset_meaning: OffsetMeaning::BeforeCommit,
            count: Some("EventsCount".into()),
            timestamp: Some("Timestamp".into()),
            events: "Events".into(),
            event_type: "Type".into(),
            payload: "Payload".into(),
            metadata: "Metadata".into(),
            since: None,
        }
    }
}

impl Layout {
    /// A plain layout for stores that have none yet: commits with a name, the number of their first event,
    /// and their events.
    #[must_use]
    pub fn commits() -> Self {
        Self {
            collection: "commits".into(),
            stream: "stream".into(),
            offset: "offset".into(),
            offset_meaning: OffsetMeaning::FirstEvent,
            count: None,
            timestamp: None,
            events: "events".into(),
            event_type: "type".into(),
            payload: "payload".into(),
            metadata: "headers".into(),
            since: None,
        }
    }

    /// Number of the first event of a commit with this stored offset.
    #[must_use]
    pub fn first_number(&self, offset: i64) -> i64 {
        match self.offset_meaning {
            OffsetMeaning::BeforeCommit => offset.saturating_add(1),
            OffsetMeaning::FirstEvent => offset,
        }
    }

    /// Stored offset of the commit that follows this event; -1 stands for a stream without events.
    #[must_use]
    pub fn offset_behind(&self, head: i64) -> i64 {
        match self.offset_meaning {
            OffsetMeaning::BeforeCommit => head,
            OffsetMeaning::FirstEvent => head.saturating_add(1),
        }
    }
}
