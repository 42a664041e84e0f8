//! The event store: how many commits, where to cut, the scan, the heads. Read-only.

use std::future::Future;

use bson::{Bson, Document, RawArray, Timestamp, doc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use mongodb::Database;
use mongodb::options::RunCursorCommandOptions;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};
use statefold_projections::Layout;

use crate::error::{Error, Result};
use crate::pipeline::ports::{CommitBatch, EventSource, HeadBatch, RawCommits};
use crate::plan::StreamRange;
use crate::store::Store;
use crate::store::client::{LONG_CALL_SECONDS, call, call_within};
use crate::store::error::classify;

/// Names in a batch of heads.
const HEADS_PER_BATCH: i32 = 10_000;

/// Direction of the offsets in the index on streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// `{stream: 1, offset: 1}`
    Ascending,
    /// `{stream: 1, offset: -1}`, as Squidex has it.
    Descending,
}

/// The event store as one build sees it: everything acknowledged before `since` is there.
#[derive(Clone)]
pub(crate) struct EventStore {
    db: Database,
    layout: Layout,
    direction: Direction,
    since: Option<Timestamp>,
    batch_commits: u32,
}

impl Store {
    /// Direction of the index the streams are read by.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is no such index.
    pub(crate) async fn stream_index(&self) -> Result<Direction> {
        let events = self.collection(&self.layout.collection);
        let indexes: Vec<mongodb::IndexModel> = call("listing the event store's indexes", async move {
            events.list_indexes().await?.try_collect().await
        })
        .await?;
        let (stream, offset) = (&self.layout.stream, &self.layout.offset);
        let direction = |keys: &Document| {
            let mut keys = keys.iter();
            let first = keys.next().filter(|(name, order)| *name == stream && number(order) == Some(1));
            let second = first.and(keys.next()).filter(|(name, _)| *name == offset);
            match second.and_then(|(_, order)| number(order)) {
                Some(1) => Some(Direction::Ascending),
                Some(-1) => Some(Direction::Descending),
                _ => None,
            }
        };
        let usable = |index: &&mongodb::IndexModel| {
            let options = index.options.as_ref();
            options.is_none_or(|options| {
                options.partial_filter_expression.is_none() && options.sparse != Some(true)
            })
        };
        let found = indexes.iter().filter(usable).find_map(|index| direction(&index.keys));
        found.ok_or_else(|| {
            let collection = &self.layout.collection;
            Error::Unsupported(format!(
                "{collection} has no index on {{{stream}: 1, {offset}: -1}}, which every Squidex event store has; \
                 create it first: db.{collection}.createIndex({{{stream}: 1, {offset}: -1}}, {{unique: true}})"
            ))
        })
    }

    /// The event store, seen from an operation time on.
    pub(crate) fn events(
        &self,
        direction: Direction,
        since: Option<Timestamp>,
        batch_commits: u32,
    ) -> EventStore {
        EventStore { db: self.db.clone(), layout: self.layout.clone(), direction, since, batch_commits }
    }
}

fn number(order: &Bson) -> Option<i64> {
    order.as_i64().or_else(|| order.as_i32().map(i64::from)).or_else(|| {
        order.as_f64().filter(|order| order.abs() == 1.0).map(|order| if order > 0.0 { 1 } else { -1 })
    })
}

impl EventStore {
    fn range(&self, range: &StreamRange) -> Document {
        let mut bounds = doc! { "$gte": &range.first };
        // Comparisons stay within strings by themselves, so that no end needs no bound.
        if let Some(end) = &range.end {
            bounds.insert("$lt", end);
        }
        doc! { &self.layout.stream: bounds }
    }

    fn read_concern(&self) -> Document {
        let mut concern = doc! { "level": "majority" };
        if let Some(since) = self.since {
            concern.insert("afterClusterTime", since);
        }
        concern
    }

    /// Order of a scan: the index in the direction that gives ascending offsets.
    fn order(&self) -> Document {
        let stream = if self.direction == Direction::Ascending { 1 } else { -1 };
        doc! { &self.layout.stream: stream, &self.layout.offset: 1 }
    }

    fn index(&self) -> Document {
        let offset = if self.direction == Direction::Ascending { 1 } else { -1 };
        doc! { &self.layout.stream: 1, &self.layout.offset: offset }
    }

