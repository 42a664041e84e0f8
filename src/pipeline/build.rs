//! All partitions of a build: so many at a time, the first error wins, what is done is kept.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures::StreamExt;
use statefold_projections::{Layout, Lookup, Registered};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::error::{Class, Error, Result};
use crate::fold::{Arrived, Digest, FoldCounts};
use crate::observe::Recorder;
use crate::pipeline::governor::Governor;
use crate::pipeline::memory::Memory;
use crate::pipeline::partition;
use crate::pipeline::ports::{EventSource, PartitionRecord, SnapshotSink};
use crate::pipeline::spill::Spilled;
use crate::pipeline::workers::Workers;
use crate::plan::Partition;

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

/// Where the commits of a build come from.
#[derive(Clone)]
pub(crate) enum Input {
    /// From the event store, stream by stream.
    Streams,
    /// They are folded already.
    Arrived(Arc<Arrived>),
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

const RETRIES: usize = 6;

/// The pauses before what failed for a transient reason is tried again: an election takes some seconds.
pub(crate) fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(RETRIES)
}

/// Partitions that may be waiting for their durable record besides those at work.
const FINISHING: usize = 2;

/// Builds these partitions. `fresh` says that the staging collections hold nothing of them yet.
///
/// A transient failure redoes the partition it happened in, a few times with growing pauses.
///
/// # Errors
/// The first one that trying again doesn't cure; partitions that were finished stay.
pub(crate) async fn run<S: EventSource, W: SnapshotSink>(
    job: &BuildJob<S, W>,
    partitions: Vec<Partition>,
    input: &Input,
    fresh: bool,
) -> Result<PartitionsDone> {
    let at_work = Arc::new(Semaphore::new(job.readers));
    let tasks = futures::stream::iter(partitions).map(|partition| {
        let (job, input, at_work) = (Arc::clone(job), input.clone(), Arc::clone(&at_work));
        // Spawned, so that no driver future is dropped midway.
        let task = tokio::spawn(async move {
            let result = with_retries(&job, &partition, &input, fresh, &at_work).await;
            job.progress.partition_done(result.is_ok());
            result
        });
        async move { task.await.map_err(|error| Error::Bug(error.to_string()))? }
    });
    // Those beyond the ones at work wait for the disks.
    let mut results = tasks.buffer_unordered(job.readers + FINISHING);
    let mut all = PartitionsDone::default();
    let mut failure = None;
    // All of them are awaited, also after an error: nothing may be written behind our back later.
    while let Some(result) = results.next().await {
        match result {
            Ok(record) => all.add(record.counts, record.digest),
            Err(error) => {
                job.cancel.cancel();
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(all), Err)
}

async fn with_retries<S: EventSource, W: SnapshotSink>(
    job: &BuildJob<S, W>,
    partition: &Partition,
    input: &Input,
    fresh: bool,
    at_work: &Semaphore,
) -> Result<PartitionRecord> {
    let first = std::sync::atomic::AtomicBool::new(fresh);
    let attempt = || async {
        if job.cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let again = !first.swap(false, std::sync::atomic::Ordering::Relaxed);
        if again {
            job.staging.clear(partition).await?;
        }
        partition::build(job, partition, input, again, at_work).await
    };
    attempt
        .retry(pauses())
        .when(|error: &Error| error.class() == Class::Transient && !job.cancel.is_cancelled())
        .notify(|error, pause| {
            let error = error.with_sources();
            tracing::warn!(partition = partition.number, %error, ?pause, "trying the partition again");
        })
        .await
}
