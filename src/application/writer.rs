//! Appending events, for applications whose event store is written by their own program.
//!
//! One commit is one document, in Squidex's format with the names of the layout. Invariant: an append either
//! fails, or its events are the stream's next ones; an append that is sent again because its answer was lost
//! is never written twice.

use std::time::{Duration, Instant};

use bson::{Bson, DateTime, Document, Timestamp, doc};
use statefold_projections::{Layout, Registry};

use crate::config::Settings;
use crate::error::{Class, Error, Result};
use crate::store::{Fence, FenceKind, Inserted, Store};

/// How long an append waits behind fences and through elections, by default.
const PATIENCE: Duration = Duration::from_secs(10);
/// First pause behind a fence; each further one is twice as long.
const FENCE_PAUSE: Duration = Duration::from_millis(2);
/// The longest pause behind a fence.
const FENCE_PAUSE_MAX: Duration = Duration::from_millis(20);
/// Pause after an error that may go away by itself.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// Number of the last event of a stream that has none.
const NO_EVENT: i64 = -1;

/// Where a stream has to stand for an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Anywhere: the events come behind whatever is there.
    Any,
    /// It has no events yet.
    NoStream,
    /// Its last event has this number; the first event of a stream has number 0.
    Head(i64),
}

/// Payload of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// JSON text, as Squidex stores it.
    Json(String),
    /// A document.
    Document(Document),
}

/// An event to append.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    event_type: String,
    payload: Payload,
    headers: Document,
}

impl NewEvent {
    /// An event of a type, as `AssetCreatedEventV2`, with a payload of JSON text.
    #[must_use]
    pub fn json(event_type: impl Into<String>, payload: impl Into<String>) -> Self {
        Self::new(event_type, Payload::Json(payload.into()))
    }

    /// An event of a type.
    #[must_use]
    pub fn new(event_type: impl Into<String>, payload: Payload) -> Self {
        Self { event_type: event_type.into(), payload, headers: Document::new() }
    }

    /// Sets a header: a string, a number, a boolean or null. `EventId`, `Timestamp` (in whole seconds),
    /// `AggregateId` (the stream's name behind its first `-`) and `CommitId` are there anyway.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bson>) -> Self {
        self.headers.insert(name, value);
        self
    }

    fn problem(&self) -> Option<String> {
        if self.event_type.is_empty() {
            return Some("an event needs a type".to_owned());
        }
        if let Payload::Json(text) = &self.payload
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text)
        {
            return Some(format!("the payload of {} is not JSON: {error}", self.event_type));
        }
        let is_plain = |value: &Bson| {
            let number = matches!(value, Bson::Double(_) | Bson::Int32(_) | Bson::Int64(_));
            number || matches!(value, Bson::String(_) | Bson::Boolean(_) | Bson::Null)
        };
        let (name, _) = self.headers.iter().find(|(_, value)| !is_plain(value))?;
        Some(format!("the header {name} of {} is not a string, number, boolean or null", self.event_type))
    }
}

/// Result of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// Id of the commit.
    pub commit: String,
    /// Number of its first event.
    pub first: i64,
    /// Number of its last event: the stream's head now.
    pub head: i64,
    /// How long the fences of cut-overs kept it waiting; zero if there was none.
    pub fenced: Duration,
}

/// Appends events to the event store. Cheap to clone; clones share one connection pool.
///
/// ```no_run
/// use statefold::{EventWriter, Expected, NewEvent, Settings, squidex};
///
/// # async fn example() -> statefold::Result<()> {
/// let settings = Settings::new("mongodb://localhost/?replicaSet=rs0", "Squidex")?;
/// let writer = EventWriter::connect(&settings, &squidex::registry()).await?;
/// let event = NewEvent::json("AssetFolderRenamedEvent", r#"{"folderName": "new"}"#);
/// let appended = writer.append("assetFolder-app--id", Expected::Head(4), &[event]).await?;
/// assert_eq!(appended.head, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct EventWriter {
    store: Store,
    read_only: bool,
    patience: Duration,
}

impl EventWriter {
    /// Connects. An event store that doesn't exist yet is made, with its unique index, unless the settings
    /// say that this server is read-only.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the event store has no unique index on stream and offset: nothing else keeps
    /// two writers from taking the same number; else what the server said.
    pub async fn connect(settings: &Settings, registry: &Registry) -> Result<Self> {
        let store = Store::connect(settings, registry).await?;
        let read_only = settings.is_read_only();
        if !read_only {
            store.events().prepare_append().await?;
        }
        Ok(Self { store, read_only, patience: PATIENCE })
    }

