//! One build at work, and its steps between planning and publishing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use bson::Timestamp;
use statefold_projections::Registered;

use crate::engine::run::context::Run;
use crate::engine::run::proof::Proof;
use crate::engine::run::trail;
use crate::error::{Error, Result};
use crate::fold::{Digest, FoldCounts};
use crate::lifecycle::{BuildState, CutOverMode, Taken, Unnamed};
use crate::observe::{Phase, Recorder};
use crate::pipeline;
use crate::pipeline::{Input, Job, Queue};
use crate::plan::Partition;
use crate::store::{BuildRecord, BuildStore, EventStore, Failure, Store, SwapRecord, Timings};

/// Number of failed streams named in an error.
const EXAMPLES_MAX: i64 = 5;

/// One build at work.
pub(super) struct Build {
    pub(super) job: Arc<Job<EventStore, BuildStore>>,
    pub(super) recorder: Recorder,
    /// Position of the projection in the run: in the feed and in the survey.
    pub(super) position: usize,
    /// How readers will find the generation.
    pub(super) mode: CutOverMode,
    /// Whether only statefold has written it: then it is compared byte by byte and by its digest.
    pub(super) exclusively_ours: bool,
    /// Names that it will take from the active generation, once they are known.
    pub(super) swap: Option<Vec<SwapRecord>>,
    /// Partitions that are still to be folded.
    pub(super) todo: Vec<Partition>,
    pub(super) resumed: bool,
    /// Whether it was complete before this run.
    pub(super) was_complete: bool,
    /// Streams that changed and aren't refolded yet.
    pub(super) dirty: BTreeSet<String>,
    /// What is known of all other streams: unless they are clean, all heads have to be compared.
    pub(super) unnamed: Unnamed,
    /// Everything acknowledged up to this operation time is folded, as far as a round of catching up knows.
    pub(super) folded: Option<Timestamp>,
    /// As `folded`, but for streams whose commits were deleted.
    pub(super) named_until: Option<Timestamp>,
    /// Streams that were drained since the flip.
    pub(super) drained: BTreeSet<String>,
    /// Ids of snapshots that were refolded since the fence was raised, if it is.
    pub(super) touched: Option<HashSet<String>>,
    /// Ids of what it may have looked up and was refolded since then; what it looked up before is looked at
    /// before the fence is raised.
    pub(super) due_lookups: HashSet<String>,
    /// What is proven of it.
    pub(super) proof: Proof,
    /// How it was verified in this run, if it was.
    pub(super) verified: Option<&'static str>,
    /// Number of streams refolded so far.
    pub(super) refolded: u64,
    pub(super) counts: FoldCounts,
    pub(super) digest: Digest,
    pub(super) timings: Timings,
    /// How many partitions each host built, where several processes did.
    pub(super) hosts: BTreeMap<String, u64>,
}

impl Build {
    pub(super) fn record(&self) -> &BuildRecord {
        &self.job.staging.record
    }

    /// The pipeline's job, to change it. Possible only between steps: while partitions are at work it is
    /// shared.
    pub(super) fn job_mut(&mut self) -> Result<&mut Job<EventStore, BuildStore>> {
        Arc::get_mut(&mut self.job).ok_or_else(|| Error::Bug("a partition is still at work".into()))
    }

    /// Whether readers use it already, because it has taken the name of their collection.
    pub(super) fn is_live(&self) -> bool {
        self.record().swap.iter().flatten().any(|swap| swap.done)
    }

    /// Present names of its collections.
    pub(super) fn collections(&self) -> Vec<String> {
        let targets = 0..self.record().targets.len();
        targets.filter_map(|target| self.job.staging.collection_of(target).map(str::to_owned)).collect()
    }

    /// Enters that phase, and says so.
    pub(super) fn begin_catching_up(&self) {
        self.recorder.enter(Phase::CatchingUp, 0);
        tracing::info!(build = %self.record().id, "catching up");
    }

