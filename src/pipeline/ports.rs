//! The traits and values through which the pipeline sees the event store and the staging collections.

use std::collections::{HashMap, VecDeque};

use bson::{Bson, RawArray, RawDocumentBuf, Timestamp};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::error::{Error, Result};
use crate::fold::{Digest, FailedStream, FoldCounts, Folded, LookupKey};
use crate::lifecycle::Head;
use crate::plan::{NaturalBy, Partition, StreamRange};

/// A batch of commits as the server sent it.
pub(crate) trait RawCommits: Send + Sync {
    /// The documents.
    ///
    /// # Errors
    /// If the reply isn't one of a cursor.
    fn documents(&self) -> Result<&RawArray>;

    /// Number of documents, from the first one on, that belong to the requested range.
    fn limit(&self) -> usize {
        usize::MAX
    }
}

/// A batch of commits.
pub(crate) type CommitBatch = Box<dyn RawCommits>;

/// Names of streams with their heads.
pub(crate) type HeadBatch = Vec<(String, Head)>;

/// How much of the heads is read from the event store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadDetail {
    /// The offsets of the last commits, from the index alone: enough where a change stream told of everything
    /// that changed since the streams were folded.
    Offsets,
    /// The last commits, but not the number of commits: enough where every stream is folded once more anyway.
    LastCommits,
    /// Everything: also the number of commits, which costs as much again.
    Everything,
}

/// The commits of some streams, roughly in the order they were written.
pub(crate) struct NaturalScan {
    /// The way in which the event store was divided.
    pub by: NaturalBy,
    /// The parts, in order. Nothing is read before a part is polled.
    pub parts: VecDeque<BoxStream<'static, Result<CommitBatch>>>,
}

/// A document that ends one part of the natural order and is followed by the next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bound {
    /// Its record id, which is that of one member.
    pub record: i64,
    /// Its `_id`.
    pub id: Bson,
}

/// A part of the natural order that one process reads for all: from behind a bound up to the next, of which
/// `None` is the beginning and the end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// Its number.
    pub number: u32,
    /// The member whose record ids these are; `None` where there is only one server.
    pub member: Option<String>,
    /// The bound that it begins behind.
    pub after: Option<Bound>,
    /// Its last document.
    pub until: Option<Bound>,
}

/// The event store, as one build sees it.
pub(crate) trait EventSource: Send + Sync + 'static {
    /// The commits of a range, stream by stream, each stream in offset order; nothing acknowledged
    /// before the build began is left out.
    fn scan(&self, range: &StreamRange) -> BoxStream<'static, Result<CommitBatch>>;

    /// The commits of the streams in these ranges that are in one part of the natural order.
    fn part(&self, ranges: &[StreamRange], part: &Part) -> BoxStream<'static, Result<CommitBatch>>;

    /// All commits of the streams in these ranges, in natural order; nothing acknowledged before the
    /// build began is left out. Each call reads everything from the beginning.
    fn natural<'a>(&'a self, ranges: &'a [StreamRange]) -> BoxFuture<'a, Result<NaturalScan>>;

    /// The commits of these streams, stream by stream, each stream in offset order.
    fn streams(&self, names: Vec<String>) -> BoxStream<'static, Result<CommitBatch>> {
        self.streams_since(names, None)
    }

    /// The commits of these streams, stream by stream, each stream in offset order, with everything that
    /// was acknowledged until a time of the server.
    fn streams_since(
        &self,
        names: Vec<String>,
        since: Option<Timestamp>,
    ) -> BoxStream<'static, Result<CommitBatch>>;

    /// The heads of all streams in a range.
    fn heads(&self, range: &StreamRange, detail: HeadDetail) -> BoxStream<'static, Result<HeadBatch>>;
}

/// A snapshot that was looked up; `None` if it doesn't exist.
pub(crate) type Found = (LookupKey, Option<RawDocumentBuf>);

/// The snapshots of required projections.
pub(crate) trait RequiredSnapshots: Send + Sync + 'static {
    /// The present snapshots with these keys: as many as keys.
    fn load(&self, keys: Vec<LookupKey>) -> BoxFuture<'_, Result<Vec<Found>>>;
}

/// The durable record of a finished partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionRecord {
    /// Counts of the partition.
    pub counts: FoldCounts,
    /// Digest of its snapshots.
    pub digest: Digest,
    /// Hash and head of each stream.
    pub heads: Vec<(u64, Head)>,
    /// Streams that could not be folded.
    pub failed_streams: Vec<FailedStream>,
}

/// The streams of one partition that are refolded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RefoldPart {
    /// Number of the partition.
    pub partition: u32,
    /// Their names, including those of streams that no longer exist.
    pub streams: Vec<String>,
    /// Hashes of further streams that no longer exist: their names aren't known, and they left no snapshot.
    pub gone: Vec<u64>,
}

/// Refolded streams, with their results.
#[derive(Debug, Default)]
pub(crate) struct Refolded {
    /// The streams, by partition.
    pub parts: Vec<RefoldPart>,
    /// The results of folding them.
    pub folded: Vec<Folded>,
}

impl Refolded {
    /// Snapshots of the target at this position.
    pub(crate) fn snapshots(&self, target: usize) -> impl Iterator<Item = &[u8]> {
        let buffers = self.folded.iter().filter_map(move |folded| folded.snapshots.targets().get(target));
        buffers.flat_map(|buffer| buffer.documents())
    }

    /// Streams that could not be folded.
    pub(crate) fn failed_streams(&self) -> impl Iterator<Item = &FailedStream> {
        self.folded.iter().flat_map(|folded| &folded.failed_streams)
    }

