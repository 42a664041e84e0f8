//! The event store as a source of commits: counts, scans, samples, heads. Read-only.

use std::future::Future;
use std::sync::Arc;

use bson::{Bson, Document, Timestamp, doc};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use mongodb::Database;
use mongodb::options::{RunCommandOptions, RunCursorCommandOptions, SelectionCriteria};
use mongodb::raw_batch_cursor::RawBatchCursor;
use statefold_projections::Layout;

use crate::error::{Error, Result};
use crate::pipeline::Governor;
use crate::pipeline::ports::{CommitBatch, EventSource, HeadBatch, HeadDetail, NaturalScan, Part};
use crate::plan::{NaturalBy, StreamRange, Topology};
use crate::store::connection::{Events, LONG_CALL_SECONDS, call, call_within, number_of, read_concern};
use crate::store::events::batch::Batch;
use crate::store::events::late::said_if_late;

/// Time limit for the server to find the first commits in natural order.
const FIRST_COMMITS_MS_MAX: i64 = 10_000;

/// Size of a batch, about: such a batch is consumed while it is in the processor's cache.
const BATCH_BYTES: u64 = 1_250_000;

/// Direction of the offsets in the index on streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IndexDirection {
    /// `{stream: 1, offset: 1}`
    Ascending,
    /// `{stream: 1, offset: -1}`, as Squidex has it.
    Descending,
}

/// The index on streams that the event store is read by.
#[derive(Debug, Clone)]
pub(crate) struct StreamIndex {
    direction: IndexDirection,
    /// Its name: there may be others on the same fields, for example partial ones.
    name: Option<Arc<str>>,
}

impl StreamIndex {
    /// Whether the offsets are in ascending order.
    pub(super) fn is_ascending(&self) -> bool {
        self.direction == IndexDirection::Ascending
    }
}

impl Default for StreamIndex {
    /// That of Squidex, where none is needed by name.
    fn default() -> Self {
        Self { direction: IndexDirection::Descending, name: None }
    }
}

/// The event store as one build sees it: all commits acknowledged before `since` are visible.
#[derive(Clone)]
pub(crate) struct EventStore {
    pub(in crate::store) db: Database,
    pub(in crate::store) layout: Layout,
    pub(super) stream_index: StreamIndex,
    since: Option<Timestamp>,
    pub(in crate::store) batch_commits: u32,
    /// Division of scans in natural order, if it is forced.
    pub(in crate::store) natural_by: Option<NaturalBy>,
    /// Approximate number of commits in a part of such a scan.
    pub(in crate::store) part_commits: u64,
    /// Governor that each batch of a scan waits for.
    pub(in crate::store) governor: Governor,
    /// Members that scans read from, if not from the primary.
    pub(in crate::store) from: Option<SelectionCriteria>,
    /// Whether a router reads it from shards, none of which can be addressed.
    pub(in crate::store) routed: bool,
    /// Whether the connection is direct, so that there is only one server to read from.
    pub(in crate::store) direct: bool,
}

impl Events<'_> {
    /// The index on streams.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is no such index.
    pub(crate) async fn stream_index(self) -> Result<StreamIndex> {
        let events = self.store.collection(&self.store.layout.collection);
        let indexes: Vec<mongodb::IndexModel> = call("listing the event store's indexes", async move {
            events.list_indexes().await?.try_collect().await
        })
        .await?;
        let (stream, offset) = (&self.store.layout.stream, &self.store.layout.offset);
        let direction = |keys: &Document| {
            let mut keys = keys.iter();
            let first = keys.next().filter(|(name, order)| *name == stream && number(order) == Some(1));
            let second = first.and(keys.next()).filter(|(name, _)| *name == offset);
            let second = second.filter(|_| keys.next().is_none());
            match second.and_then(|(_, order)| number(order)) {
                Some(1) => Some(IndexDirection::Ascending),
                Some(-1) => Some(IndexDirection::Descending),
                _ => None,
            }
        };
        let usable = |index: &&mongodb::IndexModel| {
            let options = index.options.as_ref();
            options.is_none_or(|options| {
                options.partial_filter_expression.is_none()
                    && options.collation.is_none()
                    && options.sparse != Some(true)
                    && options.hidden != Some(true)
            })
        };
        let found = indexes.iter().filter(usable).find_map(|index| {
            let name = index.options.as_ref().and_then(|options| options.name.as_deref());
            Some(StreamIndex { direction: direction(&index.keys)?, name: name.map(Arc::from) })
        });
        found.ok_or_else(|| {
            let collection = &self.store.layout.collection;
            let other = indexes.iter().find(|index| direction(&index.keys).is_some());
            let name = other.and_then(|index| index.options.as_ref()?.name.as_deref());
            let but = name.map_or(String::new(), |name| {
                format!(" ({name} is partial, sparse or hidden, or has a collation, and can't be used)")
            });
            let collated = other.and_then(|index| index.options.as_ref()?.collation.as_ref());
            let simple = if collated.is_some() { ", collation: {locale: \"simple\"}" } else { "" };
            Error::Unsupported(format!(
                "{collection} has no index on {{{stream}: 1, {offset}: -1}}{but}, which every Squidex event \
                 store has; create it first: \
                 db.{collection}.createIndex({{{stream}: 1, {offset}: -1}}, {{unique: true{simple}}})"
            ))
        })
    }

    /// The event store as of an operation time.
    pub(crate) fn source(
        self,
        stream_index: StreamIndex,
        since: Option<Timestamp>,
        batch_commits: u32,
    ) -> EventStore {
        EventStore {
            db: self.store.db.clone(),
            layout: self.store.layout.clone(),
            stream_index,
            since,
            batch_commits,
            natural_by: None,
            part_commits: u64::MAX,
            governor: Governor::free(),
            from: self.store.read_from.clone(),
            routed: self.store.facts.topology == Topology::Mongos,
            direct: self.store.direct,
        }
    }
}

