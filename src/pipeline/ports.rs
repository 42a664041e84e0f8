//! What the pipeline needs of the outside.

use bson::{RawArray, RawDocumentBuf};
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::error::Result;
use crate::fold::{DeadLetter, Digest, FoldCounts};
use crate::plan::{Partition, StreamRange};

/// A batch of commits as the server sent it.
pub trait RawCommits: Send {
    /// The documents.
    ///
    /// # Errors
    /// If the reply is not what a cursor returns.
    fn documents(&self) -> Result<&RawArray>;
}

/// A batch of commits.
pub type CommitBatch = Box<dyn RawCommits>;

/// Names of streams with the stored offset of their last commit.
pub type HeadBatch = Vec<(String, i64)>;

/// The event store, as one build sees it.
pub trait EventSource: Send + Sync + 'static {
    /// The commits of a range, stream by stream, each stream in offset order; nothing acknowledged
    /// before the build began is left out.
    fn scan(&self, range: &StreamRange) -> BoxStream<'static, Result<CommitBatch>>;

    /// The heads of all streams in a range.
    fn heads(&self, range: &StreamRange) -> BoxStream<'static, Result<HeadBatch>>;
}

/// What is recorded of a finished partition.
#[derive(Debug, Clone, Default)]
pub struct PartitionRecord {
    /// Counts of the partition.
    pub counts: FoldCounts,
    /// Digest of its snapshots.
    pub digest: Digest,
    /// Hash and stored offset of each stream.
    pub heads: Vec<(u64, i64)>,
    /// Streams that could not be folded.
    pub dead_letters: Vec<DeadLetter>,
}

/// The staging collections and the records of one build. Every write is refused once another process
/// holds a newer token.
pub trait Staging: Send + Sync + 'static {
    /// Inserts documents into the staging collection of a target.
    fn insert(&self, target: usize, documents: Vec<RawDocumentBuf>) -> BoxFuture<'_, Result<()>>;

    /// Removes everything a partition may have left behind.
    fn clear<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<()>>;

    /// Makes a finished partition durable.
    fn finish<'a>(
        &'a self,
        partition: &'a Partition,
        record: &'a PartitionRecord,
    ) -> BoxFuture<'a, Result<()>>;

    /// The heads recorded for a finished partition.
    fn recorded_heads<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<Vec<(u64, i64)>>>;

    /// The `_id`s of the snapshots of a partition in the staging collection of a target.
    fn ids(&self, target: usize, partition: &Partition) -> BoxStream<'static, Result<Vec<String>>>;
}
