//! Builds all partitions, several at a time: the first error ends the build, finished partitions are kept.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::Retryable;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::error::{Class, Error, Result};
use crate::pipeline::job::{BuildJob, Input, PartitionsDone};
use crate::pipeline::ports::{
    DuePartition, EventSource, Failed, Next, Part, PartitionRecord, Partitions, SnapshotSink,
};

use crate::pipeline::retry::pauses;
use crate::pipeline::write::{exchange, partition};
use crate::plan::Partition;

/// Partitions that may wait for their durable record besides those at work.
const FINISHING: usize = 2;
/// Pause between two looks while others are at work on all partitions that are left.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Partitions of this process alone, in order.
pub(crate) struct Queue(Mutex<VecDeque<DuePartition>>);

impl Queue {
    /// A queue of these partitions. `fresh` says that the staging collections hold nothing of them yet.
    pub(crate) fn of(partitions: Vec<Partition>, fresh: bool) -> Arc<Self> {
        let due = partitions.into_iter().map(|partition| DuePartition { partition, fresh });
        Arc::new(Self(Mutex::new(due.collect())))
    }
}

impl Partitions for Queue {
    fn next(&self) -> BoxFuture<'_, Result<Next>> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        futures::future::ready(Ok(next.map_or(Next::Nothing, Next::Due))).boxed()
    }
}

/// Builds partitions until none is left. Each is taken only when there is a slot to work on it.
///
/// After a transient failure the partition is redone, a few times with growing pauses.
///
/// # Errors
/// The first one that retrying doesn't cure; finished partitions are kept.
pub(crate) async fn run<S: EventSource, W: SnapshotSink, P: Partitions>(
    job: &BuildJob<S, W>,
    partitions: &Arc<P>,
    input: &Input,
) -> Result<PartitionsDone> {
    let at_work = Arc::new(AtWork { slots: Arc::new(Semaphore::new(job.readers)), done: Notify::new() });
    // Those beyond the ones at work wait for the disks. Spawned, so that no driver future is dropped midway.
    let tasks: Vec<_> = (0..job.readers + FINISHING)
        .map(|_| {
            let (job, input) = (Arc::clone(job), input.clone());
            tokio::spawn(build_some(job, Arc::clone(partitions), input, Arc::clone(&at_work)))
        })
        .collect();
    let (mut all, mut failure) = (PartitionsDone::default(), None);
    // All of them are awaited, also after an error, so that nothing is written later.
    for task in tasks {
        let (done, result) = task.await.unwrap_or_else(|error| {
            job.cancel.cancel();
            (PartitionsDone::default(), Err(Error::Bug(error.to_string())))
        });
        all.add(done.counts, done.digest);
        if let Err(error) = result {
            // An interruption is what the first error led to.
            failure = failure.filter(|first| !matches!(first, Error::Interrupted)).or(Some(error));
        }
    }
    failure.map_or(Ok(all), Err)
}

/// Builds one partition after the other, and returns what is done and how it ended.
async fn build_some<S: EventSource, W: SnapshotSink, P: Partitions>(
    job: BuildJob<S, W>,
    partitions: Arc<P>,
    input: Input,
    at_work: Arc<AtWork>,
) -> (PartitionsDone, Result<()>) {
    let mut done = PartitionsDone::default();
    loop {
        let result = match next(&job, &*partitions, &at_work).await {
            Ok(None) => return (done, Ok(())),
            Ok(Some((Work::Build(due), slot))) => {
                let result = with_retries(&job, &due, &input, slot, &at_work).await;
                job.progress.partition_done(result.is_ok());
                if let Err(error) = &result {
                    partitions.failed(Failed::Partition(due.partition.number), error).await;
                }
                result
            }
            Ok(Some((Work::Read(part), slot))) => {
                let result = give_with_retries(&job, &part, &input, slot, &at_work).await;
                if let Err(error) = &result {
                    partitions.failed(Failed::Part(part.number), error).await;
                }
                result.map(|()| PartitionRecord::default())
            }
            Err(error) => Err(error),
        };
        at_work.done.notify_waiters();
        match result {
            Ok(record) => done.add(record.counts, record.digest),
            Err(error) => {
                job.cancel.cancel();
                return (done, Err(error));
            }
        }
    }
}

