//! Opens a build: resumes an unfinished one, or plans a new one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use statefold_projections::Registered;

use crate::config::Tuning;
use crate::engine::pass::Survey;
use crate::engine::required::{required_later, required_of};
use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::engine::run::proof::Proof;
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, CutOverMode, Unnamed, fingerprint, is_fingerprint_of};
use crate::observe::{Phase, Recorder};
use crate::pipeline::ports::HeadDetail;
use crate::pipeline::{Job, JobContext, PartitionsDone, check_partition};
use crate::plan::{Estimate, GenerationNames, Partition, ShardMap, StreamRange, divide, next_generation};
use crate::store::{BuildOrigin, BuildRecord, BuildStore, EventStore, TargetRecord, Timings};

/// Divisor of a partition's streams: it is kept if at most this share of them differs, and that is refolded.
const REFOLDED_SHARE: u64 = 4;

impl Run {
    /// Opens the build to work on, with the partitions that are still to be folded.
    pub(super) async fn open(
        &self,
        projection: &Registered,
        survey: &Survey,
        position: usize,
    ) -> Result<Build> {
        let spec = projection.spec();
        let recorder = Recorder::new(spec.name(), &self.progress);
        recorder.begin(Phase::Planning, 0);
        // Asked for before the first read, which then sees everything acknowledged until now.
        let since = self.store.operation_time().await?;
        let source = survey.source(
            &self.store,
            self.stream_index.clone(),
            since,
            (self.settings.tuning(), &self.governor),
        );
        let found = self.resumable(projection).await?;
        let was_complete = found.as_ref().is_some_and(|record| record.state == BuildState::Verified);
        let (staging, resumed) = match found {
            Some(record) => (self.resume(record, projection, since).await?, true),
            None => {
                let estimate = survey.estimates.get(position).copied().unwrap_or_default();
                (self.plan(projection, since, survey, &estimate).await?, false)
            }
        };
        let job = self.job(projection, source, staging, &recorder);
        let partitions = job.staging.partitions();
        let (done, todo, needs_full_compare) = if resumed {
            self.still_good(&job, partitions).await?
        } else {
            (PartitionsDone::default(), partitions, false)
        };
        let id = &job.staging.record.id;
        if resumed {
            let kept = job.staging.partitions().len() - todo.len();
            tracing::info!(build = %id, kept, redo = todo.len(), "resuming the build");
        } else {
            tracing::info!(build = %id, partitions = todo.len(), "planned");
        }
        Ok(Build {
            recorder,
            position,
            mode: CutOverMode::default(),
            exclusively_ours: true,
            swap: None,
            todo,
            resumed,
            was_complete,
            dirty: BTreeSet::new(),
            unnamed: if needs_full_compare || since.is_none() { Unnamed::Unknown } else { Unnamed::Clean },
            folded: None,
            named_until: None,
            drained: BTreeSet::new(),
            touched: None,
            proof: Proof::default(),
            verified: None,
            due_lookups: HashSet::new(),
            refolded: 0,
            counts: done.counts,
            digest: done.digest,
            job,
            timings: Timings::default(),
            hosts: BTreeMap::new(),
        })
    }

    /// Job that the pipeline works on.
    pub(super) fn job(
        &self,
        projection: &Registered,
        source: EventStore,
        staging: BuildStore,
        progress: &Recorder,
    ) -> Arc<Job<EventStore, BuildStore>> {
        let tuning = self.settings.tuning();
        let context = JobContext {
            layout: &self.store.layout,
            workers: &self.workers,
            recorder: progress,
            cancel: &self.cancel,
            batch_docs: tuning.batch_docs,
            batch_bytes: tuning.batch_bytes,
            readers: tuning.readers,
        };
        let job = Job::new(source, staging, projection, &context).with_governor(self.governor.clone());
        Arc::new(job.with_required(required_later(&self.store, projection, &self.settings)))
    }

    /// Finds the unfinished build to resume. Builds that can't or shouldn't be resumed are aborted.
    async fn resumable(&self, projection: &Registered) -> Result<Option<BuildRecord>> {
        let spec = projection.spec();
        let records = self.store.builds().records(Some(spec.name())).await?;
        for record in records {
            if !record.state.is_resumable() {
                continue;
            }
            let other = !is_fingerprint_of(&record.fingerprint, spec, &self.store.layout);
            if !self.request.fresh && !other {
                return Ok(Some(record));
            }
            let reason = if other {
                "it was begun with another version or definition"
            } else {
                "a fresh one was asked for"
            };
            tracing::warn!(build = %record.id, reason, "giving up the unfinished build");
            let prefix = spec.stream_filter().first();
            let mut build = self.store.builds().adopt(record, prefix, &self.mandate).await?;
            build.abort().await?;
        }
        Ok(None)
    }

