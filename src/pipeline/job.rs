//! The job of building one projection: its surroundings, its input and its result.

use std::sync::Arc;
use std::time::Instant;

use statefold_projections::{Layout, Registered};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::fold::{Digest, FoldCounts, FoldedStreams};
use crate::observe::Recorder;
use crate::pipeline::governor::Governor;
use crate::pipeline::memory::Memory;
use crate::pipeline::notable::Notable;
use crate::pipeline::read::{Ahead, Exchanging, Spilled};
use crate::pipeline::required::Required;
use crate::pipeline::workers::Workers;

/// The build of one projection, with everything it works with.
pub(crate) struct Job<S, W> {
    /// The event store.
    pub(crate) source: S,
    /// Takes the snapshots.
    pub(crate) staging: W,
    /// The projection.
    pub(crate) projection: Registered,
    /// Layout of the event store.
    pub(crate) layout: Arc<Layout>,
    /// Streams that are worth folding once more.
    pub(crate) notable: Arc<Notable>,
    /// What the projection requires, if anything.
    pub(crate) required: Option<Required>,
    /// Runs the folding.
    pub(crate) workers: Arc<Workers>,
    /// Records the progress.
    pub(crate) progress: Recorder,
    /// Cancelled when the build has to stop.
    pub(crate) cancel: CancellationToken,
    /// Asked before each batch is written.
    pub(crate) governor: Governor,
    /// Most documents of an insert batch.
    pub(crate) batch_docs: usize,
    /// Most bytes of an insert batch, which always holds at least one document.
    pub(crate) batch_bytes: usize,
    /// Partitions at work at the same time.
    pub(crate) readers: usize,
}

/// The surroundings that jobs share.
pub(crate) struct JobContext<'a> {
    /// Layout of the event store.
    pub(crate) layout: &'a Layout,
    /// Runs the folding.
    pub(crate) workers: &'a Arc<Workers>,
    /// Records the progress.
    pub(crate) recorder: &'a Recorder,
    /// Cancels the job with everything else that depends on it.
    pub(crate) cancel: &'a CancellationToken,
    /// Most documents of an insert batch.
    pub(crate) batch_docs: usize,
    /// Most bytes of an insert batch, which always holds at least one document.
    pub(crate) batch_bytes: usize,
    /// Partitions at work at the same time.
    pub(crate) readers: usize,
}

impl<S, W> Job<S, W> {
    /// A job that requires no other projection and that nothing throttles.
    pub(crate) fn new(source: S, staging: W, projection: &Registered, context: &JobContext<'_>) -> Self {
        Self {
            source,
            staging,
            projection: projection.clone(),
            layout: Arc::new(context.layout.clone()),
            notable: Arc::default(),
            required: None,
            workers: Arc::clone(context.workers),
            progress: context.recorder.clone(),
            cancel: context.cancel.child_token(),
            governor: Governor::free(),
            batch_docs: context.batch_docs,
            batch_bytes: context.batch_bytes,
            readers: context.readers,
        }
    }

    /// Gives the job what its projection requires.
    pub(crate) fn with_required(mut self, required: Option<Required>) -> Self {
        self.required = required;
        self
    }

    /// The next batch of what is read ahead, whose wait is counted; `None` behind the last one.
    ///
    /// # Errors
    /// Those of reading; [`Error::Interrupted`].
    pub(in crate::pipeline) async fn next<T: Send + 'static>(
        &self,
        batches: &mut Ahead<T>,
    ) -> Result<Option<T>> {
        let began = Instant::now();
        let batch = tokio::select! {
            batch = batches.next() => batch?,
            () = self.cancel.cancelled() => return Err(Error::Interrupted),
        };
        self.progress.batch_read(began.elapsed());
        Ok(batch)
    }

    /// Lets a governor throttle the job.
    pub(crate) fn with_governor(mut self, governor: Governor) -> Self {
        self.governor = governor;
        self
    }
}

/// A shared [`Job`].
pub(crate) type BuildJob<S, W> = Arc<Job<S, W>>;

/// The results of several partitions together.
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

/// The source of the commits of a build.
#[derive(Clone)]
pub(crate) enum Input {
    /// The event store, read stream by stream.
    Streams,
    /// Streams that are folded already.
    FoldedStreams(Arc<FoldedStreams>),
    /// What processes that read the event store in parts hand over.
    Exchange(Arc<Exchanging>),
    /// A spill file.
    Spilled {
        /// The file.
        spilled: Arc<Spilled>,
        /// Position of the projection in it.
        projection: usize,
        /// Numbers of its partitions, in the order of its ranges.
        partitions: Vec<u32>,
        /// Counts the memory in use.
        memory: Arc<Memory>,
        /// Memory that one partition at work may use, in bytes.
        bytes_max: usize,
    },
}