    /// Sets how long an append may wait behind the fences of cut-overs, through elections, and, if it may
    /// append anywhere, against other writers; 10 s by default.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Number of a stream's last event; `None` if it has none.
    ///
    /// # Errors
    /// What the server said.
    pub async fn head(&self, stream: &str) -> Result<Option<i64>> {
        self.store.events().stream_head(stream).await
    }

    /// Appends these events, as one commit, if the stream stands where it is expected. Acknowledged by a
    /// majority. The fence of a cut-over is waited out.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the stream stands elsewhere. [`Error::ReadOnly`] in read-only mode and
    /// [`Error::ReadOnlyServer`] if the settings say so. [`Error::WritesFenced`] if a fence stood longer than
    /// the patience: to be tried again. [`Error::Config`] for events that can't be written. Else what the
    /// server said, at once if another validator refused (code 121); after an error of the class
    /// [`Class::Transient`] the events may have been written all the same.
    pub async fn append(&self, stream: &str, expected: Expected, events: &[NewEvent]) -> Result<Appended> {
        if self.read_only {
            return Err(Error::ReadOnlyServer);
        }
        check(stream, events)?;
        let mut waiting = FencePatience::new(self.patience);
        let id = bson::Uuid::new().to_string();
        loop {
            let head = self.head_for(stream, &mut waiting).await?;
            expect(stream, expected, head)?;
            let commit = commit(&self.store.layout, &id, stream, head, events);
            if self.insert(commit, &id, stream, head, &mut waiting).await? {
                let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
                let (first, fenced) = (head + 1, waiting.fenced);
                return Ok(Appended { commit: id, first, head: head + count, fenced });
            }
            // Another writer was faster.
            if !waiting.pause(Duration::ZERO).await {
                let actual = self.store.events().stream_head(stream).await?.unwrap_or(NO_EVENT);
                return Err(Error::Conflict { stream: stream.to_owned(), expected: head, actual });
            }
        }
    }

    async fn head_for(&self, stream: &str, waiting: &mut FencePatience) -> Result<i64> {
        loop {
            match self.store.events().stream_head(stream).await {
                Ok(head) => return Ok(head.unwrap_or(NO_EVENT)),
                Err(error) => waiting.after(error).await?,
            }
        }
    }

    /// Inserts a commit, with as many attempts as it takes. Returns `false` if another commit has its place.
    async fn insert(
        &self,
        commit: Document,
        id: &str,
        stream: &str,
        head: i64,
        waiting: &mut FencePatience,
    ) -> Result<bool> {
        let mut doubted = false;
        loop {
            match self.store.events().insert_commit(commit.clone()).await {
                Ok(Inserted::Done) => return Ok(true),
                // The answer of an earlier try may have been lost.
                Ok(Inserted::Taken) => match self.store.events().commit_behind(stream, head).await {
                    Ok(found) => return Ok(found == Some(Bson::from(id))),
                    Err(error) => waiting.after(error).await?,
                },
                Ok(Inserted::Fenced(fence)) if fence.kind == FenceKind::ReadOnly => {
                    return Err(fence.into_error());
                }
                Ok(Inserted::Fenced(fence)) => waiting.behind(fence).await?,
                // The fence may have been lifted just before it was looked at.
                Ok(Inserted::Refused { surely: false, .. }) if !doubted => doubted = true,
                Ok(Inserted::Refused { error, .. }) => return Err(error),
                Err(error) => waiting.after(error).await?,
            }
        }
    }
}

/// How long an append has waited, and how long it may wait.
struct FencePatience {
    began: Instant,
    patience: Duration,
    fenced: Duration,
    pause: Duration,
}

impl FencePatience {
    fn new(patience: Duration) -> Self {
        Self { began: Instant::now(), patience, fenced: Duration::ZERO, pause: FENCE_PAUSE }
    }

    /// Waits, unless the patience is over.
    async fn pause(&self, pause: Duration) -> bool {
        let left = self.patience.saturating_sub(self.began.elapsed());
        if left.is_zero() {
            return false;
        }
        tokio::time::sleep(pause.min(left)).await;
        true
    }

    /// Waits behind the fence of a cut-over.
    async fn behind(&mut self, fence: Fence) -> Result<()> {
        let since = Instant::now();
        if !self.pause(self.pause).await {
            let waited_ms = self.began.elapsed().as_millis();
            return Err(Error::WritesFenced { fence: fence.to_string(), waited_ms });
        }
        self.fenced += since.elapsed();
        self.pause = (self.pause * 2).min(FENCE_PAUSE_MAX);
        Ok(())
    }

    /// Waits after an error that may go away by itself.
    async fn after(&mut self, error: Error) -> Result<()> {
        if error.class() == Class::Transient && self.pause(ERROR_PAUSE).await {
            tracing::debug!(error = %error.with_sources(), "appending: trying again");
            return Ok(());
        }
        Err(error)
    }
}

