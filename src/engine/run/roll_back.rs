//! The way back: the generation that was active before is caught up, verified, and cut over to.

use statefold_projections::{Registered, Registry};

use crate::engine::pass::Survey;
use crate::engine::run::build::{Build, milliseconds};
use crate::engine::run::context::Run;
use crate::engine::run::report::RebuildReport;
use crate::engine::run::verify::subject;
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, Share, Verify};
use crate::observe::Phase;
use crate::store::{BuildRecord, Feed, Store};

/// A generation to go back to.
pub(crate) struct RollbackTarget {
    pub(super) projection: Registered,
    record: BuildRecord,
}

/// The generations that were active before, with the projections that can fold them.
///
/// # Errors
/// [`Error::Unsupported`] says why one of them can't be gone back to.
pub(crate) async fn rollback_targets(
    store: &Store,
    registry: &Registry,
    selected: Vec<Registered>,
    named: bool,
) -> Result<Vec<RollbackTarget>> {
    let mut rollback_targets = Vec::new();
    for projection in selected {
        match rollback_target(store, registry, &projection).await {
            Ok(former) => rollback_targets.push(former),
            // Of all projections those are meant that have one.
            Err(Error::Unsupported(reason)) if !named => {
                tracing::info!(projection = projection.spec().name(), reason, "left out");
            }
            Err(error) => return Err(error),
        }
    }
    if rollback_targets.is_empty() {
        return Err(Error::Unsupported("no projection has a generation to go back to".into()));
    }
    Ok(rollback_targets)
}

async fn rollback_target(
    store: &Store,
    registry: &Registry,
    projection: &Registered,
) -> Result<RollbackTarget> {
    let name = projection.spec().name();
    let active = store.control().active(name).await?;
    let Some(previous) = active.as_ref().and_then(|active| active.previous.first()) else {
        return Err(Error::Unsupported(format!("{name} has no generation to go back to")));
    };
    let number = previous.generation;
    let pointed = active.as_ref().map(|active| active.active);
    let records = store.builds().records(Some(name)).await?;
    let record = records.iter().find(|record| record.generation == number).cloned();
    let existing = store.collection_names().await?;
    let (Some(record), true) = (record, previous.collections.iter().all(|one| existing.contains(one))) else {
        return Err(Error::Unsupported(format!("generation {number} of {name} isn't there any more")));
    };
    let cut_short = records.iter().find(|one| {
        one.state == BuildState::Published && one.generation != number && Some(one.generation) != pointed
    });
    if let Some(other) = cut_short {
        return Err(Error::Unsupported(format!(
            "a cut-over to {} was cut short: finish it first with `statefold cutover {name} --yes`, or, if readers \
             don't use it yet, give it up with `statefold abort {name} --yes`; then roll back",
            other.id
        )));
    }
    // Its record may not know yet that it isn't active any more.
    if !matches!(record.state, BuildState::Retired | BuildState::Published | BuildState::Active) {
        return Err(Error::State {
            build: record.id,
            expected: "a generation that was active before".into(),
            actual: record.state.to_string(),
        });
    }
    let version = record.projection_version;
    let Some(projection) = registry.of_version(name, version) else {
        return Err(Error::Unsupported(format!(
            "generation {number} was built with version {version} of {name}, which this program doesn't have (it has \
             version {}): use one that has it, or register it with Registry::register_former",
            projection.spec().version()
        )));
    };
    Ok(RollbackTarget { projection: projection.clone(), record })
}

impl Run {
    /// Goes back to these generations, all in one update.
    pub(super) async fn roll_back_to(&self, rollback_targets: Vec<RollbackTarget>) -> Result<RebuildReport> {
        let selected: Vec<Registered> = rollback_targets.iter().map(|one| one.projection.clone()).collect();
        let survey = self.survey_with_retries(&selected).await?;
        let feed = self.follow(&selected).await?;
        if let Some(feed) = &feed {
            feed.begin();
        }
        let result = self.back(rollback_targets, &survey, feed.as_ref()).await;
        if let Some(feed) = feed {
            feed.end().await;
        }
        result
    }

    async fn back(
        &self,
        rollback_targets: Vec<RollbackTarget>,
        survey: &Survey,
        feed: Option<&Feed>,
    ) -> Result<RebuildReport> {
        let mut builds = Vec::new();
        for (position, former) in rollback_targets.into_iter().enumerate() {
            let mut build = self.open_published(former.record, &former.projection, position).await?;
            build.exclusively_ours = false;
            let others = self.others(&former.projection, &builds).await?;
            build.job_mut()?.others = others;
            builds.push(build);
        }
        let result = self.switch_back(&mut builds, survey, feed).await;
        if let Err(error) = &result {
            for build in &builds {
                if let Err(second) = self.stay(build).await {
                    let (id, second) = (&build.record().id, second.with_sources());
                    tracing::debug!(build = %id, error = %second, "the next run sees to this record");
                }
            }
            tracing::debug!(error = %error.with_sources(), "the roll back failed");
        }
        result
    }

    async fn switch_back(
        &self,
        builds: &mut [Build],
        survey: &Survey,
        feed: Option<&Feed>,
    ) -> Result<RebuildReport> {
        for build in builds.iter_mut() {
            build.recorder.enter(Phase::CatchingUp, 0);
            self.catch_up(build, feed).await?;
        }
        if let (Verify::Streams(share), true) = (self.settings.tuning().verify, self.has_events) {
            self.verify_again(builds, survey, feed, share).await?;
        }
        let (projections, cut_over) = self.cut_over(builds, feed).await?;
        let weakness = self.store.facts.weakness().map(str::to_owned);
        Ok(RebuildReport {
            projections,
            pass: None,
            postponed: false,
            cut_over: vec![cut_over],
            databases_with_events: Vec::new(),
            weakness,
        })
    }

    /// Verifies generations that the application may have written meanwhile: the order of fields doesn't
    /// count.
    async fn verify_again(
        &self,
        builds: &mut [Build],
        survey: &Survey,
        feed: Option<&Feed>,
        share: Share,
    ) -> Result<()> {
        let began = std::time::Instant::now();
        let comparison = self.comparison(share);
        let subjects: Vec<_> = builds.iter().map(|build| subject(build, survey)).collect();
        let outcomes = comparison.run(&subjects, survey).await?;
        for ((build, subject), outcome) in builds.iter_mut().zip(&subjects).zip(&outcomes) {
            (build.counts, build.digest) = (outcome.counts, outcome.found);
            if let Some(error) = self.judge(&comparison, build, feed, subject, outcome).await? {
                return Err(error);
            }
            // What nobody but us has written has the digest that its partitions give.
            let undisturbed = share.is_all() && outcome.suspects.is_empty();
            if undisturbed && build.job.staging.sums().await?.1 == outcome.found {
                build.exclusively_ours = true;
            }
            build.timings.verify_ms = milliseconds(began);
        }
        Ok(())
    }
}
