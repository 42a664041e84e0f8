//! Builds all partitions, several at a time: the first error ends the build, finished partitions are kept.

use std::sync::Arc;

use backon::Retryable;
use futures::StreamExt;
use tokio::sync::Semaphore;

use crate::error::{Class, Error, Result};
use crate::pipeline::job::{BuildJob, Input, PartitionsDone};
use crate::pipeline::ports::{EventSource, PartitionRecord, SnapshotSink};
use crate::pipeline::retry::pauses;
use crate::pipeline::write::partition;
use crate::plan::Partition;

/// Partitions that may wait for their durable record besides those at work.
const FINISHING: usize = 2;

/// Builds these partitions. `fresh` says that the staging collections hold nothing of them yet.
///
/// After a transient failure the partition is redone, a few times with growing pauses.
///
/// # Errors
/// The first one that retrying doesn't cure; finished partitions are kept.
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
    // All of them are awaited, also after an error, so that nothing is written later.
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