    /// Adds what was dirty to what has to be refolded.
    pub(super) fn due(&mut self, taken: Taken) {
        self.dirty.extend(taken.streams);
        self.unnamed = self.unnamed.max(taken.unnamed);
    }

    /// Notes that the snapshots of these streams are about to be replaced.
    pub(super) fn touch(&mut self, streams: &[String]) {
        let Some(touched) = &mut self.touched else { return };
        let filter = self.job.projection.spec().stream_filter();
        touched.extend(streams.iter().filter_map(|stream| Some(filter.key(stream)?.id().to_owned())));
    }

    /// Notes from now on what streams look up of other projections: all of them are about to be folded.
    pub(super) fn begin_lookups(&self) {
        if let Some(required) = &self.job.required {
            required.begin();
        }
    }

    /// Whether its streams may have looked up what is out of date, and which ones isn't known: it was folded,
    /// in part, by an earlier run.
    pub(super) fn is_unproven(&self) -> bool {
        !self.is_live() && self.job.required.as_ref().is_some_and(|required| !required.is_known())
    }

    /// Whether a digest of what was folded tells what should be stored.
    pub(super) fn can_be_proven(&self) -> bool {
        self.exclusively_ours && !self.record().adopted && !self.is_unproven()
    }

    /// The build's store, to change it.
    pub(super) fn staging(&mut self) -> Result<&mut BuildStore> {
        self.job_mut().map(|job| &mut job.staging)
    }
}

pub(super) fn milliseconds(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)
}

impl Run {
    /// Folds and writes the unfinished partitions, in a pass that began at `began`.
    pub(super) async fn fold_partitions(
        &self,
        build: &mut Build,
        input: &Input,
        began: Instant,
    ) -> Result<()> {
        let todo = std::mem::take(&mut build.todo);
        let done = pipeline::run(&build.job, &Queue::of(todo.clone(), !build.resumed), input).await;
        let done = match (done, self.cancel.is_cancelled()) {
            (_, true) => return Err(Error::Interrupted),
            (done, false) => done?,
        };
        build.todo = todo;
        build.counts.add(done.counts);
        build.digest.merge(done.digest);
        build.timings.build_ms = milliseconds(began);
        self.folded(build, began).await
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
        trail::indexed(&build.record().id, began);
        let timings = build.timings;
        build.staging()?.advance(BuildState::CatchingUp, |record| record.timings = timings).await
    }

    /// Records why a build failed. If that can't be recorded, it is only logged: the first error is the one
    /// to show.
    pub(super) async fn record_failure(&self, build: &mut Build, error: &Error) {
        // An interrupted build stays as it was; one that was taken over belongs to another process.
        if matches!(error, Error::Interrupted | Error::Fenced { .. } | Error::LeaseLost { .. }) {
            return;
        }
        let failure = Failure { code: error.code().to_owned(), message: error.with_sources() };
        tracing::warn!(build = %build.record().id, code = failure.code, "the build failed");
        let recorded = match build.staging() {
            Ok(staging) => staging.advance(BuildState::Failed, |record| record.failure = Some(failure)).await,
            Err(error) => Err(error),
        };
        if let Err(second) = recorded {
            tracing::debug!(error = %second.with_sources(), "the failure can't be recorded");
        }
    }

    /// Removes what late writes of this process left after the lease was lost, if another process continues
    /// the build. Whatever can't be removed now is removed by the next run.
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

    /// Describes the failed streams of a build that has too many of them to be published.
    pub(super) async fn too_many_failed(&self, build: &Build) -> Result<Error> {
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

/// Refuses to replace a generation that a newer program built.
///
/// # Errors
/// [`Error::Newer`]; what the server said.
pub(crate) async fn refuse_downgrade(store: &Store, projection: &Registered) -> Result<()> {
    let (name, known) = (projection.spec().name(), projection.spec().version());
    match store.control().active(name).await? {
        Some(active) if active.projection_version > known => {
            let what = format!("the active generation of {name}");
            Err(Error::Newer { what, found: active.projection_version, known })
        }
        _ => Ok(()),
    }
}
