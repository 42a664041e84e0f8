//! This process among the workers: it joins, tells what it does with each beat, and leaves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::OptionFuture;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{LeaseSettings, resident_bytes};
use crate::error::{Class, Error, Result};
use crate::lifecycle::Tenure;
use crate::observe::{Progress, WorkerDoing};
use crate::store::{BootInstant, Claims, Mandate, Store};

/// Longest pause between two beats, which also tell what is done.
const BEAT_AT_LEAST_EVERY: Duration = Duration::from_secs(2);
/// Leases after which a worker is forgotten that says nothing.
const FORGOTTEN_AFTER: u32 = 10;

/// Number of attempts to write a beat in the time between two, after a failure.
const RETRIES_PER_BEAT: u32 = 5;

/// A worker of this process. Dropped without [`leave`](Self::leave), it is gone for the others after a lease.
pub(crate) struct Presence {
    /// Its id.
    pub(crate) id: String,
    /// Its claims, which it holds for as long as this lasts. The token is that of no build.
    pub(crate) mandate: Mandate,
    /// Cancelled when it is dismissed, or can't say for too long that it is alive.
    pub(crate) cancel: CancellationToken,
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.stop.cancel();
        self.mandate.end();
    }
}

struct Shared {
    store: Store,
    id: String,
    mandate: Mandate,
    cancel: CancellationToken,
    progress: watch::Receiver<Progress>,
    /// The build at work, with the claims in it.
    build: Mutex<Option<(String, Arc<Claims>)>>,
    partitions_done: Mutex<u64>,
    /// Told when what it does is another thing, which is said at once.
    changed: Notify,
}

impl Presence {
    /// Joins the workers.
    pub(crate) async fn join(
        store: &Store,
        lease: &LeaseSettings,
        progress: watch::Receiver<Progress>,
        cancel: &CancellationToken,
        leads: bool,
    ) -> Result<Self> {
        let id = bson::oid::ObjectId::new().to_hex();
        let sent = BootInstant::now();
        store.builds().join_workers(&id, leads).await?;
        if let Err(error) = dismiss_forgotten(store, lease.ttl).await {
            tracing::debug!(error = %error.with_sources(), "workers that are gone can't be dismissed now");
        }
        let (mandate, cancel) = (Mandate::new(0, sent + lease.ttl), cancel.child_token());
        let shared = Arc::new(Shared {
            store: store.clone(),
            id: id.clone(),
            mandate: mandate.clone(),
            cancel: cancel.clone(),
            progress,
            build: Mutex::default(),
            partitions_done: Mutex::default(),
            changed: Notify::new(),
        });
        let stop = CancellationToken::new();
        let tenure = Tenure::new(lease.ttl, Duration::ZERO);
        let every = lease.renew_every().min(BEAT_AT_LEAST_EVERY);
        let keep = keep(Arc::clone(&shared), stop.clone(), tenure, sent, every);
        Ok(Self { id, mandate, cancel, shared, keeper: Some(tokio::spawn(keep)), stop })
    }

    /// Says which build is at work, with the claims in it.
    pub(crate) fn works_on(&self, build: Option<(String, Arc<Claims>)>) {
        *self.shared.build.lock().unwrap_or_else(PoisonError::into_inner) = build;
        self.shared.changed.notify_one();
    }

    /// Counts the partitions of a build that is no longer at work.
    pub(crate) fn finished(&self, partitions: u64) {
        *self.shared.partitions_done.lock().unwrap_or_else(PoisonError::into_inner) += partitions;
    }

    /// Leaves the workers: what is still claimed is free at once.
    pub(crate) async fn leave(mut self) {
        self.stop.cancel();
        self.mandate.end();
        if let Some(Err(error)) = OptionFuture::from(self.keeper.take()).await {
            tracing::warn!(%error, "the keeper of the worker's beat failed");
        }
        if let Err(error) = self.shared.store.builds().leave_workers(&self.id).await {
            tracing::warn!(error = %error.with_sources(), "this worker could not leave; it runs out");
        }
    }
}

/// Dismisses workers that were killed while nobody waited for them.
async fn dismiss_forgotten(store: &Store, ttl: Duration) -> Result<()> {
    let limit = (ttl * FORGOTTEN_AFTER).as_secs_f64();
    for worker in store.builds().workers().await? {
        if worker.row.last_beat_seconds > limit {
            store.builds().dismiss_worker(&worker.row.id, worker.row.beat).await?;
        }
    }
    Ok(())
}

async fn keep(
    shared: Arc<Shared>,
    stop: CancellationToken,
    mut tenure: Tenure,
    base: BootInstant,
    every: Duration,
) {
    let (mut pause, mut before) = (every, (Instant::now(), 0));
    loop {
        let left = tenure.ends().saturating_sub(base.elapsed());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause.min(left)) => {}
            () = shared.changed.notified() => {}
        }
        let sent = base.elapsed();
        if tenure.is_over(sent) {
            return shared.lose("its beat could not be written in time");
        }
        let (doing, now) = shared.doing(before);
        let left = tenure.ends() - sent;
        let beat = shared.store.builds().worker_beat(&shared.id, &doing, left.as_secs().max(1));
        let beat = tokio::time::timeout(left, beat).await.unwrap_or_else(|_| {
            Err(Error::Deadline { doing: "writing the beat of this worker".into(), seconds: left.as_secs() })
        });
        match beat {
            Ok(true) => {
                tenure.renewed(sent);
                shared.mandate.extend(base + tenure.ends());
                (pause, before) = (every, now);
            }
            Ok(false) => return shared.lose("it was taken for dead"),
            Err(error) if error.class() == Class::Transient => {
                let error = error.with_sources();
                tracing::warn!(%error, "the beat of this worker could not be written; trying again");
                pause = every / RETRIES_PER_BEAT;
            }
            Err(error) => return shared.lose(&error.with_sources()),
        }
    }
}

impl Shared {
    fn lose(&self, reason: &str) {
        tracing::error!(worker = self.id, reason, "this worker has lost its claims");
        self.mandate.end();
        self.cancel.cancel();
    }

    /// What it does now, and the commits up to now.
    fn doing(&self, before: (Instant, u64)) -> (WorkerDoing, (Instant, u64)) {
        let (now, commits) = (Instant::now(), self.progress.borrow().commits);
        let seconds = (now - before.0).as_secs_f64();
        let folded = commits.saturating_sub(before.1);
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let commits_per_second = if seconds > 0.0 { folded as f64 / seconds } else { 0.0 };
        let build = self.build.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tasks = build.as_ref().map(|(_, claims)| claims.tasks()).unwrap_or_default();
        let finished = *self.partitions_done.lock().unwrap_or_else(PoisonError::into_inner);
        let finished_now = if build.is_some() { self.progress.borrow().partitions_done } else { 0 };
        let doing = WorkerDoing {
            partitions: tasks.iter().filter_map(|task| task.partition()).collect(),
            parts: tasks.iter().filter_map(|task| task.part()).collect(),
            build: build.map(|(build, _)| build),
            partitions_done: finished + u64::from(finished_now),
            commits,
            commits_per_second,
            memory_bytes: resident_bytes(),
        };
        (doing, (now, commits))
    }
}
