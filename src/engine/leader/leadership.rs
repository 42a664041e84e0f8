//! The held lease: kept by renewals on a task of its own, and released at the end; and the application's
//! migration lock, which the leader takes for the part of its work that needs it.
//!
//! A leader writes under a [`Mandate`], which each write checks. When the lease is lost (another token, or no
//! renewal in time by this machine's own monotonic clock), the mandate ends and all work is cancelled.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures::future::OptionFuture;
use tokio_util::sync::CancellationToken;

use crate::engine::leader::keeper::keep;
use crate::engine::leader::shared::HeldLease;
use crate::engine::leader::waiting::{SAY_EVERY, Waiting};
use crate::error::{Error, Result};
use crate::lifecycle::Tenure;
use crate::observe::Recorder;
use crate::store::{BootInstant, Lock, LockTaken, Mandate, Owner, Store};

/// The held lease. It has to be [ended](Leadership::end).
pub(crate) struct Leadership {
    /// Permission that every write of this leader checks.
    pub(crate) mandate: Mandate,
    /// Cancelled when the caller cancels, and when the lease is lost.
    pub(crate) cancel: CancellationToken,
    /// Whether the fence of a dead leader was lifted when the lease was taken.
    pub(crate) lifted_fence: bool,
    shared: Arc<HeldLease>,
    keeper: Mutex<Option<tokio::task::JoinHandle<()>>>,
    stop: CancellationToken,
}

/// A lease that was just taken.
pub(super) struct TakenLease {
    pub(super) owner: Owner,
    /// The fencing token.
    pub(super) token: i64,
    /// When the write that took it was sent; the tenure counts from then.
    pub(super) sent: BootInstant,
}

impl Leadership {
    /// Begins to keep a lease that was just taken.
    pub(super) fn begin(
        store: &Store,
        waiting: &Waiting<'_>,
        cancel: &CancellationToken,
        taken: TakenLease,
    ) -> Self {
        let TakenLease { owner, token, sent } = taken;
        let lease = waiting.lease;
        let mandate = Mandate::under(store, token, sent + lease.ttl);
        let cancel = cancel.child_token();
        let shared = Arc::new(HeldLease {
            store: store.clone(),
            owner,
            mandate: mandate.clone(),
            cancel: cancel.clone(),
            lost: OnceLock::new(),
            lock: Mutex::default(),
            progress: waiting.progress.subscribe(),
        });
        let stop = CancellationToken::new();
        Recorder::leading(Some(token));
        let tenure = Tenure::new(lease.ttl, Duration::ZERO);
        let keeper = keep(Arc::clone(&shared), stop.clone(), tenure, sent, lease.renew_every());
        Self {
            mandate,
            cancel,
            lifted_fence: false,
            shared,
            keeper: Mutex::new(Some(tokio::spawn(keeper))),
            stop,
        }
    }

    /// Why the lease was lost, if it was.
    pub(crate) fn lost(&self) -> Option<Error> {
        let reason = self.shared.lost.get()?.clone();
        Some(Error::LeaseLost { token: self.mandate.token, reason })
    }

    /// Takes the application's migration lock, and waits for it while somebody else has it.
    ///
    /// # Errors
    /// [`Error::LockHeld`] after the limit, [`Error::Interrupted`], [`Error::LeaseLost`], what the
    /// server said.
    pub(crate) async fn lock(&self, waiting: &Waiting<'_>) -> Result<Arc<Lock>> {
        let began = Instant::now();
        let mut said: Option<Instant> = None;
        loop {
            self.mandate.check()?;
            let attempt = || self.shared.store.control().try_lock(self.mandate.token);
            match waiting.retried("taking the migration lock", attempt).await? {
                LockTaken::Ours(lock) => {
                    let earlier = self.keep_lock(Some(Arc::clone(&lock)));
                    debug_assert!(earlier.is_none(), "the migration lock is taken once");
                    tracing::info!(token = self.mandate.token, "the migration lock is taken");
                    waiting.over();
                    return Ok(lock);
                }
                LockTaken::Theirs(holder) => {
                    let document = self.shared.store.control().lock_name();
                    let waited = began.elapsed();
                    if waiting.limit.is_some_and(|limit| waited >= limit) {
                        return Err(Error::LockHeld { document, holder });
                    }
                    let line = format!(
                        "the migration lock {document}, held {holder}; waiting for {} s. \
                         It can be released by force if its holder is certainly dead",
                        waited.as_secs()
                    );
                    if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                        said = Some(Instant::now());
                        tracing::info!("waiting for {line}");
                    }
                    waiting.for_lock(&line);
                }
            }
            if !waiting.pause(&self.cancel, began).await {
                return Err(self.lost().unwrap_or(Error::Interrupted));
            }
        }
    }

    /// Sets the migration lock that the keeper looks after, and returns the one before.
    fn keep_lock(&self, lock: Option<Arc<Lock>>) -> Option<Arc<Lock>> {
        std::mem::replace(&mut *self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner), lock)
    }

    /// Releases the migration lock; the lease stays held.
    pub(crate) async fn unlock(&self) {
        let Some(lock) = self.keep_lock(None) else { return };
        match lock.release().await {
            Ok(()) => tracing::info!(token = self.mandate.token, "the migration lock is released"),
            // The work is done, and the next leader takes the lock over.
            Err(error) => {
                tracing::warn!(error = %error.with_sources(), "the migration lock could not be released");
            }
        }
    }

    /// Releases the migration lock and the lease, and returns the result; if the lease was lost, that error
    /// is the result. No work may be running under the lease any more.
    pub(crate) async fn end<T>(&self, result: Result<T>) -> Result<T> {
        self.unlock().await;
        self.stop.cancel();
        let (mut lost, token) = (self.lost(), self.mandate.token);
        self.mandate.end();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = OptionFuture::from(keeper).await {
            tracing::warn!(%error, "the keeper of the lease failed");
        }
        match self.shared.store.control().release_lease(&self.shared.owner, token).await {
            Ok(true) => tracing::info!(token, "the lease is released"),
            Ok(false) if lost.is_none() => {
                tracing::warn!(token, "the lease was no longer ours in the end");
                // A write may notice the loss before a renewal does.
                if matches!(result, Err(Error::Fenced { .. })) {
                    let reason = "another process took it over".to_owned();
                    lost = Some(Error::LeaseLost { token, reason });
                }
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(error = %error.with_sources(), "the lease could not be released; it runs out");
            }
        }
        Recorder::leading(None);
        match (result, lost) {
            (Err(Error::Interrupted | Error::Fenced { .. } | Error::LeaseLost { .. }), Some(lost)) => {
                Err(lost)
            }
            (result, _) => result,
        }
    }
}