impl EventStore {
    /// Sets the division of scans in natural order, and the approximate number of commits in a part.
    pub(crate) fn natural_by(mut self, by: Option<NaturalBy>, part_commits: u64) -> Self {
        self.natural_by = by;
        self.part_commits = part_commits;
        self
    }

    /// Makes scans wait while the governor pauses the run; reads of single streams never wait.
    pub(crate) fn paced(mut self, governor: &Governor) -> Self {
        self.governor = governor.clone();
        self
    }

    /// Reduces the commits of a batch, given their average size in bytes, so that batches don't get large.
    pub(crate) fn with_commits_of(mut self, bytes: u64) -> Self {
        let fitting = u32::try_from(BATCH_BYTES / bytes.max(1)).unwrap_or(u32::MAX);
        self.batch_commits = self.batch_commits.min(fitting.max(16));
        self
    }

    pub(in crate::store) fn range(&self, range: &StreamRange) -> Document {
        let mut bounds = doc! { "$gte": &range.first };
        // Comparisons match strings only, so that an open end needs no bound.
        if let Some(end) = &range.end {
            bounds.insert("$lt", end);
        }
        doc! { &self.layout.stream: bounds }
    }

    pub(in crate::store) fn read_concern(&self) -> Document {
        read_concern(self.since)
    }

    /// Order of a scan: the index in the direction that gives ascending offsets.
    fn order(&self) -> Document {
        let stream = if self.stream_index.is_ascending() { 1 } else { -1 };
        doc! { &self.layout.stream: stream, &self.layout.offset: 1 }
    }

    pub(super) fn index(&self) -> Document {
        let offset = if self.stream_index.is_ascending() { 1 } else { -1 };
        doc! { &self.layout.stream: 1, &self.layout.offset: offset }
    }

    /// The hint that makes the server use the index.
    pub(super) fn hint(&self) -> Bson {
        self.stream_index.name.as_deref().map_or_else(|| self.index().into(), Bson::from)
    }

    /// Number of commits, from the server's statistics.
    pub(crate) async fn estimated_count(&self) -> Result<u64> {
        let events = self.db.collection::<Document>(&self.layout.collection);
        call("counting the commits", async move { events.estimated_document_count().await }).await
    }

    /// Number of commits in a range.
    pub(crate) async fn count(&self, range: &StreamRange) -> Result<u64> {
        let command = doc! {
            "count": &self.layout.collection, "query": self.range(range), "hint": self.hint(),
            "collation": simple(),
            "readConcern": self.read_concern(),
        };
        let (db, options) = (self.db.clone(), RunCommandOptions::builder());
        let options = options.selection_criteria(self.from.clone()).build();
        let count = async move { db.run_command(command).with_options(options).await };
        let counted = call_within(LONG_CALL_SECONDS, "counting the commits", count);
        let reply = said_if_late(self.from.is_some(), counted).await?;
        let count = reply.get("n").and_then(number_of).unwrap_or(0);
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn scan_command(&self, range: &StreamRange, limit: Option<u64>) -> Document {
        let mut command = doc! {
            "find": &self.layout.collection, "filter": self.range(range), "sort": self.order(),
            "hint": self.hint(), "batchSize": i64::from(self.batch_commits), "collation": simple(),
            "readConcern": self.read_concern(),
        };
        if let Some(limit) = limit {
            command.insert("limit", i64::try_from(limit).unwrap_or(i64::MAX));
        }
        command
    }

    /// The layout.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The first commits of a range in natural order. The server
    /// [gives up](crate::store::connection::is_out_of_time) if it doesn't find them within a time limit.
    pub(crate) fn first_commits(
        &self,
        range: &StreamRange,
        commits: u64,
    ) -> BoxStream<'static, Result<CommitBatch>> {
        let mut command = self.natural_command(std::slice::from_ref(range), None);
        command.insert("limit", i64::try_from(commits).unwrap_or(i64::MAX));
        command.insert("maxTimeMS", FIRST_COMMITS_MS_MAX);
        batches(self.open(command, self.batch_commits, self.from.clone()))
    }

