//! Renews the lease until it is told to stop, and reports when the lease is lost.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::engine::leader::shared::HeldLease;
use crate::error::{Class, Error};
use crate::lifecycle::Tenure;
use crate::observe::{Doing, Progress, Recorder};
use crate::store::BootInstant;

/// Number of attempts to renew a lease in the time between two renewals, after a failure.
const RETRIES_PER_RENEWAL: u32 = 5;

/// Maximum number of early renewals, between two regular ones, that announce another phase.
const NEWS_PER_RENEWAL: u32 = 10;

/// Pause between two looks at the migration lock, as long as that between two attempts of Squidex to take it.
const LOCK_LOOK: Duration = Duration::from_millis(500);

/// Keeps the lease, whose tenure counts from `base`, and the migration lock while it is held.
pub(crate) async fn keep(
    shared: Arc<HeldLease>,
    stop: CancellationToken,
    tenure: Tenure,
    base: BootInstant,
    every: Duration,
) {
    tokio::select! {
        () = renew_until(&shared, stop, tenure, base, every) => {}
        () = shared.keep_migration_lock() => {}
    }
}

async fn renew_until(
    shared: &HeldLease,
    stop: CancellationToken,
    mut tenure: Tenure,
    base: BootInstant,
    every: Duration,
) {
    let mut said = Doing::default();
    // Taking the lease took a while itself.
    let mut pause = every.saturating_sub(base.elapsed());
    loop {
        let left = tenure.ends().saturating_sub(base.elapsed());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause.min(left)) => {}
            () = shared.has_news(&said, every / NEWS_PER_RENEWAL) => {}
        }
        let sent = base.elapsed();
        if tenure.is_over(sent) {
            return shared.lose("it could not be renewed in time");
        }
        let doing = Doing::of(&shared.progress.borrow());
        match renew(shared, &doing, tenure.ends() - sent).await {
            Ok(true) => {
                said = doing;
                tenure.renewed(sent);
                if tenure.is_over(base.elapsed()) {
                    return shared.lose("its renewal took too long");
                }
                shared.mandate.extend(base + tenure.ends());
                pause = every;
            }
            Ok(false) => return shared.lose("another process took it over"),
            Err(error) if error.class() == Class::Transient => {
                tracing::warn!(error = %error.with_sources(), "the lease could not be renewed; trying again");
                pause = every / RETRIES_PER_RENEWAL;
            }
            Err(error) => return shared.lose(&error.with_sources()),
        }
    }
}

async fn renew(shared: &HeldLease, doing: &Doing, left: Duration) -> Result<bool, Error> {
    let token = shared.mandate.token;
    let renewal = shared.store.control().renew_lease(&shared.owner, token, doing, left.as_secs().max(1));
    // The write isn't aborted when the time is over: it then renews a lease that nobody uses.
    tokio::time::timeout(left, renewal).await.unwrap_or_else(|_| {
        Err(Error::Deadline { doing: "renewing the lease".into(), seconds: left.as_secs() })
    })
}

impl HeldLease {
    /// Ends the mandate and cancels all work under it.
    fn lose(&self, reason: &str) {
        tracing::error!(token = self.mandate.token, reason, "the lease is lost: stopping all work");
        Recorder::lease_lost();
        let _ = self.lost.set(reason.to_owned());
        self.mandate.end();
        self.cancel.cancel();
    }

    /// Waits until followers should hear of another phase.
    async fn has_news(&self, said: &Doing, at_least: Duration) {
        tokio::time::sleep(at_least).await;
        let mut progress = self.progress.clone();
        let is_news = |now: &Progress| {
            let now = Doing::of(now);
            (&now.phase, &now.projection, now.held.is_some())
                != (&said.phase, &said.projection, said.held.is_some())
        };
        if progress.wait_for(is_news).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Looks at the migration lock while it is held, and locks it again if somebody opened it.
    async fn keep_migration_lock(&self) {
        loop {
            tokio::time::sleep(LOCK_LOOK).await;
            let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(lock) = lock
                && let Err(error) = lock.keep().await
            {
                tracing::debug!(error = %error.with_sources(), "the migration lock could not be read");
            }
        }
    }
}