    /// Takes over an unfinished build: its token, its checkpoints, its staging collections.
    async fn resume(
        &self,
        record: BuildRecord,
        projection: &Registered,
        t0: Option<bson::Timestamp>,
    ) -> Result<BuildStore> {
        let prefix = projection.spec().stream_filter().first();
        let mut build = self.store.builds().adopt(record, prefix, &self.mandate).await?;
        if build.record.state == BuildState::Planned {
            // Not all of its collections may exist; those that do are empty.
            build.drop_staging().await?;
            build.name_staging();
            build.create_staging().await?;
        } else {
            build.adopt_staging().await?;
        }
        // The time that the scans of this run wait for, not a later one: no event may fall between the two.
        build.advance(BuildState::Building, |record| record.t0 = t0).await?;
        Ok(build)
    }

    /// Plans a new build and creates its staging collections.
    async fn plan(
        &self,
        projection: &Registered,
        t0: Option<bson::Timestamp>,
        survey: &Survey,
        estimate: &Estimate,
    ) -> Result<BuildStore> {
        let spec = projection.spec();
        if estimate.commits == 0 && self.store.control().active(spec.name()).await?.is_some() {
            let projection = spec.name();
            tracing::warn!(
                projection,
                "none of its streams is in the event store: the generation will be empty"
            );
        }
        let range = StreamRange::of(spec.stream_filter());
        // Enough for all who build, to the end.
        let threads = self.settings.tuning().threads.saturating_mul(self.expected_workers().await? as usize);
        let tuning = Tuning { threads, ..*self.settings.tuning() };
        let cuts = survey.store.cuts(&range, survey.partitions(estimate, &tuning));
        let ranges: Vec<StreamRange> =
            divide(&range, &cuts).into_iter().map(|partition| partition.range).collect();
        let shard = |shards: &ShardMap, range| shards.shard_of(range).unwrap_or_default().to_owned();
        let shards = survey.store.shards.as_ref();
        let shards = shards.map(|shards| ranges.iter().map(|range| shard(shards, range)).collect());
        let records = self.store.builds().records(Some(spec.name())).await?;
        let recorded: Vec<u32> = records.iter().map(|record| record.generation).collect();
        let generation = next_generation(spec, &self.store.collection_names().await?, &recorded)
            .map_err(|error| Error::Unsupported(error.to_string()))?;
        let (token, own) = (self.mandate.token, self.store.database());
        let targets = spec
            .targets()
            .iter()
            .map(|target| TargetRecord::new(target, GenerationNames::new(target, generation, token), own));
        let targets = targets.collect();
        let print = fingerprint(spec, &self.store.layout);
        let origin = BuildOrigin { fingerprint: print, token: self.mandate.token };
        let record = BuildRecord::new(spec, generation, targets, ranges, origin);
        let record = BuildRecord { t0, shards: shards.unwrap_or_default(), ..record };
        let mut build =
            self.store.builds().create(record, spec.stream_filter().first(), &self.mandate).await?;
        build.create_staging().await?;
        build.advance(BuildState::Building, |_| {}).await?;
        Ok(build)
    }

    /// Divides the partitions of a resumed build: finished ones that still agree with the event store for the
    /// most part are kept, the others are folded again. Also returns whether some of the kept streams differ.
    async fn still_good(
        &self,
        job: &Arc<Job<EventStore, BuildStore>>,
        partitions: Vec<Partition>,
    ) -> Result<(PartitionsDone, Vec<Partition>, bool)> {
        let (mut done, mut needs_full_compare) = (PartitionsDone::default(), false);
        let mut good = HashSet::new();
        for checkpoint in job.staging.checkpoints().await? {
            let partition = partitions.iter().find(|partition| partition.number == checkpoint.partition);
            let (Some(partition), Some(digest)) = (partition, checkpoint.digest()) else { continue };
            if self.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let difference = check_partition(job, partition, HeadDetail::Everything).await?;
            let differing = difference.moved + difference.new_streams + difference.gone;
            let streams = u64::try_from(checkpoint.counts.streams).unwrap_or(0);
            if differing.saturating_mul(REFOLDED_SHARE) <= streams {
                done.add(checkpoint.counts.into(), digest);
                good.insert(partition.number);
                needs_full_compare |= differing > 0;
            }
        }
        let todo = partitions.into_iter().filter(|partition| !good.contains(&partition.number)).collect();
        Ok((done, todo, needs_full_compare))
    }

    /// Counts the commits of these partitions.
    pub(super) async fn commits_of(&self, source: &EventStore, partitions: &[Partition]) -> Result<u64> {
        let mut commits = 0;
        for partition in partitions {
            commits += source.count(&partition.range).await?;
        }
        Ok(commits)
    }

    /// Gives a build what its projection requires: of each required projection the build in this run, else
    /// the active generation.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] if there is neither.
    pub(super) async fn require(&self, build: &mut Build, before: &[Build]) -> Result<()> {
        let projection = build.job.projection.clone();
        let built = |name: &str| {
            let records = before.iter().map(Build::record);
            let mut ids = records.filter(|record| record.projection.eq_ignore_ascii_case(name));
            ids.next().map(|record| record.id.clone())
        };
        let required = required_of(&self.store, &projection, &self.settings, built).await?;
        build.job_mut()?.required = required;
        Ok(())
    }
}
