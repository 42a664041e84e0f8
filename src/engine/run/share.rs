//! A build in stream order, open to workers: this process leads it, and takes part.

use std::sync::Arc;
use std::time::Instant;

use crate::engine::pass::Survey;
use crate::engine::run::build::{Build, milliseconds};
use crate::engine::run::context::Run;
use crate::engine::workers::{Presence, SharedPartitions};
use crate::error::{Error, Result};
use crate::lifecycle::BuildState;
use crate::pipeline::{self, Input};
use crate::plan::{Choice, Estimate, Strategy};
use crate::store::Claims;

impl Run {
    /// The strategy: where several processes build together, each reads streams of its own. Workers that
    /// merely wait for a build count where reading that way costs little.
    pub(super) async fn choose(&self, survey: &Survey, estimates: &[Estimate]) -> Result<Choice> {
        let (tuning, sharing) = (self.settings.tuning(), self.settings.sharing());
        let expected = self.expected_workers().await?;
        let is_said = sharing.workers > 1 || sharing.lead_only;
        if tuning.strategy.is_none() && expected > 1 && (is_said || survey.is_cached()) {
            let reason = format!("{expected} processes build together, and each reads whole streams");
            return Ok(Choice { strategy: Strategy::Stream, reason });
        }
        Ok(survey.choose(estimates, tuning))
    }

    /// Number of processes that build together: as was said, or as many as wait for it, and this one.
    pub(super) async fn expected_workers(&self) -> Result<u32> {
        let (sharing, ttl) = (self.settings.sharing(), self.settings.lease().ttl.as_secs_f64());
        let workers = self.store.builds().workers().await?;
        let waiting = workers.iter().filter(|worker| {
            !worker.row.leads && !worker.is_abandoned && worker.row.last_beat_seconds <= ttl
        });
        let waiting = u32::try_from(waiting.count()).unwrap_or(u32::MAX);
        Ok(sharing.workers.max(waiting.saturating_add(1)).max(if sharing.lead_only { 2 } else { 1 }))
    }

    /// Folds the unfinished partitions together with all workers that come.
    pub(super) async fn fold_with_workers(&self, build: &mut Build, began: Instant) -> Result<()> {
        let (todo, resumed) = (build.todo.clone(), build.resumed);
        build.staging()?.open_to_workers(&todo, resumed).await?;
        let lease = self.settings.lease();
        let here = Presence::join(&self.store, lease, self.progress.subscribe(), &self.cancel, true).await?;
        let folded = self.fold_shared(build, &here).await;
        here.leave().await;
        let others = match (folded, self.cancel.is_cancelled()) {
            (_, true) => return Err(Error::Interrupted),
            (folded, false) => folded?,
        };
        (build.counts, build.digest) = build.job.staging.sums().await?;
        build.timings.build_ms = milliseconds(began);
        if others {
            // Nothing that a worker still writes, late, reaches them from now on.
            build.staging()?.seal().await?;
            // What their streams looked up was noted in other processes.
            if let Some(required) = &build.job.required {
                required.forget();
            }
        }
        self.folded(build, began).await
    }

    /// Returns whether others took part.
    async fn fold_shared(&self, build: &mut Build, here: &Presence) -> Result<bool> {
        let claims = Arc::new(Claims::of(&here.id));
        build.staging()?.claims = Some(Arc::clone(&claims));
        here.works_on(Some((build.record().id.clone(), claims)));
        let shared = SharedPartitions::of(
            &self.store,
            &build.job.staging,
            &here.id,
            self.settings.lease(),
            &self.cancel,
        );
        let folded = if self.settings.sharing().lead_only {
            shared.finished_by_others().await
        } else {
            pipeline::run(&build.job, &Arc::new(shared), &Input::Streams).await.map(|_| ())
        };
        here.works_on(None);
        let (hosts, others) = match folded {
            Ok(()) => build.job.staging.built_by().await?,
            Err(error) => {
                build.staging()?.claims = None;
                return Err(error);
            }
        };
        build.staging()?.claims = None;
        if others {
            tracing::info!(build = build.record().id, ?hosts, "built by several processes");
            build.hosts = hosts;
        }
        Ok(others)
    }

    /// Notes that everything is folded and written.
    pub(super) async fn folded(&self, build: &mut Build, began: Instant) -> Result<()> {
        if !build.todo.is_empty() {
            let counts = build.counts;
            tracing::info!(
                build = build.record().id,
                commits = counts.commits,
                events = counts.events,
                streams = counts.streams,
                snapshots = counts.snapshots,
                failed_streams = counts.failed_streams,
                seconds = began.elapsed().as_secs_f64(),
                "folded"
            );
        }
        let (counts, digest, timings) = (build.counts, build.digest.to_string(), build.timings);
        build
            .staging()?
            .advance(BuildState::Indexing, |record| {
                record.counts = counts.into();
                record.digest = Some(digest);
                record.timings = timings;
                record.failure = None;
                record.shared = false;
            })
            .await
    }
}