    /// The first commits of a range, in the order of a [scan](EventSource::scan).
    pub(crate) fn sample(
        &self,
        range: &StreamRange,
        commits: u64,
    ) -> BoxStream<'static, Result<CommitBatch>> {
        batches(self.open(self.scan_command(range, Some(commits)), self.batch_commits, self.from.clone()))
    }

    /// Opens a cursor on these members, or on the primary.
    pub(super) fn open(
        &self,
        command: Document,
        batch: u32,
        from: Option<SelectionCriteria>,
    ) -> impl Future<Output = mongodb::error::Result<RawBatchCursor>> + Send + 'static {
        let options = RunCursorCommandOptions::builder().batch_size(batch).selection_criteria(from).build();
        let db = self.db.clone();
        async move { db.run_cursor_command(command).with_options(options).batch().await }
    }
}

/// The collation of all reads: names are compared byte by byte, whatever the collection's default is.
pub(super) fn simple() -> Document {
    doc! { "locale": "simple" }
}

/// The batches of a cursor, each within the deadline of a call.
pub(super) fn batches(
    open: impl Future<Output = mongodb::error::Result<RawBatchCursor>> + Send + 'static,
) -> BoxStream<'static, Result<CommitBatch>> {
    batches_within(None, open)
}

/// As [`batches`]; the first may take so many seconds.
fn batches_within(
    seconds: Option<u64>,
    open: impl Future<Output = mongodb::error::Result<RawBatchCursor>> + Send + 'static,
) -> BoxStream<'static, Result<CommitBatch>> {
    let doing = "reading the event store";
    let opened = async move {
        let cursor = match seconds {
            Some(seconds) => said_if_late(true, call_within(seconds, doing, open)).await?,
            None => call(doing, open).await?,
        };
        Ok::<_, Error>(futures::stream::try_unfold(cursor, move |mut cursor| async move {
            let next = call(doing, async move { Ok((cursor.try_next().await?, cursor)) }).await?;
            let (batch, cursor) = next;
            Ok(batch.map(|batch| (Box::new(Batch::new(batch)) as CommitBatch, cursor)))
        }))
    };
    futures::stream::once(opened).try_flatten().boxed()
}

impl EventSource for EventStore {
    fn scan(&self, range: &StreamRange) -> BoxStream<'static, Result<CommitBatch>> {
        let open = self.open(self.scan_command(range, None), self.batch_commits, self.from.clone());
        // A secondary that is behind answers when it has what was acknowledged.
        let seconds = self.from.as_ref().map(|_| LONG_CALL_SECONDS);
        self.governor.pace(batches_within(seconds, open))
    }

    fn part(&self, ranges: &[StreamRange], part: &Part) -> BoxStream<'static, Result<CommitBatch>> {
        self.governor.pace(self.read_part(ranges, part))
    }

    fn natural<'a>(&'a self, ranges: &'a [StreamRange]) -> BoxFuture<'a, Result<NaturalScan>> {
        let paced = |mut scan: NaturalScan| {
            scan.parts = scan.parts.into_iter().map(|part| self.governor.pace(part)).collect();
            scan
        };
        async move { self.natural_scan(ranges).await.map(paced) }.boxed()
    }

    fn streams_since(
        &self,
        names: Vec<String>,
        since: Option<Timestamp>,
    ) -> BoxStream<'static, Result<CommitBatch>> {
        let mut command = self.scan_command(&StreamRange { first: String::new(), end: None }, None);
        command.insert("filter", doc! { &self.layout.stream: { "$in": names } });
        command.insert("readConcern", read_concern(self.since.max(since)));
        // What is read again may be of a moment ago: the primary has it.
        batches(self.open(command, self.batch_commits, None))
    }

    fn heads(&self, range: &StreamRange, detail: HeadDetail) -> BoxStream<'static, Result<HeadBatch>> {
        self.heads_of(range, detail)
    }
}

fn number(order: &Bson) -> Option<i64> {
    order.as_i64().or_else(|| order.as_i32().map(i64::from)).or_else(|| {
        order.as_f64().filter(|order| order.abs() == 1.0).map(|order| if order > 0.0 { 1 } else { -1 })
    })
}
