//! Verifies builds before the cut-over: compares them with an independent fold of the event store.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Instant;

use crate::engine::pass::Survey;
use crate::engine::run::build::{Build, milliseconds};
use crate::engine::run::context::Run;
use crate::engine::verify::{Comparison, ComparisonOutcome, Kind, Recheck, Subject, Verified};
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, Head, Share, Verify, stream_hash};
use crate::observe::Phase;
use crate::pipeline::ports::Staging;
use crate::plan::Estimate;
use crate::store::{BuildRecord, Feed};

/// Rounds in which streams that differ are caught up and rechecked.
const ROUNDS: u32 = 4;
/// Number of differences named in an error.
const EXAMPLES_MAX: usize = 5;

impl Run {
    /// Verifies all builds that are caught up, in one pass over the event store. Returns for each build the
    /// error that keeps it from being published, if there is one.
    pub(super) async fn verify(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
        survey: &Survey,
    ) -> Result<Vec<Option<Error>>> {
        self.governor.step().await?;
        for build in builds.iter_mut().filter(|build| is_due(build)) {
            self.prove_rest(build).await?;
        }
        let is_unproven = |build: &Build| self.has_events && build.is_unproven();
        let is_wanted = self.has_events && self.settings.tuning().verify != Verify::Heads;
        let due = |build: &Build| is_unproven(build) || is_wanted && is_due(build) && !build.proof.stored;
        let due: Vec<usize> =
            (0..).zip(builds.iter()).filter(|(_, build)| due(build)).map(|(at, _)| at).collect();
        self.advance_others(builds, &due).await?;
        let began = Instant::now();
        let comparison = self.comparison(Share::ALL);
        let unknown: Vec<usize> =
            due.iter().copied().filter(|at| builds.get(*at).is_some_and(is_unproven)).collect();
        unknown.iter().filter_map(|at| builds.get(*at)).for_each(Build::begin_lookups);
        let subjects: Vec<Subject> =
            due.iter().filter_map(|at| builds.get(*at)).map(|build| subject(build, survey)).collect();
        let outcomes =
            if subjects.is_empty() { Vec::new() } else { comparison.run(&subjects, survey).await? };
        let mut refused: Vec<Option<Error>> = builds.iter().map(|_| None).collect();
        for ((at, subject), outcome) in due.into_iter().zip(&subjects).zip(outcomes) {
            let Some(build) = builds.get_mut(at) else { continue };
            build.recorder.enter(Phase::Verifying, 0);
            let result = if unknown.contains(&at) {
                self.judge_unproven(&comparison, build, feed, (subject, survey), outcome).await
            } else {
                self.judge(&comparison, build, feed, subject, &outcome).await
            };
            build.timings.verify_ms += milliseconds(began);
            build.verified = Some("full");
            match result {
                Ok(None) if build.record().state != BuildState::CatchingUp => {}
                Ok(None) => self.advance_verified(build).await?,
                Ok(Some(error)) => {
                    self.record_failure(build, &error).await;
                    if let Some(place) = refused.get_mut(at) {
                        *place = Some(error);
                    }
                }
                Err(error) => {
                    self.record_failure(build, &error).await;
                    return Err(error);
                }
            }
        }
        Ok(refused)
    }

