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
pub(crate) mod roll_back;
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
use recover::Finished;

pub(crate) use limits::govern;
pub use report::CutOver;
pub use report::{Built, RebuildReport};

/// A panic is an error, so that lease and lock are not left behind.
pub(crate) async fn guarded(work: impl Future<Output = Result<RebuildReport>>) -> Result<RebuildReport> {
    let result = std::panic::AssertUnwindSafe(work).catch_unwind().await;
    result.unwrap_or_else(|_| Err(Error::Bug("the rebuild panicked".into())))
}

impl Run {
    /// Builds and publishes.
    pub(crate) async fn rebuilt(&self, selected: &[Registered]) -> Result<RebuildReport> {
        guarded(self.all(selected)).await
    }

    /// Builds all projections and publishes them.
    async fn all(&self, selected: &[Registered]) -> Result<RebuildReport> {
        for projection in selected {
            self.refuse_downgrade(projection).await?;
            self.refuse_nameless(projection).await?;
        }
        let survey = self.survey_with_retries(selected).await?;
        self.refuse_shortage(selected, &survey).await?;
        // Before the first read: whatever is written from now on shows in it.
        let feed = self.follow(selected).await?;
        let result = self.build_and_publish(selected, &survey, feed.as_ref()).await;
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
    ) -> Result<RebuildReport> {
        let mut builds = Vec::new();
        for (position, projection) in selected.iter().enumerate() {
            builds.push(match self.finished_before(projection, position).await? {
                Finished::Waiting(mut build) => {
                    let others = self.others(projection, &builds).await?;
                    build.job_mut()?.others = others;
                    *build
                }
                // Nothing more was wanted.
                Finished::Already if self.task != Task::Rebuild => continue,
                Finished::Already | Finished::No => self.open(projection, survey, position).await?,
            });
        }
        let folded = self.fold(&mut builds, survey, selected).await;
        if let Some(feed) = feed {
            feed.begin();
        }
        if let Err(error) = &folded {
            // Those that are complete stay what they are.
            for build in builds.iter_mut().filter(|build| build.record().state == BuildState::Building) {
                self.record_failure(build, error).await;
                self.drop_leftovers(build, error).await;
            }
        }
        let pass = match (folded, self.publishing) {
            (Ok(pass), _) => pass,
            (Err(error), Publishing::Together) => return Err(error),
            (Err(error), Publishing::Each) if self.cancel.is_cancelled() => return Err(error),
            (Err(error), Publishing::Each) => {
                builds.retain(|build| {
                    !matches!(build.record().state, BuildState::Building | BuildState::Failed)
                });
                self.finish_each(builds, feed, survey).await?;
                return Err(error);
            }
        };
        let (projections, cut_over) = match self.publishing {
            Publishing::Together => self.finish_together(builds, feed, survey).await?,
            Publishing::Each => self.finish_each(builds, feed, survey).await?,
        };
        let weakness = self.store.facts.weakness().map(str::to_owned);
        let (postponed, databases_with_events) = (self.request.postpone, Vec::new());
        Ok(RebuildReport { projections, pass, postponed, cut_over, databases_with_events, weakness })
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

pub(crate) use context::{LockFor, Publishing, Run};
pub use request::Rebuild;
pub(crate) use request::Task;
pub(crate) use two_phases::{cannot_read, name_of};
