//! What a build of one projection works with, and what it gives.

use std::sync::Arc;

use statefold_projections::{Layout, Lookup, Registered};
use tokio_util::sync::CancellationToken;

use crate::fold::{Digest, FoldCounts, FoldedStreams};
use crate::observe::Recorder;
use crate::pipeline::governor::Governor;
use crate::pipeline::memory::Memory;
use crate::pipeline::read::Spilled;
use crate::pipeline::workers::Workers;

/// What a build of one projection works with.
pub(crate) struct Job<S, W> {
    /// The event store.
    pub(crate) source: S,
    /// Where the snapshots go.
    pub(crate) staging: W,
    /// The projection.
    pub(crate) projection: Registered,
    /// Layout of the event store.
    pub(crate) layout: Arc<Layout>,
    /// Snapshots of the projections it requires.
    pub(crate) others: Arc<dyn Lookup>,
    /// Where folding runs.
    pub(crate) workers: Arc<Workers>,
    /// Where progress is recorded.
    pub(crate) progress: Recorder,
    /// Cancelled when the build has to stop.
    pub(crate) cancel: CancellationToken,
    /// Asked before each batch is written.
    pub(crate) governor: Governor,
    /// Documents of an insert batch, at most.
    pub(crate) batch_docs: usize,
    /// Bytes of an insert batch, at most (but always one document).
    pub(crate) batch_bytes: usize,
    /// Partitions at work at the same time.
    pub(crate) readers: usize,
}

/// A shared [`Job`].
pub(crate) type BuildJob<S, W> = Arc<Job<S, W>>;

/// What partitions gave together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PartitionsDone {
    /// Counts.
    pub(crate) counts: FoldCounts,
    /// Digest.
    pub(crate) digest: Digest,
}

impl PartitionsDone {
    /// Adds a partition.
    pub(crate) fn add(&mut self, counts: FoldCounts, digest: Digest) {
        self.counts.add(counts);
        self.digest.merge(digest);
    }
}

/// Where the commits of a build come from.
#[derive(Clone)]
pub(crate) enum Input {
    /// From the event store, stream by stream.
    Streams,
    /// They are folded already.
    FoldedStreams(Arc<FoldedStreams>),
    /// From a spill file.
    Spilled {
        /// The file.
        spilled: Arc<Spilled>,
        /// Position of the projection in it.
        projection: usize,
        /// Numbers of the partitions in it, in the order of its ranges.
        partitions: Vec<u32>,
        /// Whom to tell what is used.
        memory: Arc<Memory>,
        /// What one partition at work may use, in bytes.
        bytes_max: usize,
    },
}