    /// Comparison of a share of the streams.
    pub(super) fn comparison(&self, share: Share) -> Comparison<'_> {
        Comparison {
            store: &self.store,
            settings: &self.settings,
            stream_index: self.stream_index.clone(),
            workers: &self.workers,
            progress: &self.progress,
            cancel: &self.cancel,
            governor: self.governor.clone(),
            share,
        }
    }

    /// Advances the builds that are proven, or of which only the heads are to be compared: that is done
    /// already.
    async fn advance_others(&self, builds: &mut [Build], due: &[usize]) -> Result<()> {
        for (at, build) in builds.iter_mut().enumerate() {
            if due.contains(&at) {
                continue;
            }
            let is_new = build.record().state == BuildState::CatchingUp;
            build.verified = match build.proof.stored {
                true => Some("proof"),
                false => is_new.then_some("heads"),
            };
            if is_new {
                self.advance_verified(build).await?;
            }
        }
        Ok(())
    }

    async fn advance_verified(&self, build: &mut Build) -> Result<()> {
        let (counts, digest, timings) = (build.counts, build.digest.to_string(), build.timings);
        let (how, milliseconds) = (build.verified, timings.verify_ms);
        tracing::info!(build = %build.record().id, how, milliseconds, "verified");
        let verified = |record: &mut BuildRecord| {
            record.timings = timings;
            record.counts = counts.into();
            record.digest = Some(digest);
        };
        build.staging()?.advance(BuildState::Verified, verified).await
    }

    /// As [`Self::judge`], of a build whose streams may have looked up what is out of date: all that differ
    /// are refolded first, however many there are.
    pub(super) async fn judge_unproven(
        &self,
        comparison: &Comparison<'_>,
        build: &mut Build,
        feed: Option<&Feed>,
        (subject, survey): (&Subject, &Survey),
        mut outcome: ComparisonOutcome,
    ) -> Result<Option<Error>> {
        loop {
            build.dirty.extend(outcome.suspects.streams.iter().cloned());
            if outcome.suspects.more == 0 {
                return self.judge(comparison, build, feed, subject, &outcome).await;
            }
            // There was no memory for the names of the others.
            self.catch_up(build, feed).await?;
            let again = comparison.run(std::slice::from_ref(subject), survey).await?;
            match again.into_iter().next() {
                Some(next) if next.suspects.more < outcome.suspects.more => outcome = next,
                _ => return self.judge(comparison, build, feed, subject, &outcome).await,
            }
        }
    }

    /// Rechecks what differs from the event store. Returns an error that names the remaining differences, if
    /// there are any.
    pub(super) async fn judge(
        &self,
        comparison: &Comparison<'_>,
        build: &mut Build,
        feed: Option<&Feed>,
        subject: &Subject,
        outcome: &ComparisonOutcome,
    ) -> Result<Option<Error>> {
        let mut names: Vec<String> = outcome.suspects.streams.iter().cloned().collect();
        if outcome.suspects.is_empty() && outcome.foreign == 0 {
            let whole = comparison.share.is_all() && build.exclusively_ours;
            let (expected, found, noted) = (outcome.expected, outcome.found, build.digest);
            return Ok((whole && (found != noted || expected != noted)).then(|| {
                Error::Mismatch(format!(
                    "{}: the digest of what was written is {noted}, of what is stored {found}, \
                     of what the events give {expected}",
                    build.record().id
                ))
            }));
        }
        // Their hashes differ: most likely they were folded too early or too late.
        let mut recheck = Recheck::default();
        for _ in 0..ROUNDS {
            if names.is_empty() {
                break;
            }
            self.catch_up(build, feed).await?;
            build.recorder.enter(Phase::Verifying, 0);
            let recorded = self.recorded_of(build, &names).await?;
            recheck = comparison.look_again(subject, &names, build.exclusively_ours, Some(&recorded)).await?;
            if recheck.left > 0 {
                break;
            }
            names = recheck.streams();
            self.refold_differing(build, &recheck);
        }
        if let Some(first) = recheck.moving.first() {
            tracing::info!(
                build = %build.record().id, streams = recheck.moving.len(), first,
                "streams changed whenever they were compared; they are folded again before the cut-over"
            );
            build.dirty.extend(recheck.moving.iter().cloned());
        }
        let verified = Verified::of(subject, comparison.share, outcome, recheck);
        Ok(verified.differs().then(|| mismatch(&build.record().id, &verified)))
    }

    /// Lets the next catching up refold what differs although it stood still: its head doesn't tell, for
    /// example after a commit in its midst was replaced.
    fn refold_differing(&self, build: &mut Build, recheck: &Recheck) {
        let streams: BTreeSet<String> =
            recheck.differences.iter().map(|difference| difference.stream.clone()).collect();
        if let Some(first) = streams.first() {
            tracing::warn!(
                build = %build.record().id, streams = streams.len(), first,
                "streams differ from the event store; refolding them"
            );
            // If somebody else wrote them, the digests of the partitions lack what was stored.
            build.exclusively_ours = false;
        }
        build.dirty.extend(streams);
    }

    /// Recorded heads of these streams, whose names are sorted.
    pub(super) async fn recorded_of(&self, build: &Build, names: &[String]) -> Result<HashMap<u64, Head>> {
        let wanted: HashSet<u64> = names.iter().map(|name| stream_hash(name)).collect();
        let mut recorded = HashMap::new();
        for partition in build.job.staging.partitions() {
            let range = &partition.range;
            let first = names.partition_point(|name| *name < range.first);
            let holds = |name: &String| range.end.as_ref().is_none_or(|end| name < end);
            if names.get(first).is_some_and(holds) {
                let heads = build.job.staging.recorded_heads(&partition).await?;
                recorded.extend(heads.into_iter().filter(|(hash, _)| wanted.contains(hash)));
            }
        }
        Ok(recorded)
    }
}

/// Whether a build is to be verified now: a new one, or one whose cut-over was interrupted before readers
/// used it.
fn is_due(build: &Build) -> bool {
    let state = build.record().state;
    state == BuildState::CatchingUp || state == BuildState::Published && !build.is_live()
}

/// A build as the subject of a comparison.
pub(super) fn subject(build: &Build, survey: &Survey) -> Subject {
    let estimate = survey.estimates.get(build.position).copied().unwrap_or_default();
    Subject { estimate, ..subject_of(build) }
}

/// As [`subject`], without an estimate.
pub(super) fn subject_of(build: &Build) -> Subject {
    Subject {
        projection: build.job.projection.clone(),
        collections: build.collections(),
        required: build.job.required.clone(),
        partitions: build.job.staging.partitions(),
        estimate: Estimate::default(),
        records: None,
    }
}

/// Describes the differences in an error.
pub(super) fn mismatch(what: &str, verified: &Verified) -> Error {
    let Verified { missing, extra, differing, suspected, .. } = verified;
    let mut text = format!(
        "{what} differs from the event store: \
         {missing} snapshots are missing, {extra} too many, {differing} differ"
    );
    if *suspected > 0 {
        text.push_str(&format!(", and {suspected} more seem to"));
    }
    if verified.foreign > 0 {
        text.push_str(&format!("; {} documents have an _id that is no text", verified.foreign));
    }
    for difference in verified.differences.iter().take(EXAMPLES_MAX) {
        let how = match difference.kind {
            Kind::Missing => "is missing",
            Kind::Extra => "is one too many",
            Kind::Differing | Kind::Stale => "differs",
        };
        text.push_str(&format!("\n  {} {how}", difference.id));
        for field in &difference.fields {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
            let (expected, found) = (shown(&field.expected), shown(&field.found));
            text.push_str(&format!("\n    {}: {found} instead of {expected}", field.path));
        }
    }
    Error::Mismatch(text)
}
