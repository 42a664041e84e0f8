//! Natural order: every commit is routed to the shard that owns its stream, and folded as it arrives.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use statefold_projections::{Layout, Registered};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::fold::{FoldCounts, FoldedStreams, Route, Router, Shard, Sorted};
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

/// The shards of one number, one for each projection. Whoever brings commits folds them, one at a time.
type Stripe = Mutex<Vec<Shard>>;

/// Folds the batches of a scan.
struct Stripes {
    router: Arc<Router>,
    workers: Arc<Workers>,
    stripes: Arc<[Stripe]>,
    fresh: Box<dyn Fn() -> Vec<Shard> + Send + Sync>,
    memory: Arc<Memory>,
    recorders: Vec<Recorder>,
    outgrown: AtomicBool,
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
        let layout = Arc::clone(&self.layout);
        let projections: Vec<Registered> =
            self.wanted.iter().map(|wanted| wanted.projection.clone()).collect();
        let fresh = move || {
            projections.iter().map(|projection| Shard::new(projection, Arc::clone(&layout))).collect()
        };
        let sink = Arc::new(Stripes {
            router: Arc::new(self.router()),
            workers: Arc::clone(&self.workers),
            stripes: (0..self.shards).map(|_| Mutex::new(fresh())).collect(),
            fresh: Box::new(fresh),
            memory: Arc::clone(memory),
            recorders: self.recorders(),
            outgrown: AtomicBool::new(false),
        });
        let read = scan::read(self.source, &self.ranges(), self.readers, &sink, &self.cancel).await;
        let mut by_projection: Vec<Vec<Shard>> = self.wanted.iter().map(|_| Vec::new()).collect();
        for stripe in sink.stripes.iter() {
            let shards = std::mem::take(&mut *stripe.lock().unwrap_or_else(PoisonError::into_inner));
            by_projection.iter_mut().zip(shards).for_each(|(all, shard)| all.push(shard));
        }
        if sink.outgrown.load(Ordering::Relaxed) {
            self.workers.discard(by_projection);
            return Ok(InMemory::Outgrown);
        }
        let by = read?;
        let targets: Vec<usize> =
            self.wanted.iter().map(|wanted| wanted.projection.spec().targets().len()).collect();
        let sorting = by_projection.into_iter().zip(targets).map(|(shards, targets)| async move {
            let sorting = shards.into_iter().map(|shard| self.workers.run(move || Sorted::new(shard)));
            let sorted = futures::future::try_join_all(sorting).await?;
            Ok::<_, Error>(Arc::new(FoldedStreams::new(sorted, targets)))
        });
        Ok(InMemory::Done(futures::future::try_join_all(sorting).await?, by))
    }
}

/// Folds the commits of a batch into the shards, and returns what was folded for each projection, and whether
/// the memory suffices.
fn fold(
    batch: &dyn RawCommits,
    router: &Router,
    stripes: &[Stripe],
    begin_with: usize,
    memory: &Memory,
) -> Result<(Vec<FoldCounts>, bool)> {
    let lists = router.by_shard(batch.documents()?, batch.limit(), stripes.len());
    let lists = lists.map_err(|_| Error::Mismatch("the server sent a broken batch".into()))?;
    let (mut counts, mut fits) = (Vec::new(), true);
    let mut left: VecDeque<usize> = (0..stripes.len()).collect();
    left.retain(|at| lists.get(*at).is_some_and(|lists| lists.iter().any(|list| !list.is_empty())));
    let first = begin_with.checked_rem(left.len()).unwrap_or(0);
    left.rotate_left(first);
    let mut busy = 0;
    while let Some(at) = left.pop_front() {
        let Some((stripe, lists)) = stripes.get(at).zip(lists.get(at)) else { continue };
        // A stripe at which somebody else is at work is come back to, unless all are like that.
        let mut shards = match stripe.try_lock() {
            Ok(shards) => shards,
            Err(_) if busy < left.len() => {
                busy += 1;
                left.push_back(at);
                continue;
            }
            Err(_) => stripe.lock().unwrap_or_else(PoisonError::into_inner),
        };
        busy = 0;
        counts.resize(shards.len(), FoldCounts::default());
        for ((shard, list), counts) in shards.iter_mut().zip(lists).zip(&mut counts) {
            shard.push(list);
            counts.add(shard.take_counts());
        }
        fits &= relieved(&mut shards, at, memory);
    }
    Ok((counts, fits))
}

/// Whether the memory suffices for the shards of this number.
fn relieved(shards: &mut [Shard], number: usize, memory: &Memory) -> bool {
    let used = |shards: &[Shard]| memory.uses(number, shards.iter().map(Shard::bytes).sum());
    let mut over = used(shards);
    // A huge stream out of order is given up and read again later; many of them call for another strategy.
    while over > 0 && shards.iter_mut().any(|shard| shard.relieve(memory.budget() / 8)) {
        over = used(shards);
    }
    over == 0
}

impl BatchSink for Stripes {
    fn waited(&self, time: Duration) {
        self.recorders.iter().for_each(|recorder| recorder.batch_read(time));
    }

    fn take(&self, reader: usize, batch: CommitBatch) -> BoxFuture<'_, Result<()>> {
        async move {
            if self.outgrown.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let (router, stripes, memory) =
                (Arc::clone(&self.router), Arc::clone(&self.stripes), Arc::clone(&self.memory));
            let folded = self.workers.run(move || fold(&*batch, &router, &stripes, reader, &memory));
            let (counts, fits) = folded.await??;
            self.recorders.iter().zip(&counts).for_each(|(recorder, counts)| recorder.folded(counts));
            if !fits {
                self.outgrown.store(true, Ordering::Relaxed);
            }
            Ok(())
        }
        .boxed()
    }

    fn begin_again(&self) -> BoxFuture<'_, Result<()>> {
        for stripe in self.stripes.iter() {
            let mut shards = stripe.lock().unwrap_or_else(PoisonError::into_inner);
            self.workers.discard(std::mem::replace(&mut *shards, (self.fresh)()));
        }
        self.recorders.iter().for_each(Recorder::read_again);
        futures::future::ready(Ok(())).boxed()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
