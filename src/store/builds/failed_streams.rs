//! `Statefold_DeadLetters`: the streams that could not be folded.

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
#[cfg(feature = "http")]
use mongodb::Collection;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::fold::FailedStream;
use crate::store::builds::build::BuildStore;
#[cfg(feature = "http")]
use crate::store::connection::number_of;
use crate::store::connection::{Builds, FORMAT, call, readable, written_late};
use crate::store::records::FAILED_STREAMS;

/// A stored failed stream: one that could not be folded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct StoredFailedStream {
    /// Id: build and stream.
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

const STREAMS_PER_INSERT: usize = 1000;

pub(in crate::store) async fn write(
    build: &BuildStore,
    partition: u32,
    failed_streams: &[FailedStream],
) -> Result<()> {
    for chunk in failed_streams.chunks(STREAMS_PER_INSERT) {
        let collection = build.store.collection(FAILED_STREAMS);
        let documents: Vec<Document> =
            chunk.iter().map(|failed_stream| claimed(build, partition, failed_stream)).collect();
        build.mandate.check()?;
        let insert = async move { collection.insert_many(documents).ordered(false).await };
        // A document that exists already comes from a late write of a former attempt.
        call("recording failed streams", insert).await.map_err(written_late)?;
    }
    Ok(())
}

/// The document of a failed stream, with the number of the claim under which it was found.
fn claimed(build: &BuildStore, partition: u32, failed_stream: &FailedStream) -> Document {
    let mut document = document(build, partition, failed_stream);
    if let Some(number) = build.claim_number(partition) {
        document.insert("Claims", number);
    }
    document
}

/// The document of a failed stream.
pub(in crate::store) fn document(
    build: &BuildStore,
    partition: u32,
    failed_stream: &FailedStream,
) -> Document {
    let id = &build.record.id;
    doc! {
        "_id": build.failed_stream_id(&failed_stream.stream), "Format": FORMAT, "Build": id,
        "Partition": partition,
        "Token": build.record.token, "Stream": &failed_stream.stream, "Offset": failed_stream.number,
        "EventType": &failed_stream.event_type, "Reason": &failed_stream.reason,
        "Message": &failed_stream.message,
        "At": DateTime::now(),
    }
}

impl BuildStore {
    /// Id of the document of a failed stream.
    pub(in crate::store) fn failed_stream_id(&self, stream: &str) -> String {
        format!("{}/{stream}", self.record.id)
    }
}

impl Builds<'_> {
    /// The failed streams of one build or of all, in the order of their names, at most `limit`.
    pub(crate) async fn failed_streams(
        self,
        build: Option<&str>,
        limit: i64,
    ) -> Result<Vec<StoredFailedStream>> {
        let filter = build.map_or_else(Document::new, |build| doc! { "Build": build });
        self.find_failed_streams(filter, limit).await
    }

    /// The records of one failed stream, of all builds.
    pub(crate) async fn failed_streams_of(self, stream: &str) -> Result<Vec<StoredFailedStream>> {
        self.find_failed_streams(doc! { "Stream": stream }, 0).await
    }

    /// The number of failed streams of some builds, by reason, the most frequent first.
    #[cfg(feature = "http")]
    pub(crate) async fn reasons_of_failures(self, builds: &[String]) -> Result<Vec<(String, u64)>> {
        let failed_streams: Collection<Document> = self.store.collection(FAILED_STREAMS);
        let pipeline = [
            doc! { "$match": { "Build": { "$in": builds } } },
            doc! { "$group": { "_id": "$Reason", "streams": { "$sum": 1 } } },
            doc! { "$sort": { "streams": -1, "_id": 1 } },
        ];
        let group = async move { failed_streams.aggregate(pipeline).await?.try_collect::<Vec<_>>().await };
        let found = call("counting the failed streams", group).await?;
        let read = |document: Document| {
            let streams = document.get("streams").and_then(number_of)?;
            Some((document.get_str("_id").ok()?.to_owned(), u64::try_from(streams).ok()?))
        };
        Ok(found.into_iter().filter_map(read).collect())
    }

    /// The failed streams of some builds, at most `limit`.
    #[cfg(feature = "http")]
    pub(crate) async fn failed_streams_in(
        self,
        builds: &[String],
        limit: i64,
    ) -> Result<Vec<StoredFailedStream>> {
        self.find_failed_streams(doc! { "Build": { "$in": builds } }, limit).await
    }

    async fn find_failed_streams(self, filter: Document, limit: i64) -> Result<Vec<StoredFailedStream>> {
        let failed_streams = self.store.collection(FAILED_STREAMS);
        let find = async move {
            failed_streams
                .find(filter)
                .sort(doc! { "_id": 1 })
                .limit(limit)
                .await?
                .try_collect::<Vec<_>>()
                .await
        };
        let found = call("reading the failed streams", find).await?;
        found.into_iter().map(|document| readable(document, "a failed stream")).collect()
    }

    /// The commit of a stream with the event of this number, as relaxed extended JSON.
    pub(crate) async fn commit_with(self, stream: &str, number: i64) -> Result<Option<serde_json::Value>> {
        let events = self.store.collection(&self.store.layout.collection);
        // Offsets only grow, so the event is in the last commit that begins at or before it.
        let begins = number - self.store.layout.first_number(0);
        let filter =
            doc! { &self.store.layout.stream: stream, &self.store.layout.offset: { "$lte": begins } };
        let sort = doc! { &self.store.layout.offset: -1 };
        let find = async move { events.find_one(filter).sort(sort).await };
        let found = call("reading the event", find).await?;
        Ok(found.map(|document| bson::Bson::Document(document).into_relaxed_extjson()))
    }
}
