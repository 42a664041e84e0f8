//! Surveys an event store before it is read: sizes, a random sample, a timed sample; then chooses a plan.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::BoxStream;
use statefold_projections::{Commit, Registered};

use crate::config::Tuning;
use crate::error::{Error, Result};
use crate::fold::{Documents, FoldedStreams, Lookups, Shard, Sorted};
use crate::lifecycle::stream_hash;
use crate::pipeline::ports::CommitBatch;
use crate::pipeline::{Governor, Workers};
use crate::plan::{Choice, Estimate, PassFacts, Sample, StoreSample, Strategy, StreamRange, partition_count};
use crate::store::{EventStore, Store, StreamIndex, is_out_of_time};

/// Commits of a sample in stream order.
const MEASURED_COMMITS: u64 = 20_000;
/// Commits of the random sample for each partition.
const SAMPLES_PER_CUT: u32 = 20;
/// Least and largest size of the random sample, in commits.
const SAMPLES: (u32, u32) = (1000, 10_000);
/// Largest event store, in commits, that is folded without a timed sample.
pub(crate) const FEW_COMMITS: u64 = 20_000;
/// Share of a projection's commits in its timed sample: one of so many.
const TIMED_SHARE: u64 = 50;
/// Least and largest size of a timed sample, in commits.
const TIMED_COMMITS: (u64, u64) = (500, 5000);
/// Percentage of all commits below which a projection's commits are rare, and are sampled by the index.
const SHARE_RARE: u64 = 10;

/// Measurements of an event store and of the streams to be folded.
pub(crate) struct Survey {
    /// The random sample.
    pub(crate) store: StoreSample,
    /// What to expect of each projection.
    pub(crate) estimates: Vec<Estimate>,
}

impl Survey {
    /// Surveys an event store. If `timed` has threads to fold on, some commits are read and folded to measure
    /// the time and the memory of the states; else both are guessed.
    ///
    /// # Errors
    /// If the event store can't be read.
    pub(crate) async fn of(
        events: &EventStore,
        selected: &[Registered],
        tuning: &Tuning,
        timed: Option<&Workers>,
    ) -> Result<Self> {
        let count = events.estimated_count().await?;
        let parts = partition_count(count, tuning.threads, tuning.partitions);
        let samples = parts.saturating_mul(SAMPLES_PER_CUT).clamp(SAMPLES.0, SAMPLES.1);
        let store = events.survey(samples).await?;
        let mut estimates = Vec::new();
        for projection in selected {
            let filter = projection.spec().stream_filter();
            let known = store.estimate(filter, events.layout());
            let rare = known.commits.saturating_mul(100) < store.commits.saturating_mul(SHARE_RARE);
            let sample = match timed {
                Some(workers) => {
                    let size = (known.commits / TIMED_SHARE).clamp(TIMED_COMMITS.0, TIMED_COMMITS.1);
                    timed_sample(events, projection, (rare, size), workers).await?
                }
                None => Sample::default(),
            };
            // A small event store may be in the sample as a whole.
            let streams = known.streams.max(sample.streams);
            let commits = known.commits.max(sample.commits);
            estimates.push(sample.scale(commits, streams, tuning.readers.min(tuning.threads)));
        }
        Ok(Self { store, estimates })
    }

    /// The event store as the source of a pass, with everything acknowledged until `since`.
    pub(crate) fn source(
        &self,
        store: &Store,
        stream_index: StreamIndex,
        since: Option<bson::Timestamp>,
        (tuning, governor): (&Tuning, &Governor),
    ) -> EventStore {
        store
            .events()
            .source(stream_index, since, tuning.batch_commits)
            .natural_by(tuning.natural_by, tuning.part_commits)
            .paced(governor)
            .with_commits_of(self.store.bytes / self.store.commits.max(1))
    }

    /// Chooses the strategy for reading the streams of these estimates together.
    pub(crate) fn choose(&self, wanted: &[Estimate], tuning: &Tuning) -> Choice {
        if let (Some(shards), None) = (&self.store.shards, tuning.strategy) {
            let reason = format!("each of {} shards is read by ranges of streams", shards.shards().len());
            return Choice { strategy: Strategy::Stream, reason };
        }
        // Who works alone has nobody to exchange anything with.
        let forced = tuning.strategy.filter(|strategy| *strategy != Strategy::Exchange);
        self.facts(wanted, tuning).choose(forced)
    }

    /// Chooses how so many processes read the streams of these estimates.
    pub(crate) fn share(&self, wanted: &[Estimate], tuning: &Tuning, processes: u32) -> Choice {
        if self.store.shards.is_some() {
            return self.choose(wanted, tuning);
        }
        self.facts(wanted, tuning).share(processes, wanted.len())
    }

