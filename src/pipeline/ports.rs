//! What the pipeline needs of the outside.

use std::collections::{HashMap, VecDeque};

use bson::{RawArray, Timestamp};
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::error::Result;
use crate::fold::{Digest, FailedStream, FoldCounts, Folded};
use crate::plan::{NaturalBy, Partition, StreamRange};

/// A batch of commits as the server sent it.
pub(crate) trait RawCommits: Send + Sync {
    /// The documents.
    ///
    /// # Errors
    /// If the reply is not what a cursor returns.
    fn documents(&self) -> Result<&RawArray>;

    /// How many of them, from the first on, belong to what was asked for.
    fn limit(&self) -> usize {
        usize::MAX
    }
}

/// A batch of commits.
pub(crate) type CommitBatch = Box<dyn RawCommits>;

/// Names of streams with the stored offset of their last commit.
pub(crate) type HeadBatch = Vec<(String, i64)>;

/// The commits of some streams, about in the order they were written.
pub(crate) struct NaturalScan {
    /// How the event store was divided.
    pub by: NaturalBy,
    /// The parts, in order. Nothing is read before a part is asked.
    pub parts: VecDeque<BoxStream<'static, Result<CommitBatch>>>,
}

/// The event store, as one build sees it.
pub(crate) trait EventSource: Send + Sync + 'static {
    /// The commits of a range, stream by stream, each stream in offset order; nothing acknowledged
    /// before the build began is left out.
    fn scan(&self, range: &StreamRange) -> BoxStream<'static, Result<CommitBatch>>;

    /// All commits of the streams in these ranges, in natural order; nothing acknowledged before the
    /// build began is left out. Asked again (after a failure), it begins anew.
    fn natural<'a>(&'a self, ranges: &'a [StreamRange]) -> BoxFuture<'a, Result<NaturalScan>>;

    /// The commits of these streams, stream by stream, each stream in offset order.
    fn streams(&self, names: Vec<String>) -> BoxStream<'static, Result<CommitBatch>> {
        self.streams_since(names, None)
    }

    /// As [`streams`](Self::streams), with everything acknowledged until a time of the server as well.
    fn streams_since(
        &self,
        names: Vec<String>,
        since: Option<Timestamp>,
    ) -> BoxStream<'static, Result<CommitBatch>>;

    /// The heads of all streams in a range.
    fn heads(&self, range: &StreamRange) -> BoxStream<'static, Result<HeadBatch>>;
}

/// What is recorded of a finished partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionRecord {
    /// Counts of the partition.
    pub counts: FoldCounts,
    /// Digest of its snapshots.
    pub digest: Digest,
    /// Hash and stored offset of each stream.
    pub heads: Vec<(u64, i64)>,
    /// Streams that could not be folded.
    pub failed_streams: Vec<FailedStream>,
}

/// Streams of one partition that are folded anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RefoldPart {
    /// Number of the partition.
    pub partition: u32,
    /// Their names; also of those that no longer exist.
    pub streams: Vec<String>,
    /// Hashes of further streams that no longer exist, whose names aren't known and which left nothing.
    pub gone: Vec<u64>,
}

/// Streams that were folded anew.
#[derive(Debug, Default)]
pub(crate) struct Refolded {
    /// Which.
    pub parts: Vec<RefoldPart>,
    /// What folding them gave.
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
    pub(crate) fn heads(&self) -> HashMap<u64, i64> {
        self.folded.iter().flat_map(|folded| folded.heads.iter().copied()).collect()
    }
}

/// How a replacement went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// Everything is in its place.
    Done,
    /// Somebody else replaced streams of these partitions meanwhile; nothing was written, and what was
    /// folded may be older than what is there.
    Stale,
}

/// The election that made the server that took a write the primary; `None` where there are none.
///
/// A write that the primary alone acknowledged is there to stay once a later write of the *same* term
/// is acknowledged by a majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term(pub Option<[u8; 12]>);

/// What there is before streams are refolded.
pub(crate) trait Before: Send + 'static {
    /// The server's time of it: the streams have to be read with everything acknowledged until then.
    fn since(&self) -> Option<Timestamp>;
}

/// What takes the snapshots of folded partitions.
pub(crate) trait SnapshotSink: Send + Sync + 'static {
    /// Takes documents of a target; durable only once [`finish`](Self::finish) says so. `again`: the partition was cleared before.
    ///
    /// # Errors
    /// If one is there already; a transient one, `again`: an insert of a former try came late, and the
    /// partition has to be redone.
    fn insert(&self, target: usize, documents: &[&[u8]], again: bool) -> BoxFuture<'static, Result<Term>>;

    /// Removes everything a partition may have left behind.
    fn clear<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<()>>;

    /// Makes a finished partition durable, whose documents were taken in these terms.
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

/// The staging collections and the records of one build. Every write is refused once another process
/// holds a newer token.
pub(crate) trait Staging: SnapshotSink {
    /// What there is before streams are refolded.
    type Before: Before;

    /// Looks at the partitions of streams that are about to be refolded. Asked before the streams are
    /// read: what others replace from then on makes this [stale](Replaced::Stale).
    fn before<'a>(&'a self, parts: &'a [RefoldPart]) -> BoxFuture<'a, Result<Self::Before>>;

    /// Puts what refolded streams give in the place of what was there before, as a whole or not at all.
    fn replace(&self, before: Self::Before, refolded: Refolded) -> BoxFuture<'_, Result<Replaced>>;

    /// The heads recorded for a finished partition.
    fn recorded_heads<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<Vec<(u64, i64)>>>;

    /// The `_id`s of the snapshots of a partition in the staging collection of a target.
    fn ids(&self, target: usize, partition: &Partition) -> BoxStream<'static, Result<Vec<String>>>;
}
