//! The steps of one build between planning and publishing.

use std::sync::Arc;
use std::time::Instant;

use statefold_projections::Registered;

use crate::engine::run::context::Run;
use crate::error::{Error, Result};
use crate::fold::{Digest, FoldCounts};
use crate::lifecycle::{BuildState, CutOverMode};
use crate::observe::Recorder;
use crate::pipeline;
use crate::pipeline::{Input, Job};
use crate::plan::Partition;
use crate::store::{BuildRecord, BuildStore, EventStore, Failure, SwapRecord, TargetRecord, Timings};

/// Failed streams named in an error.
const EXAMPLES_MAX: i64 = 5;

/// One build at work.
pub(super) struct Build {
    pub(super) job: Arc<Job<EventStore, BuildStore>>,
    pub(super) recorder: Recorder,
    /// Position of the projection in the run: in the feed and in the survey.
    pub(super) position: usize,
    /// How readers will find it.
    pub(super) mode: CutOverMode,
    /// Whether nobody but us has written it: then every byte counts, and the digest.
    pub(super) exclusively_ours: bool,
    /// The names it will take from the active generation, once they are known.
    pub(super) swap: Option<Vec<SwapRecord>>,
    pub(super) todo: Vec<Partition>,
    pub(super) resumed: bool,
    /// Whether anything may differ from the event store: only a comparison tells.
    pub(super) needs_full_compare: bool,
    /// Streams refolded so far.
    pub(super) refolded: u64,
    pub(super) counts: FoldCounts,
    pub(super) digest: Digest,
    pub(super) timings: Timings,
}

impl Build {
    pub(super) fn record(&self) -> &BuildRecord {
        &self.job.staging.record
    }

    /// Where the snapshots of a target are now.
    pub(super) fn readable_collection<'a>(&'a self, target: &'a TargetRecord) -> &'a str {
        let at = self
            .record()
            .targets
            .iter()
            .position(|candidate| candidate.target == target.target)
            .unwrap_or_default();
        self.job.staging.collection_of(at).unwrap_or(&target.staging)
    }

    /// What the pipeline works with, to change it. Only between steps: while partitions are at work it
    /// is shared.
    pub(super) fn job_mut(&mut self) -> Result<&mut Job<EventStore, BuildStore>> {
        Arc::get_mut(&mut self.job).ok_or_else(|| Error::Bug("a partition is still at work".into()))
    }

    /// Whether readers use it already, because it has taken their collection's name.
    pub(super) fn is_live(&self) -> bool {
        self.record().swap.iter().flatten().any(|swap| swap.done)
    }

    /// Its collections, wherever they are now.
    pub(super) fn collections(&self) -> Vec<String> {
        let targets = 0..self.record().targets.len();
        targets.filter_map(|target| self.job.staging.collection_of(target).map(str::to_owned)).collect()
    }

    /// The records, to change them.
    pub(super) fn staging(&mut self) -> Result<&mut BuildStore> {
        self.job_mut().map(|job| &mut job.staging)
    }
}

pub(super) fn milliseconds(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)
}

impl Run {
    /// Folds and writes the partitions that are to do, in a pass that began then.
    pub(super) async fn fold_partitions(
        &self,
        build: &mut Build,
        input: &Input,
        began: Instant,
    ) -> Result<()> {
        let todo = std::mem::take(&mut build.todo);
        let done = pipeline::run(&build.job, todo.clone(), input, !build.resumed).await;
        let done = match (done, self.cancel.is_cancelled()) {
            (_, true) => return Err(Error::Interrupted),
            (done, false) => done?,
        };
        build.todo = todo;
        build.counts.add(done.counts);
        build.digest.merge(done.digest);
        build.timings.build_ms = milliseconds(began);
        let (counts, digest, timings) = (build.counts, build.digest.to_string(), build.timings);
        build
            .staging()?
            .advance(BuildState::Indexing, |record| {
                record.counts = counts.into();
                record.digest = Some(digest);
                record.timings = timings;
                record.failure = None;
            })
            .await
    }

    /// Builds the indexes of all targets.
    pub(super) async fn index(&self, build: &mut Build) -> Result<()> {
        let began = Instant::now();
        let spec = build.job.projection.spec().clone();
        build.job.staging.create_indexes(&spec).await?;
        if self.cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        build.timings.index_ms = milliseconds(began);
        let timings = build.timings;
        build.staging()?.advance(BuildState::CatchingUp, |record| record.timings = timings).await
    }

    /// Records why a build ended. What can't be recorded is logged: the first error is the one to show.
    pub(super) async fn record_failure(&self, build: &mut Build, error: &Error) {
        // An interrupted build simply is where it was; one that was fenced is another's.
        if matches!(error, Error::Interrupted | Error::Fenced { .. } | Error::LeaseLost { .. }) {
            return;
        }
        let failure = Failure { code: error.code().to_owned(), message: error.with_sources() };
        let recorded = match build.staging() {
            Ok(staging) => staging.advance(BuildState::Failed, |record| record.failure = Some(failure)).await,
            Err(error) => Err(error),
        };
        if let Err(second) = recorded {
            tracing::debug!(error = %second.with_sources(), "the failure can't be recorded");
        }
    }

    /// After the lease was lost: removes what late writes of this process left, if another one goes on
    /// with the build. What can't be removed, the next run removes.
    pub(super) async fn drop_leftovers(&self, build: &Build, error: &Error) {
        let noticed = matches!(error, Error::Fenced { .. } | Error::LeaseLost { .. });
        if self.leadership.lost().is_none() && !noticed {
            return;
        }
        match build.job.staging.drop_leftovers().await {
            Ok(dropped) if dropped.is_empty() => {}
            Ok(dropped) => tracing::info!(?dropped, "dropped what was written too late"),
            Err(error) => {
                tracing::debug!(error = %error.with_sources(), "late writes may have left something")
            }
        }
    }

    /// An older program must not replace what a newer one built.
    pub(super) async fn refuse_downgrade(&self, projection: &Registered) -> Result<()> {
        let (name, known) = (projection.spec().name(), projection.spec().version());
        match self.store.control().active(name).await? {
            Some(active) if active.projection_version > known => {
                let what = format!("the active generation of {name}");
                Err(Error::Newer { what, found: active.projection_version, known })
            }
            _ => Ok(()),
        }
    }

    /// Too many failed streams: the build is kept, but not published.
    pub(super) async fn refuse(&self, build: &Build) -> Result<Error> {
        let record = build.record();
        let failed_streams = self.store.builds().failed_streams(Some(&record.id), EXAMPLES_MAX).await?;
        let example = |failed_stream: &crate::store::StoredFailedStream| {
            let event = if failed_stream.event_type.is_empty() {
                String::new()
            } else {
                format!(" ({})", failed_stream.event_type)
            };
            format!(
                "{} at event {}{event}: {}",
                failed_stream.stream, failed_stream.offset, failed_stream.message
            )
        };
        Ok(Error::FailedStreams {
            projection: record.projection.clone(),
            failed_streams: build.counts.failed_streams,
            streams: build.counts.streams,
            allowed: self.settings.tuning().max_errors.to_string(),
            examples: failed_streams.iter().map(example).collect(),
        })
    }
}
