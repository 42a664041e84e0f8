//! The heads of the streams in the event store: last commit and number of commits of each.

use std::collections::HashMap;

use bson::{Bson, Document, RawDocument, doc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use statefold_projections::StreamFilter;

use crate::error::{Error, Result};
use crate::lifecycle::{Head, identity, stream_hash};
use crate::pipeline::ports::{CommitBatch, HeadBatch, HeadDetail, RawCommits};
use crate::plan::StreamRange;
use crate::store::connection::{Events, LONG_CALL_SECONDS, call_within, number_of, offset_of};
use crate::store::events::source::{EventStore, batches, simple};

/// Names in a batch of heads.
const HEADS_PER_BATCH: i32 = 10_000;

/// Fields of the groups that heads are read from.
const COMMITS: &str = "n";
const OFFSET: &str = "o";
const ID: &str = "i";
const SIZE: &str = "s";

impl Events<'_> {
    /// Names of the streams that begin so, in ascending order, from the index alone. Empty if there is no
    /// event store.
    pub(crate) async fn names_of(self, prefix: &str) -> Result<Vec<String>> {
        let layout = &self.store.layout;
        let range = StreamRange::of(&StreamFilter::prefix(prefix));
        let mut bounds = doc! { "$gte": range.first };
        if let Some(end) = range.end {
            bounds.insert("$lt", end);
        }
        let pipeline = [
            doc! { "$match": { &layout.stream: bounds } },
            doc! { "$group": { "_id": format!("${}", layout.stream) } },
            doc! { "$sort": { "_id": 1 } },
        ];
        let events = self.store.collection(&layout.collection);
        let names = async move { events.aggregate(pipeline).await?.try_collect::<Vec<Document>>().await };
        let found = call_within(LONG_CALL_SECONDS, "looking for streams", names).await?;
        Ok(found.iter().filter_map(|group| Some(group.get_str("_id").ok()?.to_owned())).collect())
    }
}

impl EventStore {
    /// The heads of all streams in a range.
    pub(super) fn heads_of(
        &self,
        range: &StreamRange,
        detail: HeadDetail,
    ) -> BoxStream<'static, Result<HeadBatch>> {
        let last = if self.stream_index.is_ascending() { "$last" } else { "$first" };
        let stream = format!("${}", self.layout.stream);
        let counted = match detail {
            HeadDetail::Offsets | HeadDetail::LastCommits => futures::stream::empty().boxed(),
            HeadDetail::Everything => self.grouped(range, doc! { "_id": &stream, COMMITS: { "$sum": 1 } }),
        };
        let mut group = doc! { "_id": &stream, OFFSET: { last: format!("${}", self.layout.offset) } };
        if detail != HeadDetail::Offsets {
            group.extend(doc! { ID: { last: "$_id" }, SIZE: { last: { "$bsonSize": "$$ROOT" } } });
        }
        let lasts = self.grouped(range, group);
        let counts = async move {
            let add = |mut counts: HashMap<u64, u32>, batch: CommitBatch| async move {
                for_each(&*batch, |stream, group| {
                    counts.insert(stream_hash(stream), number_in(group, COMMITS).unwrap_or(0));
                })?;
                Ok(counts)
            };
            counted.try_fold(HashMap::new(), add).await
        };
        let heads = async move {
            let counts: Result<HashMap<u64, u32>> = counts.await;
            counts.map(|counts| lasts.map(move |batch| heads_of(&*batch?, &counts)))
        };
        futures::stream::once(heads).try_flatten().boxed()
    }

    /// Groups the commits of a range by stream, in the order of the index. From the index alone, if the group
    /// needs nothing else; with nothing but first or last values, the server looks at one commit a stream.
    fn grouped(&self, range: &StreamRange, group: Document) -> BoxStream<'static, Result<CommitBatch>> {
        let pipeline =
            [doc! { "$match": self.range(range) }, doc! { "$sort": self.index() }, doc! { "$group": group }];
        let command = doc! {
            "aggregate": &self.layout.collection, "pipeline": pipeline.to_vec(), "hint": self.hint(),
            "collation": simple(),
            "cursor": { "batchSize": HEADS_PER_BATCH }, "allowDiskUse": true,
            "readConcern": self.read_concern(),
        };
        batches(self.open(command, HEADS_PER_BATCH.unsigned_abs(), None))
    }
}

/// Calls `take` with the stream and the fields of each group.
fn for_each(batch: &dyn RawCommits, mut take: impl FnMut(&str, &RawDocument)) -> Result<()> {
    for entry in batch.documents()? {
        let entry =
            entry.map_err(|error| Error::Mismatch(format!("the server sent a broken batch: {error}")))?;
        let Some(group) = entry.as_document() else { continue };
        take(group.get_str("_id").unwrap_or_default(), group);
    }
    Ok(())
}

/// The heads in a batch, with the numbers of commits that were counted. A stream that wasn't there yet when
/// they were counted has an unknown one.
fn heads_of(batch: &dyn RawCommits, counts: &HashMap<u64, u32>) -> Result<HeadBatch> {
    let mut heads = HeadBatch::new();
    for_each(batch, |stream, group| {
        let offset = group.get(OFFSET).ok().flatten().and_then(|value| Bson::try_from(value).ok());
        let bytes = number_in(group, SIZE).and_then(|bytes| usize::try_from(bytes).ok());
        let id = group.get(ID).ok().flatten();
        let head = Head {
            // The fold records the same value for a commit with an unreadable offset.
            offset: offset.as_ref().and_then(offset_of).unwrap_or(Head::OFFSET_UNREADABLE),
            identity: id.zip(bytes).map_or(0, |(id, bytes)| identity(id, bytes)),
            commits: counts.get(&stream_hash(stream)).copied().unwrap_or(0),
        };
        heads.push((stream.to_owned(), head));
    })?;
    Ok(heads)
}

/// A whole number in a group, whatever its type.
fn number_in(group: &RawDocument, field: &str) -> Option<u32> {
    let value = Bson::try_from(group.get(field).ok()??).ok()?;
    u32::try_from(number_of(&value)?).ok()
}
