//! One run under the lease: survey the event store, open builds, fold them in one pass, complete and verify
//! them, cut over; or roll back.
//!
//! This file is the table of contents; each step lives in the file that has its name.

mod build;
mod catch_up;
mod context;
mod cut_over;
mod deeds;
mod drain;
mod fence;
mod finish;
mod fold;
mod limits;
mod modes;
mod open;
mod proof;
mod prove;
mod publish;
mod recover;
mod report;
mod request;
mod roll_back;
mod share;
mod trail;
mod two_phases;
mod verify;

use backon::Retryable;
use futures::FutureExt;
use statefold_projections::Registered;

use crate::engine::pass::{FEW_COMMITS, Survey};
use crate::error::{Class, Error, Result};
use crate::lifecycle::{BuildState, Fencing};
use crate::pipeline::pauses;
use crate::store::Feed;
use build::Build;
use recover::Recovered;

pub(crate) use build::refuse_downgrade;
pub(crate) use context::{Run, RunInputs};
pub(crate) use fence::refuse_past;
pub(crate) use modes::check_mode;
pub use report::{Built, CutOver, RebuildReport, Remark};
pub use request::Rebuild;
pub(crate) use request::{Caller, WhenFinished};
pub(crate) use roll_back::rollback_targets;
pub(crate) use two_phases::{cannot_read, name_of};

impl Run {
    /// Builds these projections and publishes them. A panic becomes an error, so that lease and migration
    /// lock are released.
    pub(crate) async fn rebuild(&self, selected: &[Registered], when: WhenFinished) -> Result<RebuildReport> {
        guarded(self.rebuild_all(selected, when)).await
    }

    /// Rolls back to the generations that were active before.
    pub(crate) async fn roll_back(&self, selected: Vec<Registered>, named: bool) -> Result<RebuildReport> {
        guarded(async {
            refuse_past(&self.settings, &selected)?;
            self.settle_all(&selected).await?;
            self.put_views_right(&selected).await?;
            // Looked up again under the lease: another process may have been at work before.
            let targets = rollback_targets(&self.store, &self.registry, selected, named).await?;
            self.roll_back_to(targets).await
        })
        .await
    }

    /// Surveys the event store and opens its feed; then builds and publishes.
    async fn rebuild_all(&self, selected: &[Registered], when: WhenFinished) -> Result<RebuildReport> {
        refuse_past(&self.settings, selected)?;
        self.refuse_unpublishable(selected).await?;
        self.put_views_right(selected).await?;
        let survey = self.survey_with_retries(selected).await?;
        self.refuse_shortage(selected, &survey).await?;
        // Opened before the first read, so that it shows every later change.
        let feed = self.open_feed(selected).await?;
        let result = self.build_and_publish(selected, &survey, feed.as_ref(), when).await;
        if let Some(feed) = feed {
            feed.end().await;
        }
        result
    }

    /// Opens the builds, folds them in one pass, completes, verifies and publishes them.
    async fn build_and_publish(
        &self,
        selected: &[Registered],
        survey: &Survey,
        feed: Option<&Feed>,
        when: WhenFinished,
    ) -> Result<RebuildReport> {
        let mut builds = self.open_all(selected, survey, when).await?;
        let folded = self.fold(&mut builds, survey, selected).await;
        if let Some(feed) = feed {
            feed.begin();
        }
        let pass = match folded {
            Ok(pass) => pass,
            Err(error) => return Err(self.fail_fold(builds, feed, survey, error).await?),
        };
        let (projections, cut_over) = match self.caller {
            Caller::Operator => self.finish_together(builds, feed, survey).await?,
            Caller::Start => self.finish_each(builds, feed, survey).await?,
        };
        let weakness = self.store.facts.weakness().map(str::to_owned);
        let (postponed, databases_with_events) = (self.request.postpone, Vec::new());
        Ok(RebuildReport { projections, pass, postponed, cut_over, databases_with_events, weakness })
    }

    /// Refuses projections that this program or this mode can't publish.
    async fn refuse_unpublishable(&self, selected: &[Registered]) -> Result<()> {
        for projection in selected {
            refuse_downgrade(&self.store, projection).await?;
            check_mode(&self.store, projection.spec(), &self.request, self.caller).await?;
        }
        self.store.check_cut_over(true, self.settings.tuning().fence == Some(Fencing::Short))
    }

    /// Opens a build of each projection: one that is complete, an unfinished one, or a new one.
    async fn open_all(
        &self,
        selected: &[Registered],
        survey: &Survey,
        when: WhenFinished,
    ) -> Result<Vec<Build>> {
        let mut builds = Vec::new();
        for (position, projection) in selected.iter().enumerate() {
            let mut build = match self.recover(projection, position).await? {
                Recovered::Complete(build) => *build,
                Recovered::Active if when == WhenFinished::Keep => continue,
                Recovered::Active | Recovered::Nothing => self.open(projection, survey, position).await?,
            };
            self.require(&mut build, &builds).await?;
            builds.push(build);
        }
        Ok(builds)
    }

    /// Records that folding failed, and returns that error. A server that starts still publishes the builds
    /// that are complete.
    async fn fail_fold(
        &self,
        mut builds: Vec<Build>,
        feed: Option<&Feed>,
        survey: &Survey,
        error: Error,
    ) -> Result<Error> {
        for build in builds.iter_mut().filter(|build| build.record().state == BuildState::Building) {
            self.record_failure(build, &error).await;
            self.drop_leftovers(build, &error).await;
        }
        if self.caller == Caller::Start && !self.cancel.is_cancelled() {
            let mut dropped: Vec<String> = Vec::new();
            builds.retain(|build| {
                let required = build.job.projection.spec().required();
                let is_dropped = |name: &String| dropped.iter().any(|other| other.eq_ignore_ascii_case(name));
                let is_broken = matches!(build.record().state, BuildState::Building | BuildState::Failed);
                if is_broken || required.iter().any(is_dropped) {
                    dropped.push(build.record().projection.clone());
                    return false;
                }
                true
            });
            self.finish_each(builds, feed, survey).await?;
        }
        Ok(error)
    }

    /// Surveys the event store, again after transient errors.
    async fn survey_with_retries(&self, selected: &[Registered]) -> Result<Survey> {
        let survey = || self.survey(selected);
        let transient = |error: &Error| error.class() == Class::Transient && !self.cancel.is_cancelled();
        survey.retry(pauses()).when(transient).await
    }

    /// Surveys the event store, with a timed sample unless it is small.
    async fn survey(&self, selected: &[Registered]) -> Result<Survey> {
        let tuning = self.settings.tuning();
        let events = self.store.events().source(self.stream_index.clone(), None, tuning.batch_commits);
        let many = events.estimated_count().await? > FEW_COMMITS;
        Survey::of(&events, selected, tuning, many.then_some(&*self.workers)).await
    }
}

/// Turns a panic into an error, so that lease and migration lock are released.
async fn guarded(work: impl Future<Output = Result<RebuildReport>>) -> Result<RebuildReport> {
    let result = std::panic::AssertUnwindSafe(work).catch_unwind().await;
    result.unwrap_or_else(|_| Err(Error::Bug("the rebuild panicked".into())))
}
