//! `Statefold_DeadLetters`: the streams that could not be folded.

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::fold::DeadLetter;
use crate::store::builds::build::BuildStore;
use crate::store::connection::{Builds, FORMAT, call, readable, written_late};
use crate::store::records::DEAD_LETTERS;

/// A stream that could not be folded, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StoredDeadLetter {
    /// Build and stream.
    #[serde(rename = "_id")]
    pub id: String,
    /// Build it belongs to: `Assets3`.
    pub build: String,
    /// Name of the stream.
    pub stream: String,
    /// Number of the event the fold stopped at.
    pub offset: i64,
    /// Type of that event; empty if there is none.
    pub event_type: String,
    /// Stable short name of the reason.
    pub reason: String,
    /// The reason in words.
    pub message: String,
    /// When it was found.
    pub at: DateTime,
}

const LETTERS_PER_INSERT: usize = 1000;

pub(in crate::store) async fn write(
    build: &BuildStore,
    partition: u32,
    letters: &[DeadLetter],
) -> Result<()> {
    for chunk in letters.chunks(LETTERS_PER_INSERT) {
        let collection = build.store.collection(DEAD_LETTERS);
        let documents: Vec<Document> =
            chunk.iter().map(|letter| document(build, partition, letter)).collect();
        let insert = async move { collection.insert_many(documents).ordered(false).await };
        // What is there already is what a former try wrote late.
        call("recording dead letters", insert).await.map_err(written_late)?;
    }
    Ok(())
}

/// A dead letter as it is stored.
pub(in crate::store) fn document(build: &BuildStore, partition: u32, letter: &DeadLetter) -> Document {
    let id = &build.record.id;
    doc! {
        "_id": build.letter_id(&letter.stream), "Format": FORMAT, "Build": id, "Partition": partition,
        "Token": build.record.token, "Stream": &letter.stream, "Offset": letter.number,
        "EventType": &letter.event_type, "Reason": &letter.reason, "Message": &letter.message,
        "At": DateTime::now(),
    }
}

impl BuildStore {
    /// Id of the dead letter of a stream.
    pub(in crate::store) fn letter_id(&self, stream: &str) -> String {
        format!("{}/{stream}", self.record.id)
    }
}

impl Builds<'_> {
    /// Dead letters, in the order of their streams: of one build or of all, at most so many.
    pub(crate) async fn failed_streams(
        self,
        build: Option<&str>,
        limit: i64,
    ) -> Result<Vec<StoredDeadLetter>> {
        let filter = build.map_or_else(Document::new, |build| doc! { "Build": build });
        self.find_letters(filter, limit).await
    }

    /// The dead letters of one stream, of all builds.
    pub(crate) async fn failed_streams_of(self, stream: &str) -> Result<Vec<StoredDeadLetter>> {
        self.find_letters(doc! { "Stream": stream }, 0).await
    }

    async fn find_letters(self, filter: Document, limit: i64) -> Result<Vec<StoredDeadLetter>> {
        let letters = self.store.collection(DEAD_LETTERS);
        let find = async move {
            letters.find(filter).sort(doc! { "_id": 1 }).limit(limit).await?.try_collect::<Vec<_>>().await
        };
        let found = call("reading the dead letters", find).await?;
        found.into_iter().map(|document| readable(document, "a dead letter")).collect()
    }

    /// The commit of a stream that holds the event with this number, as relaxed extended JSON.
    pub(crate) async fn commit_with(self, stream: &str, number: i64) -> Result<Option<serde_json::Value>> {
        let events = self.store.collection(&self.store.layout.collection);
        // Offsets only grow, so the last commit that begins at or before the event holds it.
        let begins = number - self.store.layout.first_number(0);
        let filter =
            doc! { &self.store.layout.stream: stream, &self.store.layout.offset: { "$lte": begins } };
        let sort = doc! { &self.store.layout.offset: -1 };
        let find = async move { events.find_one(filter).sort(sort).await };
        let found = call("reading the event", find).await?;
        Ok(found.map(|document| bson::Bson::Document(document).into_relaxed_extjson()))
    }
}