    /// Heads of the streams that exist, by hash.
    #[must_use]
    pub(crate) fn heads(&self) -> HashMap<u64, Head> {
        self.folded.iter().flat_map(|folded| folded.heads.iter().copied()).collect()
    }
}

/// The outcome of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// Everything was replaced.
    Done,
    /// Another process replaced streams of these partitions meanwhile. Nothing was written: the folded
    /// results may be older than the stored ones.
    Stale,
    /// The stored results have more bytes than may be replaced together. Nothing was written.
    TooLarge,
}

/// The election that made the server of a write the primary; `None` where there are no elections.
///
/// A write that only the primary acknowledged is durable once a later write of the *same* term is
/// acknowledged by a majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term(pub Option<[u8; 12]>);

/// The state of some partitions before their streams are refolded.
pub(crate) trait Before: Send + 'static {
    /// The server's time when it was read: the streams have to be read with everything acknowledged until
    /// then.
    fn since(&self) -> Option<Timestamp>;
}

/// A partition to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DuePartition {
    /// The partition.
    pub partition: Partition,
    /// Whether the staging collections hold nothing of it yet.
    pub fresh: bool,
}

/// Whether there is something to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    /// A partition to build.
    Due(DuePartition),
    /// A part of the event store to read into the exchange.
    Part(Box<Part>),
    /// None now: others are at work on all that are left, and may leave them.
    Later,
    /// None any more.
    Nothing,
}

/// Commits of one partition, compressed: see [`encode_frame`](crate::fold::encode_frame).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExchangeFrame {
    /// Number of the partition.
    pub partition: u32,
    /// The compressed commits.
    pub bytes: Vec<u8>,
}

/// A part that is read, with the number of its frames for each partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartRead {
    /// Number of the part.
    pub part: u32,
    /// The attempt whose frames count.
    pub attempt: String,
    /// Numbers of the partitions, each with the number of its frames.
    pub frames: Vec<(u32, u32)>,
}

/// Where processes that read the event store in natural order leave what others fold.
pub(crate) trait Exchange: Send + Sync + 'static {
    /// Takes frames of a part, the first of which has this number. They count once the part is
    /// [finished](Self::finish_part).
    fn give(
        &self,
        part: u32,
        attempt: &str,
        first: u64,
        frames: &[ExchangeFrame],
    ) -> BoxFuture<'static, Result<Term>>;

    /// Makes a part that was read durable, given the terms in which its frames were written.
    ///
    /// # Errors
    /// A transient one if the terms show that frames may be lost: the part has to be read again.
    fn finish_part<'a>(&'a self, read: &'a PartRead, terms: &'a [Term]) -> BoxFuture<'a, Result<()>>;

    /// Whether a part that this process has claimed is finished, and only the answer was lost.
    fn is_finished(&self, part: u32) -> BoxFuture<'_, Result<bool>>;

    /// The frames of a partition, in natural order, in batches of some megabytes; all of them, or an error.
    fn frames(&self, partition: u32) -> BoxStream<'static, Result<Vec<Vec<u8>>>>;
}

/// What could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// To build the partition with this number.
    Partition(u32),
    /// To read the part with this number.
    Part(u32),
}

/// Gives partitions to build, one at a time.
pub(crate) trait Partitions: Send + Sync + 'static {
    /// The next one. Returns at once.
    fn next(&self) -> BoxFuture<'_, Result<Next>>;

    /// Notes that a partition, or a part, could not be done here.
    fn failed<'a>(&'a self, _what: Failed, _error: &'a Error) -> BoxFuture<'a, ()> {
        futures::future::ready(()).boxed()
    }
}

/// Takes the snapshots of folded partitions.
pub(crate) trait SnapshotSink: Send + Sync + 'static {
    /// Takes documents of a target. They are durable only once [`finish`](Self::finish) has succeeded.
    /// `again` says that the partition was cleared before.
    ///
    /// # Errors
    /// If a document exists already. With `again` this error is transient: an insert of an earlier attempt
    /// came late, and the partition has to be redone.
    fn insert(&self, target: usize, documents: &[&[u8]], again: bool) -> BoxFuture<'static, Result<Term>>;

    /// Removes everything that earlier attempts at a partition may have left behind. False if it is finished:
    /// only the answer was lost, and nothing is removed.
    fn clear<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<bool>>;

    /// Makes a finished partition durable, given the terms in which its documents were written.
    ///
    /// # Errors
    /// A transient one if the terms show that documents may be lost: the partition has to be redone.
    fn finish<'a>(
        &'a self,
        partition: &'a Partition,
        record: &'a PartitionRecord,
        terms: &'a [Term],
    ) -> BoxFuture<'a, Result<()>>;
}

/// The staging collections and the records of one build. Every write is refused as soon as another
/// process holds a newer token.
pub(crate) trait Staging: SnapshotSink {
    /// The state of some partitions before their streams are refolded.
    type Before: Before;

    /// Reads the state of the partitions whose streams are about to be refolded. This comes before the
    /// streams are read: whatever others replace from then on makes the result [stale](Replaced::Stale).
    /// Reads results of at most so many bytes.
    fn before<'a>(&'a self, parts: &'a [RefoldPart], bytes_max: usize)
    -> BoxFuture<'a, Result<Self::Before>>;

    /// Replaces the snapshots, heads and failed streams of refolded streams: all of them or none.
    fn replace(&self, before: Self::Before, refolded: Refolded) -> BoxFuture<'_, Result<Replaced>>;

    /// The heads recorded for a finished partition.
    fn recorded_heads<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<Vec<(u64, Head)>>>;

    /// The `_id`s of the snapshots of a partition in the staging collection of a target.
    fn ids(&self, target: usize, partition: &Partition) -> BoxStream<'static, Result<Vec<String>>>;
}
