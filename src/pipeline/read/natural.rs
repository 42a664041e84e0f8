//! Natural order: every commit is routed to the shard that owns its stream and folded as it arrives.

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

/// A projection of a pass, with the streams of it that are to be folded.
pub(crate) struct Wanted {
    /// The projection.
    pub(crate) projection: Registered,
    /// Where progress is recorded.
    pub(crate) recorder: Recorder,
    /// Ranges of streams, in ascending order.
    pub(crate) ranges: Vec<StreamRange>,
    /// Whether the ranges are all of the projection's streams.
    pub(crate) all: bool,
    /// Share of these streams.
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
    /// What to fold.
    pub(crate) wanted: Vec<&'a Wanted>,
    /// Where folding runs.
    pub(crate) workers: Arc<Workers>,
    /// Cursors read at the same time.
    pub(crate) readers: usize,
    /// Shards, each folded by one thread at a time.
    pub(crate) shards: usize,
    /// Cancelled when the pass has to stop.
    pub(crate) cancel: CancellationToken,
}

/// How a pass in memory ended.
pub(crate) enum InMemory {
    /// All is folded: for each projection what arrived.
    Done(Vec<Arc<FoldedStreams>>, NaturalBy),
    /// The states need more memory than the budget; nothing is left of them.
    Outgrown,
}

/// Work of a shard.
enum Work {
    /// Commits of a batch, for each projection.
    Commits(Arc<dyn RawCommits>, Vec<Vec<(u64, Place)>>),
    /// Everything is read again: nothing of what was folded is left, so that the result is the same as
    /// without a disturbance.
    Again,
}

/// Batches on their way to a shard.
const BATCHES_WAITING: usize = 2;

struct Shards {
    router: Arc<Router>,
    workers: Arc<Workers>,
    queues: Vec<mpsc::Sender<Work>>,
    recorders: Vec<Recorder>,
    outgrown: Arc<AtomicBool>,
}

impl<S: EventSource> Pass<'_, S> {
    /// The ranges of all projections, for the server to choose the commits by.
    pub(in crate::pipeline) fn ranges(&self) -> Vec<StreamRange> {
        self.wanted.iter().flat_map(|one| one.ranges.clone()).collect()
    }

    pub(in crate::pipeline) fn recorders(&self) -> Vec<Recorder> {
        self.wanted.iter().map(|one| one.recorder.clone()).collect()
    }

    pub(in crate::pipeline) fn router(&self) -> Router {
        Router::new(self.wanted.iter().map(|one| one.route()).collect(), Arc::clone(&self.layout))
    }

    /// Reads and folds everything in memory.
    ///
    /// # Errors
    /// What reading gives, [`Error::Interrupted`].
    pub(crate) async fn in_memory(&self, memory: &Arc<Memory>) -> Result<InMemory> {
        let outgrown = Arc::new(AtomicBool::new(false));
        let (mut queues, mut folders) = (Vec::new(), Vec::new());
        for number in 0..self.shards {
            let (queue, work) = mpsc::channel(BATCHES_WAITING);
            queues.push(queue);
            folders.push(self.folder(number, work, memory, &outgrown));
        }
        let router = Arc::new(self.router());
        let workers = Arc::clone(&self.workers);
        let recorders = self.recorders();
        let sink = Arc::new(Shards { router, workers, queues, recorders, outgrown: Arc::clone(&outgrown) });
        let read = scan::read(self.source, &self.ranges(), self.readers, &sink, &self.cancel).await;
        // Without a queue the folders end.
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
        // A folder's failure closes its queue, which is all that a reader sees of it.
        let by = failure.map_or(read, Err)?;
        let targets: Vec<usize> =
            self.wanted.iter().map(|one| one.projection.spec().targets().len()).collect();
        let sorting = by_projection.into_iter().zip(targets).map(|(shards, targets)| async move {
            let sorting = shards.into_iter().map(|shard| self.workers.run(move || Sorted::new(shard)));
            let sorted = futures::future::try_join_all(sorting).await?;
            Ok::<_, Error>(Arc::new(FoldedStreams::new(sorted, targets)))
        });
        Ok(InMemory::Done(futures::future::try_join_all(sorting).await?, by))
    }

    /// Folds what comes for one shard.
    fn folder(
        &self,
        number: usize,
        mut work: mpsc::Receiver<Work>,
        memory: &Arc<Memory>,
        outgrown: &Arc<AtomicBool>,
    ) -> JoinHandle<Result<Vec<Shard>>> {
        let layout = Arc::clone(&self.layout);
        let projections: Vec<Registered> = self.wanted.iter().map(|one| one.projection.clone()).collect();
        let new = move || {
            projections.iter().map(|one| Shard::new(one, Arc::clone(&layout))).collect::<Vec<Shard>>()
        };
        let mut shards = new();
        let recorders = self.recorders();
        let (workers, memory, outgrown) =
            (Arc::clone(&self.workers), Arc::clone(memory), Arc::clone(outgrown));
        tokio::spawn(async move {
            while let Some(work) = work.recv().await {
                if matches!(work, Work::Again) {
                    workers.discard(std::mem::replace(&mut shards, new()));
                }
                let memory = Arc::clone(&memory);
                let folded = workers.run(move || {
                    let fits = fold(&mut shards, &work, number, &memory);
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

/// Does one piece of work; false if the memory doesn't suffice.
fn fold(shards: &mut [Shard], work: &Work, number: usize, memory: &Memory) -> Result<bool> {
    if let Work::Commits(batch, lists) = work {
        let documents = batch.documents()?;
        shards.iter_mut().zip(lists).for_each(|(shard, commits)| shard.push(documents, commits));
    }
    let used = |shards: &[Shard]| memory.uses(number, shards.iter().map(Shard::bytes).sum());
    let mut over = used(shards);
    // One huge stream out of order is read again later; many of them mean another strategy.
    while over > 0 && shards.iter_mut().any(|shard| shard.relieve(memory.budget() / 8)) {
        over = used(shards);
    }
    Ok(over == 0)
}

impl BatchSink for Shards {
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
                    send(queue, Work::Commits(Arc::clone(&batch), lists)).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn begin_again(&self) -> BoxFuture<'_, Result<()>> {
        async move {
            for queue in &self.queues {
                send(queue, Work::Again).await?;
            }
            self.recorders.iter().for_each(Recorder::read_again);
            Ok(())
        }
        .boxed()
    }
}

async fn send(queue: &mpsc::Sender<Work>, work: Work) -> Result<()> {
    // The folder that has ended says itself why.
    queue.send(work).await.map_err(|_| Error::Interrupted)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