/// What a task is to do next.
enum Work {
    Build(DuePartition),
    Read(Box<Part>),
}

/// What the tasks of a process share.
struct AtWork {
    /// A slot for each that is at work.
    slots: Arc<Semaphore>,
    /// Told whenever one has done something, which may be what another waits for.
    done: Notify,
}

impl AtWork {
    async fn slot(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).acquire_owned().await.map_err(|error| Error::Bug(error.to_string()))
    }
}

async fn next<S, W, P: Partitions>(
    job: &BuildJob<S, W>,
    partitions: &P,
    at_work: &AtWork,
) -> Result<Option<(Work, OwnedSemaphorePermit)>> {
    loop {
        let slot = at_work.slot().await?;
        let done = at_work.done.notified();
        if job.cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        match partitions.next().await {
            Ok(Next::Due(due)) => return Ok(Some((Work::Build(due), slot))),
            Ok(Next::Part(part)) => return Ok(Some((Work::Read(part), slot))),
            Ok(Next::Nothing) => return Ok(None),
            Ok(Next::Later) => {}
            // Whoever claims stops by itself when its claims are over.
            Err(error) if error.class() == Class::Transient => {
                let error = error.with_sources();
                tracing::warn!(%error, "no partition can be claimed now; trying again");
            }
            Err(error) => return Err(error),
        }
        // Another task may need the slot meanwhile, to try its partition again.
        drop(slot);
        tokio::select! {
            () = job.cancel.cancelled() => return Err(Error::Interrupted),
            () = done => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

async fn with_retries<S: EventSource, W: SnapshotSink>(
    job: &BuildJob<S, W>,
    DuePartition { partition, fresh }: &DuePartition,
    input: &Input,
    first_slot: OwnedSemaphorePermit,
    at_work: &AtWork,
) -> Result<PartitionRecord> {
    let first = AtomicBool::new(*fresh);
    let slots = Slots { first: Mutex::new(Some(first_slot)), at_work };
    let attempt = || async {
        let slot = slots.next(job).await?;
        let again = !first.swap(false, Ordering::Relaxed);
        if again && !job.staging.clear(partition).await? {
            return Ok(PartitionRecord::default());
        }
        partition::build(job, partition, input, again, slot).await
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

/// Reads a part into the exchange.
async fn give_with_retries<S: EventSource, W: SnapshotSink>(
    job: &BuildJob<S, W>,
    part: &Part,
    input: &Input,
    first_slot: OwnedSemaphorePermit,
    at_work: &AtWork,
) -> Result<()> {
    let Input::Exchange(exchanging) = input else {
        return Err(Error::Bug(format!("nothing takes the commits of part {}", part.number)));
    };
    let slots = Slots { first: Mutex::new(Some(first_slot)), at_work };
    let first = AtomicBool::new(true);
    // What an earlier attempt left counts for nothing: frames carry the attempt.
    let attempt = || async {
        let slot = slots.next(job).await?;
        let again = !first.swap(false, Ordering::Relaxed);
        if again && exchanging.exchange().is_finished(part.number).await? {
            return Ok(());
        }
        exchange::give(job, exchanging, part, slot).await
    };
    attempt
        .retry(pauses())
        .when(|error: &Error| error.class() == Class::Transient && !job.cancel.is_cancelled())
        .notify(|error, pause| {
            let error = error.with_sources();
            tracing::warn!(part = part.number, %error, ?pause, "reading a part of the event store again");
        })
        .await
}

/// Slots for the attempts at one piece of work: the first one has its slot already.
struct Slots<'a> {
    first: Mutex<Option<OwnedSemaphorePermit>>,
    at_work: &'a AtWork,
}

impl Slots<'_> {
    async fn next<S, W>(&self, job: &BuildJob<S, W>) -> Result<OwnedSemaphorePermit> {
        if job.cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let taken = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        match taken {
            Some(taken) => Ok(taken),
            None => self.at_work.slot().await,
        }
    }
}
