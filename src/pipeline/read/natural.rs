//! Natural order: every commit is routed to the shard that owns its stream, and folded as it arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use statefold_projections::{Layout, Registered};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::fold::{FoldedStreams, Place, Route, Router, Shard, Sorted};
use crate::lifecycle::Share;
use crate::observe::Recorder;
use crate::pipeline::memory::Memory;
use crate::pipeline::ports::{CommitBatch, EventSource, RawCommits};
use crate::pipeline::read::scan;
use crate::pipeline::read::scan::BatchSink;
use crate::pipeline::workers::Workers;
use crate::plan::{NaturalBy, StreamRange};

/// A projection of a pass, with those of its streams that have to be folded.
pub(crate) struct Wanted {
    /// The projection.
    pub(crate) projection: Registered,
    /// Records the progress.
    pub(crate) recorder: Recorder,
    /// Ranges of streams, in ascending order.
    pub(crate) ranges: Vec<StreamRange>,
    /// Whether the ranges are all of the projection's streams.
    pub(crate) all: bool,
    /// Share of these streams that is folded.
    pub(crate) share: Share,
}

impl Wanted {
    pub(in crate::pipeline) fn route(&self) -> Route {
        let ranges = self.ranges.iter().map(|range| (range.first.clone(), range.end.clone())).collect();
        Route::new(self.projection.spec().stream_filter().clone(), ranges, self.all).only(self.share)
    }
}

/// One pass over the event store for several projections.
pub(crate) struct Pass<'a, S> {
    /// The event store.
    pub(crate) source: &'a S,
    /// Its layout.
    pub(crate) layout: Arc<Layout>,
    /// The projections to fold.
    pub(crate) wanted: Vec<&'a Wanted>,
    /// Runs the folding.
    pub(crate) workers: Arc<Workers>,
    /// Cursors read at the same time.
    pub(crate) readers: usize,
    /// Shards, each folded by one thread at a time.
    pub(crate) shards: usize,
    /// Cancelled when the pass has to stop.
    pub(crate) cancel: CancellationToken,
}

/// The outcome of a pass in memory.
pub(crate) enum InMemory {
    /// Everything is folded: the streams of each projection, and how the event store was divided.
    Done(Vec<Arc<FoldedStreams>>, NaturalBy),
    /// The states need more memory than the budget, and were dropped.
    Outgrown,
}

/// A task of a shard.
enum ShardTask {
    /// Folds commits of a batch, listed for each projection.
    Commits(Arc<dyn RawCommits>, Vec<Vec<(u64, Place)>>),
    /// Drops everything folded so far, because everything is read again: the result is then the same as
    /// without an interruption.
    StartOver,
}

/// Batches on their way to a shard.
const BATCHES_WAITING: usize = 2;

/// Routes the batches of a scan to the shards.
struct ShardQueues {
    router: Arc<Router>,
    workers: Arc<Workers>,
    queues: Vec<mpsc::Sender<ShardTask>>,
    recorders: Vec<Recorder>,
    outgrown: Arc<AtomicBool>,
}

