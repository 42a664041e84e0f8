//! The partitions of a build that several processes share.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::error::{Class, Error, Result};
use crate::lifecycle::{Beat, BuildState, Challenger, Claim};
use crate::observe::Recorder;
use crate::pipeline::ports::{DuePartition, Failed, Next, Partitions};
use crate::plan::{Partition, turns};
use crate::store::{BuildStore, Store, Task, Unfinished};

/// Pause between two looks while all partitions that are left are claimed by others.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Pause between two log lines about the same wait.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// So many failures of workers at one task end the build, or what is read with an exchange. Each is one of
/// many attempts.
const FAILURES_MAX: i64 = 6;

/// Claims the parts and partitions of a build, one at a time, for as long as any isn't finished.
pub(crate) struct SharedPartitions {
    store: Store,
    build: BuildStore,
    partitions: Vec<Partition>,
    own: String,
    leads: bool,
    cancel: CancellationToken,
    ttl: Duration,
    judge_processes: bool,
    recorder: Recorder,
    clock: Instant,
    watched: Mutex<HashMap<String, Challenger>>,
}

impl SharedPartitions {
    /// Those of a build that this process has opened, or joined, with its claims.
    pub(crate) fn of(
        store: &Store,
        build: &BuildStore,
        (worker, leads): (&str, bool),
        lease: &crate::config::LeaseSettings,
        (recorder, cancel): (&Recorder, &CancellationToken),
    ) -> Self {
        Self {
            store: store.clone(),
            build: build.clone(),
            partitions: build.partitions(),
            own: worker.to_owned(),
            leads,
            cancel: cancel.clone(),
            ttl: lease.ttl,
            judge_processes: lease.judge_processes,
            recorder: recorder.clone(),
            clock: Instant::now(),
            watched: Mutex::default(),
        }
    }