fn check(stream: &str, events: &[NewEvent]) -> Result<()> {
    let mut problems: Vec<String> = events.iter().filter_map(NewEvent::problem).collect();
    if stream.is_empty() {
        problems.push("a stream needs a name".to_owned());
    }
    if events.is_empty() {
        problems.push("a commit needs at least one event".to_owned());
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Config(problems)) }
}

fn expect(stream: &str, expected: Expected, actual: i64) -> Result<()> {
    let expected = match expected {
        Expected::Any => return Ok(()),
        Expected::NoStream => NO_EVENT,
        Expected::Head(head) => head,
    };
    if expected == actual {
        return Ok(());
    }
    Err(Error::Conflict { stream: stream.to_owned(), expected, actual })
}

/// The document of a commit behind this head, elements in the order in which Squidex writes them.
fn commit(layout: &Layout, id: &str, stream: &str, head: i64, events: &[NewEvent]) -> Document {
    let now = seconds_now();
    let stored = events.iter().map(|event| {
        let mut metadata = doc! {
            "EventId": bson::Uuid::new().to_string(), "Timestamp": &now, "AggregateId": key_of(stream),
            "CommitId": id,
        };
        metadata.extend(event.headers.clone());
        let payload = match &event.payload {
            Payload::Json(text) => Bson::from(text.as_str()),
            Payload::Document(document) => document.clone().into(),
        };
        Bson::from(doc! {
            &layout.event_type: &event.event_type, &layout.payload: payload, &layout.metadata: metadata,
        })
    });
    let mut commit = doc! { "_id": id };
    if let Some(timestamp) = &layout.timestamp {
        // The server replaces it by its own time.
        commit.insert(timestamp, Timestamp { time: 0, increment: 0 });
    }
    commit.insert(&layout.events, stored.collect::<Vec<Bson>>());
    commit.insert(&layout.offset, layout.offset_behind(head));
    if let Some(count) = &layout.count {
        commit.insert(count, i64::try_from(events.len()).unwrap_or(i64::MAX));
    }
    commit.insert(&layout.stream, stream);
    commit
}

/// Key of a stream: `app--id` for `asset-app--id`, also for the stream that records its deletion.
fn key_of(stream: &str) -> &str {
    let key = stream.split_once('-').map_or(stream, |(_, key)| key);
    key.strip_suffix("--deleted").unwrap_or(key)
}

/// The present time, as `2024-05-01T10:00:00Z`.
fn seconds_now() -> String {
    let now = DateTime::now().timestamp_millis();
    DateTime::from_millis(now - now.rem_euclid(1000)).try_to_rfc3339_string().unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_commit_has_the_elements_of_squidex_in_their_order() {
        let events = [
            NewEvent::json("AssetCreatedEventV2", "{}").with_header("Restored", true),
            NewEvent::json("AssetMovedEvent", "{}").with_header("AggregateId", "other"),
        ];
        let commit = commit(&Layout::default(), "id", "asset-app--1--deleted", 4, &events);
        let names: Vec<&String> = commit.keys().collect();
        assert_eq!(names, ["_id", "Timestamp", "Events", "EventStreamOffset", "EventsCount", "EventStream"]);
        assert_eq!(commit.get_i64("EventStreamOffset").unwrap(), 4);
        assert_eq!(commit.get_i64("EventsCount").unwrap(), 2);
        assert_eq!(commit.get_timestamp("Timestamp").unwrap(), Timestamp { time: 0, increment: 0 });
        let stored: Vec<&Document> =
            commit.get_array("Events").unwrap().iter().filter_map(Bson::as_document).collect();
        let headers = stored.first().unwrap().get_document("Metadata").unwrap();
        let names: Vec<&String> = headers.keys().collect();
        assert_eq!(names, ["EventId", "Timestamp", "AggregateId", "CommitId", "Restored"]);
        assert_eq!(headers.get_str("AggregateId").unwrap(), "app--1");
        let at = headers.get_str("Timestamp").unwrap();
        assert!(at.len() == 20 && at.ends_with('Z'), "{at}");
        let headers = stored.last().unwrap().get_document("Metadata").unwrap();
        assert_eq!(headers.get_str("AggregateId").unwrap(), "other");
    }

    #[test]
    fn what_can_t_be_written_is_refused_with_all_problems() {
        let events = [
            NewEvent::json("", "{}"),
            NewEvent::json("A", "{"),
            NewEvent::json("B", "{}").with_header("list", Bson::Array(Vec::new())),
        ];
        let Err(Error::Config(problems)) = check("", &events) else { panic!("accepted") };
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(check("a-b", &[]).is_err());
        assert!(check("a-b", &[NewEvent::json("C", "1").with_header("n", 1)]).is_ok());
    }
}
