//! A build that is open to workers, in stream order or with an exchange: this process leads it, and takes
//! part.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, Retryable};

use crate::engine::pass::Survey;
use crate::engine::run::build::{Build, milliseconds};
use crate::engine::run::context::Run;
use crate::engine::workers::{Presence, SharedPartitions, shared_input};
use crate::error::{Class, Error, Result};
use crate::lifecycle::BuildState;
use crate::observe::WorkersShown;
use crate::pipeline::{self, pauses};
use crate::plan::{Choice, Estimate, Strategy, StreamRange};
use crate::store::{Claims, PlanRecord, Store};

/// How often a build goes on after a transient failure of this process, which is one of many attempts.
const AGAIN: u32 = 2;
/// Pause between two looks at the workers, for the metrics.
const SHOWN_EVERY: Duration = Duration::from_secs(2);
/// Parts of the event store for each reader of each process, so that none waits long for the last one.
const PARTS_PER_READER: u32 = 4;

impl Run {
    /// The strategy: where several processes build together, each reads streams of its own. Workers that
    /// merely wait for a build count where reading that way costs little.
    pub(super) async fn choose(&self, survey: &Survey, estimates: &[Estimate]) -> Result<Choice> {
        let (tuning, sharing) = (self.settings.tuning(), self.settings.sharing());
        let expected = self.expected_workers().await?;
        let is_said = sharing.workers > 1 || sharing.lead_only;
        Ok(match tuning.strategy {
            Some(Strategy::Exchange) => {
                Choice { strategy: Strategy::Exchange, reason: "as was asked for".into() }
            }
            Some(Strategy::Natural | Strategy::Spill) if is_said => {
                let reason = format!("{expected} processes read in natural order, as was asked for");
                Choice { strategy: Strategy::Exchange, reason }
            }
            None if expected > 1 => survey.share(estimates, tuning, expected),
            _ => survey.choose(estimates, tuning),
        })
    }

    /// Number of processes that build together: as was said, or as many as wait for it, and this one.
    pub(super) async fn expected_workers(&self) -> Result<u32> {
        let (sharing, ttl) = (self.settings.sharing(), self.settings.lease().ttl.as_secs_f64());
        let workers = match self.store.builds().workers().await {
            // Who may not ask builds alone.
            Err(Error::Permission { .. }) => Vec::new(),
            workers => workers?,
        };
        let waiting = workers.iter().filter(|worker| {
            !worker.row.leads && !worker.is_abandoned && worker.row.last_beat_seconds <= ttl
        });
        let waiting = u32::try_from(waiting.count()).unwrap_or(u32::MAX);
        Ok(sharing.workers.max(waiting.saturating_add(1)).max(if sharing.lead_only { 2 } else { 1 }))
    }

    /// Folds the unfinished partitions together with all workers that come.
    pub(super) async fn fold_with_workers(
        &self,
        build: &mut Build,
        strategy: Strategy,
        began: Instant,
    ) -> Result<()> {
        let (mut todo, mut touched, mut again) = (build.todo.clone(), build.resumed, 0);
        if strategy == Strategy::Exchange {
            self.open_exchange(build).await?;
        }
        loop {
            build.staging()?.open_to_workers(&todo, touched).await?;
            let folded = self.fold_once(build).await;
            if self.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            // No claim counts from now on; what was being built is built anew.
            let staging = &build.job.staging;
            let close = || staging.close_to_workers();
            if let Err(error) = &folded
                && !self.goes_on_after(error, build, again)
            {
                // Once, so that the error is told in time: whoever comes next closes it as well.
                if let Err(second) = close().await {
                    tracing::debug!(error = %second.with_sources(), "the build can't be closed to workers");
                }
                return folded;
            }
            let left = close.retry(pauses()).when(is_transient).await?;
            match folded {
                Ok(()) if left.is_empty() => break,
                Ok(()) => {
                    tracing::warn!(left = left.len(), "partitions were opened again at the last moment")
                }
                // This process was taken for dead while it leads: it comes anew.
                Err(Error::Fenced { .. } | Error::LeaseLost { .. } | Error::Interrupted) => {
                    tracing::warn!("this process was taken for dead among the workers; it claims anew");
                }
                // What failed is noted, and tried by whoever comes next.
                Err(error) if is_transient(&error) && again < AGAIN => {
                    again += 1;
                    tracing::warn!(error = %error.with_sources(), "going on with what is left");
                }
                Err(error) => {
                    let error = error.with_sources();
                    tracing::warn!(%error, "the parts can't be read; reading in stream order");
                    self.read_in_stream_order(build).await?;
                }
            }
            (todo, touched) = (left, true);
            // What ended with the last attempt is begun anew.
            build.job_mut()?.cancel = self.cancel.child_token();
        }
        let staging = &build.job.staging;
        let sums = || staging.sums();
        let sums = sums.retry(pauses()).when(is_transient).await?;
        (build.counts, build.digest) = sums;
        build.timings.build_ms = milliseconds(began);
        // Nothing that anybody still writes, late, reaches them from now on.
        self.seal(build).await?;
        if let Err(error) = self.drop_exchange(build).await {
            // It goes with what else is left when the build is published.
            tracing::warn!(error = %error.with_sources(), "the exchange can't be dropped now");
        }
        if !build.hosts.is_empty()
            && let Some(required) = &build.job.required
        {
            // What their streams looked up was noted in other processes.
            required.forget();
        }
        self.folded(build, began).await
    }