    /// Waits until all partitions are finished, without claiming one.
    pub(crate) async fn finished_by_others(&self) -> Result<()> {
        let mut said = Instant::now();
        loop {
            match self.left_to_others(&mut said).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.class() == Class::Transient => {
                    let error = error.with_sources();
                    tracing::warn!(%error, "the workers can't be seen now; looking again");
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = self.cancel.cancelled() => return Err(Error::Interrupted),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// How many partitions aren't finished. Workers that died are dismissed, so that others may go on.
    async fn left_to_others(&self, said: &mut Instant) -> Result<usize> {
        let mut watched = self.watched.lock().await;
        let unfinished = self.build.unfinished().await?;
        self.show(&unfinished);
        self.free(&unfinished, &mut watched).await?;
        refuse_hopeless(&unfinished)?;
        if !unfinished.is_empty() && said.elapsed() >= SAY_EVERY {
            *said = Instant::now();
            let workers = self.store.builds().workers().await?;
            let workers = workers.iter().filter(|worker| worker.row.id != self.own).count();
            let (build, left) = (&self.build.record.id, unfinished.len());
            if workers == 0 {
                tracing::warn!(build, left, "no worker is there, and this process only leads");
            } else {
                tracing::info!(build, left, workers, "waiting for the partitions of other workers");
            }
        }
        Ok(unfinished.len())
    }

    async fn claim_next(&self) -> Result<Next> {
        if self.cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        self.build.check_mandate()?;
        // One look at a time in this process: its tasks would only be in each other's way.
        let mut watched = self.watched.lock().await;
        let mut unfinished = self.build.unfinished().await?;
        self.show(&unfinished);
        if unfinished.is_empty() {
            return Ok(Next::Nothing);
        }
        if self.leads {
            refuse_hopeless(&unfinished)?;
        }
        unfinished.retain(|seen| seen.failures < FAILURES_MAX);
        // All shards are read at the same time; what failed is left to others at first.
        let turns = turns(&self.build.record.shards);
        unfinished.sort_by_key(|seen| match seen.task {
            Task::Build(partition) => (seen.failures, turns.get(partition as usize).copied().unwrap_or(0)),
            Task::Read(_) => (seen.failures, 0),
        });
        for seen in self.free(&unfinished, &mut watched).await? {
            if self.build.claim(&seen).await? {
                return self.next_of(seen);
            }
        }
        drop(watched);
        Ok(if self.is_still_shared().await? { Next::Later } else { Next::Nothing })
    }

    /// Shows how far all processes together are. Reading for an exchange counts as half of it.
    fn show(&self, unfinished: &[Unfinished]) {
        let record = &self.build.record;
        let share_of = |all: usize| {
            let left = u32::try_from(unfinished.len()).unwrap_or(u32::MAX);
            1.0 - f64::from(left) / f64::from(u32::try_from(all).unwrap_or(u32::MAX).max(1))
        };
        let is_reading = unfinished.iter().any(|seen| seen.part.is_some());
        let share = match &record.exchange {
            Some(exchange) if is_reading => share_of(exchange.parts as usize) / 2.0,
            Some(exchange) => 0.5 + share_of(exchange.partitions.len()) / 2.0,
            None => share_of(self.partitions.len()),
        };
        self.recorder.shared(share.clamp(0.0, 1.0));
    }

    fn next_of(&self, seen: Unfinished) -> Result<Next> {
        let known = match (seen.task, seen.part) {
            (Task::Read(_), Some(part)) => Some(Next::Part(Box::new(part))),
            (Task::Build(number), _) => {
                let partition = self.partitions.iter().find(|partition| partition.number == number);
                let due = |partition| DuePartition { partition, fresh: seen.claims == 0 };
                partition.cloned().map(due).map(Next::Due)
            }
            (Task::Read(_), None) => None,
        };
        known.ok_or_else(|| Error::Bug(format!("{} has no task {:?}", self.build.record.id, seen.task)))
    }

    /// Those that nobody alive has claimed. Workers that are gone are dismissed.
    async fn free(
        &self,
        unfinished: &[Unfinished],
        watched: &mut HashMap<String, Challenger>,
    ) -> Result<Vec<Unfinished>> {
        let claimed_by_others =
            unfinished.iter().any(|seen| seen.worker.as_ref().is_some_and(|worker| *worker != self.own));
        let mut alive = Vec::new();
        if claimed_by_others {
            // Read after the claims: whoever has claimed one had joined before.
            for worker in self.store.builds().workers().await? {
                if worker.row.id == self.own {
                    continue;
                }
                let beat = Beat { token: 0, beat: worker.row.beat };
                let challenger =
                    watched.entry(worker.row.id.clone()).or_insert_with(|| Challenger::new(self.ttl));
                let is_stale =
                    matches!(challenger.observe(self.clock.elapsed(), Some(beat)), Claim::Stale(_));
                let is_gone = is_stale || self.judge_processes && worker.is_abandoned;
                if is_gone && self.store.builds().dismiss_worker(&worker.row.id, worker.row.beat).await? {
                    tracing::warn!(worker = worker.row.name(), "a worker is gone; its partitions are free");
                    watched.remove(&worker.row.id);
                } else {
                    alive.push(worker.row.id);
                }
            }
        }
        let is_free = |seen: &&Unfinished| {
            // What this process has claimed it is at work on: a claim whose answer was lost is free.
            let own = self.build.claims.as_ref().is_some_and(|claims| claims.holds(seen.task));
            match &seen.worker {
                Some(worker) if *worker == self.own => !own,
                Some(worker) => !alive.contains(worker),
                None => true,
            }
        };
        Ok(unfinished.iter().filter(is_free).cloned().collect())
    }

    /// Whether the build is still open to workers.
    async fn is_still_shared(&self) -> Result<bool> {
        let record = &self.build.record;
        let records = self.store.builds().records(Some(&record.projection)).await?;
        Ok(records.iter().any(|now| {
            now.id == record.id
                && now.token == record.token
                && now.shared
                && now.state == BuildState::Building
        }))
    }
}

impl Partitions for SharedPartitions {
    fn next(&self) -> BoxFuture<'_, Result<Next>> {
        self.claim_next().boxed()
    }

    fn failed<'a>(&'a self, what: Failed, error: &'a Error) -> BoxFuture<'a, ()> {
        async move {
            // What ends the process's part in the build, or is amiss with it alone, says nothing of the task.
            let is_own = matches!(
                error,
                Error::Interrupted
                    | Error::Fenced { .. }
                    | Error::LeaseLost { .. }
                    | Error::State { .. }
                    | Error::Permission { .. }
                    | Error::Unsupported(_)
                    | Error::Config(_)
            );
            if is_own {
                return;
            }
            let task = match what {
                Failed::Partition(partition) => Task::Build(partition),
                Failed::Part(part) => Task::Read(part),
            };
            if let Err(error) = self.build.note_failure(task, &error.with_sources()).await {
                tracing::debug!(error = %error.with_sources(), "the failure can't be noted");
            }
        }
        .boxed()
    }
}

/// Refuses to go on with what failed too often, wherever it was tried.
///
/// # Errors
/// What was said the last time.
fn refuse_hopeless(unfinished: &[Unfinished]) -> Result<()> {
    let hopeless = unfinished.iter().find(|seen| seen.failures >= FAILURES_MAX);
    hopeless.map_or(Ok(()), |seen| {
        let what = match seen.task {
            Task::Read(part) => format!("reading part {part} of the event store"),
            Task::Build(partition) => format!("building partition {partition}"),
        };
        Err(Error::Server {
            doing: format!("{what}, by workers, {} times,", seen.failures),
            code: None,
            transient: false,
            source: seen.failure.clone().unwrap_or_default().into(),
        })
    })
}