    /// Number of commits in a range.
    pub(crate) async fn count(&self, range: &StreamRange) -> Result<u64> {
        let command = doc! {
            "count": &self.layout.collection, "query": self.range(range), "hint": self.index(),
            "readConcern": self.read_concern(),
        };
        let db = self.db.clone();
        let count = async move { db.run_command(command).await };
        let reply = call_within(LONG_CALL_SECONDS, "counting the commits", count).await?;
        let count = reply.get("n").and_then(number_of).unwrap_or(0);
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Names that cut a range into parts with about as many commits each, from the index alone.
    pub(crate) async fn cuts(&self, range: &StreamRange, commits: u64, parts: u32) -> Result<Vec<String>> {
        let step = commits / u64::from(parts.max(1));
        let mut cuts: Vec<String> = Vec::new();
        if step == 0 {
            return Ok(cuts);
        }
        let (mut from, stream) = (range.clone(), self.layout.stream.clone());
        for _ in 1..parts {
            let command = doc! {
                "find": &self.layout.collection, "filter": self.range(&from), "sort": self.index(),
                "hint": self.index(), "projection": { &stream: 1, "_id": 0 },
                "skip": i64::try_from(step).unwrap_or(i64::MAX), "limit": 1, "singleBatch": true,
                "readConcern": self.read_concern(),
            };
            let db = self.db.clone();
            let find =
                async move { db.run_cursor_command(command).await?.try_collect::<Vec<Document>>().await };
            let found = call_within(LONG_CALL_SECONDS, "dividing the streams", find).await?;
            let Some(name) = found.first().and_then(|document| document.get_str(&stream).ok()) else { break };
            // Inside a stream longer than a part: the next cut has to leave it behind.
            if cuts.last().is_some_and(|last| last == name) || name == from.first {
                from.first = format!("{name}\0");
                continue;
            }
            cuts.push(name.to_owned());
            from.first = name.to_owned();
        }
        Ok(cuts)
    }

    fn scan_command(&self, range: &StreamRange, limit: Option<u64>) -> Document {
        let mut command = doc! {
            "find": &self.layout.collection, "filter": self.range(range), "sort": self.order(),
            "hint": self.index(), "batchSize": i64::from(self.batch_commits),
            "readConcern": self.read_concern(),
        };
        if let Some(limit) = limit {
            command.insert("limit", i64::try_from(limit).unwrap_or(i64::MAX));
        }
        command
    }

    /// The first commits of a range, in the order of a [scan](EventSource::scan).
    pub(crate) fn sample(
        &self,
        range: &StreamRange,
        commits: u64,
    ) -> BoxStream<'static, Result<CommitBatch>> {
        batches(self.open(self.scan_command(range, Some(commits)), self.batch_commits))
    }

    fn open(
        &self,
        command: Document,
        batch: u32,
    ) -> impl Future<Output = mongodb::error::Result<RawBatchCursor>> + Send + 'static {
        let options = RunCursorCommandOptions::builder().batch_size(batch).build();
        let db = self.db.clone();
        async move { db.run_cursor_command(command).with_options(options).batch().await }
    }
}

fn number_of(value: &Bson) -> Option<i64> {
    value.as_i64().or_else(|| value.as_i32().map(i64::from))
}

/// The batches of a cursor, each within the deadline of a call.
fn batches(
    open: impl Future<Output = mongodb::error::Result<RawBatchCursor>> + Send + 'static,
) -> BoxStream<'static, Result<CommitBatch>> {
    let doing = "reading the event store";
    let opened = async move {
        let cursor = call(doing, open).await?;
        Ok::<_, Error>(futures::stream::try_unfold(cursor, move |mut cursor| async move {
            let next = call(doing, async move { Ok((cursor.try_next().await?, cursor)) }).await?;
            let (batch, cursor) = next;
            Ok(batch.map(|batch| (Box::new(Batch(batch)) as CommitBatch, cursor)))
        }))
    };
    futures::stream::once(opened).try_flatten().boxed()
}

struct Batch(RawBatch);

impl RawCommits for Batch {
    fn documents(&self) -> Result<&RawArray> {
        self.0.doc_slices().map_err(|error| classify("reading the event store", error))
    }
}

impl EventSource for EventStore {
    fn scan(&self, range: &StreamRange) -> BoxStream<'static, Result<CommitBatch>> {
        batches(self.open(self.scan_command(range, None), self.batch_commits))
    }

    fn heads(&self, range: &StreamRange) -> BoxStream<'static, Result<HeadBatch>> {
        let last = if self.direction == Direction::Ascending { "$last" } else { "$first" };
        let offset = format!("${}", self.layout.offset);
        let pipeline = vec![
            doc! { "$match": self.range(range) },
            doc! { "$sort": self.index() },
            doc! { "$group": { "_id": format!("${}", self.layout.stream), "o": { last: offset } } },
        ];
        let command = doc! {
            "aggregate": &self.layout.collection, "pipeline": pipeline, "hint": self.index(),
            "cursor": { "batchSize": HEADS_PER_BATCH }, "allowDiskUse": true,
            "readConcern": self.read_concern(),
        };
        batches(self.open(command, HEADS_PER_BATCH.unsigned_abs())).map(|batch| head_batch(&*batch?)).boxed()
    }
}

fn head_batch(batch: &dyn RawCommits) -> Result<HeadBatch> {
    let mut heads = HeadBatch::new();
    for entry in batch.documents()? {
        let entry =
            entry.map_err(|error| Error::Mismatch(format!("the server sent a broken batch: {error}")))?;
        let Some(document) = entry.as_document() else { continue };
        let stream = document.get_str("_id").unwrap_or_default().to_owned();
        let offset = document.get("o").ok().flatten();
        let offset = offset.and_then(|value| {
            value.as_i64().or_else(|| value.as_i32().map(i64::from)).or_else(|| whole(value.as_f64()?))
        });
        // The fold notes the same for a commit whose offset it can't read.
        heads.push((stream, offset.unwrap_or(i64::MIN)));
    }
    Ok(heads)
}

#[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^53 are exact")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
}
