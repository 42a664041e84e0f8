//! A whole run: connect, lead, and for each projection plan, build, index, check; then lock and publish.
//!
//! This file is the table of contents; each step lives in the room that knows how.

mod build;
mod catch_up;
mod context;
mod cut_over;
mod finish;
mod fold;
mod limits;
mod open;
mod publish;
mod recover;
mod report;
mod request;
mod roll_back;
mod two_phases;
mod verify;

use backon::Retryable;
use futures::FutureExt;
use statefold_projections::Registered;

use crate::engine::pass::{FEW_COMMITS, Survey};
use crate::error::{Class, Error, Result};
use crate::lifecycle::BuildState;
use crate::pipeline::pauses;
use crate::store::Feed;
use build::Build;
use recover::Finished;

pub(crate) use context::{Begun, Caller, Run};
pub use report::{Built, CutOver, RebuildReport};
pub use request::Rebuild;
pub(crate) use request::WhenFinished;
pub(crate) use roll_back::rollback_targets;
pub(crate) use two_phases::{cannot_read, name_of};

impl Run {
    /// Builds these projections and publishes them, step by step. A panic is an error, so that lease and
    /// migration lock are not left behind.
    pub(crate) async fn rebuild(&self, selected: &[Registered], when: WhenFinished) -> Result<RebuildReport> {
        guarded(self.rebuild_all(selected, when)).await
    }

    /// Goes back to the generations before, step by step: [`RollbackTarget`] says to which.
    pub(crate) async fn roll_back(&self, selected: Vec<Registered>, named: bool) -> Result<RebuildReport> {
        guarded(async {
            self.settle_all(&selected).await?;
            // Looked at again: before the lease somebody else may have been at work.
            let targets = rollback_targets(&self.store, &self.registry, selected, named).await?;
            self.roll_back_to(targets).await
        })
        .await
    }

    async fn rebuild_all(&self, selected: &[Registered], when: WhenFinished) -> Result<RebuildReport> {
        self.refuse_unwanted(selected).await?;
        let survey = self.survey_with_retries(selected).await?;
        self.refuse_shortage(selected, &survey).await?;
        // Before the first read: whatever is written from now on shows in it.
        let feed = self.follow(selected).await?;
        let result = self.build_and_publish(selected, &survey, feed.as_ref(), when).await;
        if let Some(feed) = feed {
            feed.end().await;
        }
        result
    }

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
            Err(error) => return Err(self.keep_complete(builds, feed, survey, error).await?),
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
    async fn refuse_unwanted(&self, selected: &[Registered]) -> Result<()> {
        for projection in selected {
            self.refuse_downgrade(projection).await?;
            self.refuse_nameless(projection).await?;
        }
        Ok(())
    }

    /// Opens a build of each projection: the one that is complete, an unfinished one, or a new one.
    async fn open_all(
        &self,
        selected: &[Registered],
        survey: &Survey,
        when: WhenFinished,
    ) -> Result<Vec<Build>> {
        let mut builds = Vec::new();
        for (position, projection) in selected.iter().enumerate() {
            builds.push(match self.finished_before(projection, position).await? {
                Finished::Waiting(mut build) => {
                    let others = self.required_snapshots(projection, &builds).await?;
                    build.job_mut()?.others = others;
                    *build
                }
                Finished::Already if when == WhenFinished::Keep => continue,
                Finished::Already | Finished::No => self.open(projection, survey, position).await?,
            });
        }
        Ok(builds)
    }

    /// Records that folding failed. A server that starts publishes what is complete all the same. Returns the
    /// failure.
    async fn keep_complete(
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
            builds.retain(|build| !matches!(build.record().state, BuildState::Building | BuildState::Failed));
            self.finish_each(builds, feed, survey).await?;
        }
        Ok(error)
    }

    async fn survey_with_retries(&self, selected: &[Registered]) -> Result<Survey> {
        let survey = || self.survey(selected);
        let transient = |error: &Error| error.class() == Class::Transient && !self.cancel.is_cancelled();
        survey.retry(pauses()).when(transient).await
    }

    /// Looks at the event store before anything is decided.
    async fn survey(&self, selected: &[Registered]) -> Result<Survey> {
        let tuning = self.settings.tuning();
        let events = self.store.events().source(self.direction, None, tuning.batch_commits);
        let many = events.estimated_count().await? > FEW_COMMITS;
        Survey::of(&events, selected, tuning, many.then_some(&*self.workers)).await
    }
}

/// A panic is an error, so that lease and migration lock are not left behind.
async fn guarded(work: impl Future<Output = Result<RebuildReport>>) -> Result<RebuildReport> {
    let result = std::panic::AssertUnwindSafe(work).catch_unwind().await;
    result.unwrap_or_else(|_| Err(Error::Bug("the rebuild panicked".into())))
}