    /// Whether this process goes on with a shared build after an error: it was taken for dead while it leads,
    /// or what failed with an exchange may be had otherwise.
    fn goes_on_after(&self, error: &Error, build: &Build, again: u32) -> bool {
        match error {
            Error::Fenced { .. } | Error::LeaseLost { .. } | Error::Interrupted => {
                self.mandate.check().is_ok()
            }
            error if build.record().exchange.is_some() => {
                is_transient(error) && again < AGAIN || may_read_otherwise(error)
            }
            _ => false,
        }
    }

    /// Divides the natural order of the event store into parts that are open to all workers. Where it can't
    /// be divided, the streams are read one by one.
    async fn open_exchange(&self, build: &mut Build) -> Result<()> {
        let ranges: Vec<StreamRange> = build.todo.iter().map(|partition| partition.range.clone()).collect();
        let readers = u32::try_from(self.settings.tuning().readers).unwrap_or(u32::MAX);
        let at_least =
            self.expected_workers().await?.saturating_mul(readers).saturating_mul(PARTS_PER_READER);
        let source = build.job.source.clone();
        let divide = || source.divide(&ranges, at_least);
        match divide.retry(pauses()).when(is_transient).await? {
            Some(parts) => {
                tracing::info!(build = build.record().id, parts = parts.len(), "reading in parts");
                let staging = &build.job.staging;
                let open = || staging.open_exchange(&parts, &build.todo);
                let exchange = open.retry(pauses()).when(is_transient).await?;
                build.staging()?.record.exchange = Some(exchange);
                Ok(())
            }
            None => {
                tracing::warn!("the event store has no parts; reading in stream order");
                self.read_in_stream_order(build).await
            }
        }
    }

    /// Goes over from an exchange to stream order.
    async fn read_in_stream_order(&self, build: &mut Build) -> Result<()> {
        self.drop_exchange(build).await?;
        let plan = build.record().plan.clone().map(|plan| PlanRecord {
            strategy: Strategy::Stream,
            reason: format!("{}, but the parts could not be read", plan.reason),
            ..plan
        });
        build.staging()?.record.plan = plan;
        Ok(())
    }

    async fn drop_exchange(&self, build: &mut Build) -> Result<()> {
        let staging = &build.job.staging;
        let drop = || staging.drop_exchange();
        drop.retry(pauses()).when(is_transient).await?;
        build.staging()?.record.exchange = None;
        Ok(())
    }

    async fn seal(&self, build: &mut Build) -> Result<()> {
        for pause in pauses().build() {
            match build.staging()?.seal().await {
                Err(error) if is_transient(&error) => {
                    let error = error.with_sources();
                    tracing::warn!(%error, "the collections can't be sealed now; trying again");
                    tokio::time::sleep(pause).await;
                }
                other => return other,
            }
        }
        build.staging()?.seal().await
    }

    /// Takes part until no partition is left.
    async fn fold_once(&self, build: &mut Build) -> Result<()> {
        let lease = self.settings.lease();
        let join = || Presence::join(&self.store, lease, self.progress.subscribe(), &self.cancel, true);
        let here = join.retry(pauses()).when(is_transient).await?;
        let folded = self.fold_shared(build, &here).await;
        here.leave().await;
        build.staging()?.claims = None;
        folded
    }

    async fn fold_shared(&self, build: &mut Build, here: &Presence) -> Result<()> {
        let claims = Arc::new(Claims::of(&here.id));
        build.staging()?.claims = Some(Arc::clone(&claims));
        here.works_on(Some((build.record().id.clone(), claims)));
        let shared = SharedPartitions::of(
            &self.store,
            &build.job.staging,
            (&here.id, true),
            self.settings.lease(),
            (&build.recorder, &here.cancel),
        );
        let fold = async {
            if self.settings.sharing().lead_only {
                return shared.finished_by_others().await;
            }
            let input = shared_input(&build.job, self.settings.tuning().memory_bytes);
            pipeline::run(&build.job, &Arc::new(shared), &input).await.map(|_| ())
        };
        let mut shown = WorkersShown::default();
        let folded = tokio::select! {
            folded = fold => folded,
            () = show_workers(&self.store, &mut shown) => Ok(()),
        };
        shown.show(std::iter::empty());
        here.works_on(None);
        folded?;
        let staging = &build.job.staging;
        let built_by = || staging.built_by();
        let (hosts, others) = built_by.retry(pauses()).when(is_transient).await?;
        if others {
            tracing::info!(build = build.record().id, ?hosts, "built by several processes");
            build.hosts = hosts;
        }
        Ok(())
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

/// Shows the workers in the metrics, for as long as it is asked to.
async fn show_workers(store: &Store, shown: &mut WorkersShown) {
    loop {
        match store.builds().workers().await {
            Ok(workers) => shown.show(workers.iter().map(|worker| &worker.row)),
            Err(error) => tracing::debug!(error = %error.with_sources(), "the workers can't be seen"),
        }
        tokio::time::sleep(SHOWN_EVERY).await;
    }
}

/// Whether another way of reading may help.
fn may_read_otherwise(error: &Error) -> bool {
    matches!(error, Error::Server { .. } | Error::State { .. } | Error::Mismatch(_) | Error::Unsupported(_))
        || is_transient(error)
}

fn is_transient(error: &Error) -> bool {
    error.class() == Class::Transient
}