impl<S: EventSource> Pass<'_, S> {
    /// The ranges of all projections, by which the server selects the commits.
    pub(in crate::pipeline) fn ranges(&self) -> Vec<StreamRange> {
        self.wanted.iter().flat_map(|wanted| wanted.ranges.clone()).collect()
    }

    pub(in crate::pipeline) fn recorders(&self) -> Vec<Recorder> {
        self.wanted.iter().map(|wanted| wanted.recorder.clone()).collect()
    }

    pub(in crate::pipeline) fn router(&self) -> Router {
        Router::new(self.wanted.iter().map(|wanted| wanted.route()).collect(), Arc::clone(&self.layout))
    }

    /// Reads and folds everything in memory.
    ///
    /// # Errors
    /// Those of reading; [`Error::Interrupted`].
    pub(crate) async fn in_memory(&self, memory: &Arc<Memory>) -> Result<InMemory> {
        let outgrown = Arc::new(AtomicBool::new(false));
        let (mut queues, mut folders) = (Vec::new(), Vec::new());
        for number in 0..self.shards {
            let (queue, tasks) = mpsc::channel(BATCHES_WAITING);
            queues.push(queue);
            folders.push(self.folder(number, tasks, memory, &outgrown));
        }
        let router = Arc::new(self.router());
        let workers = Arc::clone(&self.workers);
        let recorders = self.recorders();
        let sink =
            Arc::new(ShardQueues { router, workers, queues, recorders, outgrown: Arc::clone(&outgrown) });
        let read = scan::read(self.source, &self.ranges(), self.readers, &sink, &self.cancel).await;
        // The folders end when their queues are closed.
        drop(sink);
        let mut by_projection: Vec<Vec<Shard>> = self.wanted.iter().map(|_| Vec::new()).collect();
        let mut failure = None;
        for folder in folders {
            match folder.await.map_err(|error| Error::Bug(error.to_string())).and_then(|result| result) {
                Ok(shards) => {
                    by_projection.iter_mut().zip(shards).for_each(|(all, shard)| all.push(shard));
                }
                Err(error) => failure = Some(error),
            }
        }
        if outgrown.load(Ordering::Relaxed) {
            self.workers.discard(by_projection);
            return Ok(InMemory::Outgrown);
        }
        // A reader sees of a failed folder only that its queue is closed, so the error of the folder counts.
        let by = failure.map_or(read, Err)?;
        let targets: Vec<usize> =
            self.wanted.iter().map(|wanted| wanted.projection.spec().targets().len()).collect();
        let sorting = by_projection.into_iter().zip(targets).map(|(shards, targets)| async move {
            let sorting = shards.into_iter().map(|shard| self.workers.run(move || Sorted::new(shard)));
            let sorted = futures::future::try_join_all(sorting).await?;
            Ok::<_, Error>(Arc::new(FoldedStreams::new(sorted, targets)))
        });
        Ok(InMemory::Done(futures::future::try_join_all(sorting).await?, by))
    }

    /// Starts the task that folds the commits of one shard.
    fn folder(
        &self,
        number: usize,
        mut tasks: mpsc::Receiver<ShardTask>,
        memory: &Arc<Memory>,
        outgrown: &Arc<AtomicBool>,
    ) -> JoinHandle<Result<Vec<Shard>>> {
        let layout = Arc::clone(&self.layout);
        let projections: Vec<Registered> =
            self.wanted.iter().map(|wanted| wanted.projection.clone()).collect();
        let new = move || {
            projections
                .iter()
                .map(|projection| Shard::new(projection, Arc::clone(&layout)))
                .collect::<Vec<Shard>>()
        };
        let mut shards = new();
        let recorders = self.recorders();
        let (workers, memory, outgrown) =
            (Arc::clone(&self.workers), Arc::clone(memory), Arc::clone(outgrown));
        tokio::spawn(async move {
            while let Some(task) = tasks.recv().await {
                if matches!(task, ShardTask::StartOver) {
                    workers.discard(std::mem::replace(&mut shards, new()));
                }
                let memory = Arc::clone(&memory);
                let folded = workers.run(move || {
                    let fits = fold(&mut shards, &task, number, &memory);
                    (shards, fits)
                });
                let fits;
                (shards, fits) = folded.await?;
                for (shard, recorder) in shards.iter_mut().zip(&recorders) {
                    recorder.folded(&shard.take_counts());
                }
                if !fits? {
                    outgrown.store(true, Ordering::Relaxed);
                }
            }
            Ok(shards)
        })
    }
}

/// Runs one task; false if the memory doesn't suffice.
fn fold(shards: &mut [Shard], task: &ShardTask, number: usize, memory: &Memory) -> Result<bool> {
    if let ShardTask::Commits(batch, lists) = task {
        let documents = batch.documents()?;
        shards.iter_mut().zip(lists).for_each(|(shard, commits)| shard.push(documents, commits));
    }
    let used = |shards: &[Shard]| memory.uses(number, shards.iter().map(Shard::bytes).sum());
    let mut over = used(shards);
    // A huge stream out of order is given up and read again later; many of them call for another strategy.
    while over > 0 && shards.iter_mut().any(|shard| shard.relieve(memory.budget() / 8)) {
        over = used(shards);
    }
    Ok(over == 0)
}

impl BatchSink for ShardQueues {
    fn waited(&self, time: Duration) {
        self.recorders.iter().for_each(|recorder| recorder.batch_read(time));
    }

    fn take(&self, _reader: usize, batch: CommitBatch) -> BoxFuture<'_, Result<()>> {
        async move {
            if self.outgrown.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let batch: Arc<dyn RawCommits> = Arc::from(batch);
            let (router, routed, shards) = (Arc::clone(&self.router), Arc::clone(&batch), self.queues.len());
            let lists = self
                .workers
                .run(move || {
                    let lists = router.by_shard(routed.documents()?, routed.limit(), shards);
                    lists.map_err(|_| Error::Mismatch("the server sent a broken batch".into()))
                })
                .await??;
            for (queue, lists) in self.queues.iter().zip(lists) {
                if lists.iter().any(|list| !list.is_empty()) {
                    send(queue, ShardTask::Commits(Arc::clone(&batch), lists)).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn begin_again(&self) -> BoxFuture<'_, Result<()>> {
        async move {
            for queue in &self.queues {
                send(queue, ShardTask::StartOver).await?;
            }
            self.recorders.iter().for_each(Recorder::read_again);
            Ok(())
        }
        .boxed()
    }
}

async fn send(queue: &mpsc::Sender<ShardTask>, task: ShardTask) -> Result<()> {
    // A folder that has ended returns the reason itself.
    queue.send(task).await.map_err(|_| Error::Interrupted)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