    fn facts(&self, wanted: &[Estimate], tuning: &Tuning) -> PassFacts {
        PassFacts {
            commits: self.store.commits,
            bytes: self.store.bytes,
            wanted_commits: wanted.iter().map(|estimate| estimate.commits).sum(),
            states_bytes: wanted.iter().map(|estimate| estimate.state_bytes).sum(),
            cache_bytes: self.store.cache_bytes,
            memory_bytes: tuning.memory_bytes as u64,
        }
    }

    /// Number of partitions for a projection: by its size, and so that the states of the partitions that are
    /// folded at the same time need no more than half of the memory.
    pub(crate) fn partitions(&self, estimate: &Estimate, tuning: &Tuning) -> u32 {
        let at_work = estimate.state_bytes.saturating_mul(2 * tuning.readers as u64);
        let by_memory =
            u32::try_from(at_work.div_ceil(tuning.memory_bytes.max(1) as u64)).unwrap_or(u32::MAX);
        match tuning.partitions {
            Some(forced) => partition_count(estimate.commits, tuning.threads, Some(forced)),
            None => {
                let by_size = partition_count(estimate.commits, tuning.threads, None);
                partition_count(estimate.commits, tuning.threads, Some(by_size.max(by_memory)))
            }
        }
    }
}

/// Seconds to read a commit of a projection in this order, and to read and fold one, each with one cursor.
/// `None` if the server doesn't find its commits in time in natural order.
pub(crate) async fn seconds_of(
    strategy: Strategy,
    events: &EventStore,
    projection: &Registered,
    workers: &Workers,
) -> Result<Option<(f64, f64)>> {
    let range = StreamRange::of(projection.spec().stream_filter());
    let first = || match strategy {
        Strategy::Stream => events.sample(&range, MEASURED_COMMITS),
        _ => events.first_commits(&range, MEASURED_COMMITS),
    };
    let measured = async {
        // What is read first comes from the disk, perhaps: it is read once before.
        let mut read = Duration::ZERO;
        for _ in 0..2 {
            let (began, mut batches) = (Instant::now(), first());
            while let Some(batch) = batches.next().await {
                batch?;
            }
            read = began.elapsed();
        }
        let sample = folded(events, projection, first(), workers).await?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let commits = sample.commits.max(1) as f64;
        Ok((read.as_secs_f64() / commits, sample.seconds.max(read.as_secs_f64()) / commits))
    };
    match measured.await {
        Err(error) if is_out_of_time(&error) => Ok(None),
        measured => measured.map(Some),
    }
}

/// Reads and folds some commits in memory: the first ones, or, if these are hard to find, those that come
/// first in the index.
async fn timed_sample(
    events: &EventStore,
    projection: &Registered,
    (rare, commits): (bool, u64),
    workers: &Workers,
) -> Result<Sample> {
    let range = StreamRange::of(projection.spec().stream_filter());
    if !rare {
        match folded(events, projection, events.first_commits(&range, commits), workers).await {
            Err(error) if is_out_of_time(&error) => {
                let name = projection.spec().name();
                tracing::info!(
                    projection = name,
                    "few of the first commits are wanted: sampling by the index"
                );
            }
            sample => return sample,
        }
    }
    folded(events, projection, events.sample(&range, commits), workers).await
}

async fn folded(
    events: &EventStore,
    projection: &Registered,
    mut batches: BoxStream<'static, Result<CommitBatch>>,
    workers: &Workers,
) -> Result<Sample> {
    let layout = Arc::new(events.layout().clone());
    let mut shard = Shard::new(projection, Arc::clone(&layout));
    let filter = projection.spec().stream_filter();
    let began = Instant::now();
    while let Some(batch) = batches.next().await {
        let (batch, layout, filter) = (batch?, Arc::clone(&layout), filter.clone());
        let fold = move || {
            for document in Documents::of(batch.documents()?).flatten() {
                let stream = Commit::stream_of(document, &layout).filter(|stream| filter.matches(stream));
                if let Some(stream) = stream {
                    shard.push_one(stream_hash(stream), document);
                }
            }
            Ok::<_, Error>(shard)
        };
        shard = workers.run(fold).await??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let targets = projection.spec().targets().len();
    workers.run(move || measured(shard, targets, seconds)).await
}

/// Measures a folded sample.
fn measured(mut shard: Shard, targets: usize, seconds: f64) -> Sample {
    let (counts, streams, state_bytes) =
        (shard.take_counts(), shard.len() as u64, shard.bytes_of_streams() as u64);
    let streams_folded = FoldedStreams::new(vec![Sorted::new(shard)], targets);
    let mut part = streams_folded.part("", None);
    let (mut snapshots, mut snapshot_bytes) = (0, 0);
    while let Some(folded) = streams_folded.take(&mut part, &mut Lookups::default(), 1 << 20) {
        snapshots += folded.counts.snapshots;
        snapshot_bytes += folded.snapshots.byte_len() as u64;
    }
    let (commits, commit_bytes, events) = (counts.commits, counts.bytes, counts.events);
    Sample { commits, commit_bytes, events, streams, snapshots, snapshot_bytes, state_bytes, seconds }
}
