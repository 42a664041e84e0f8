//! How long a process waits for the lease or the migration lock, and what it shows meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use crate::config::LeaseSettings;
use crate::error::{Class, Error, Result};
use crate::lifecycle::jittered;
use crate::observe::{Leader, Progress, Recorder, Wait};

/// Pause after the first failed attempt; each further one is longer by as much.
pub(super) const BACKOFF: Duration = Duration::from_millis(200);

/// Attempts of one call of a claim before the next look.
pub(super) const TRIES: u32 = 3;

/// Pause between two log lines about the same wait.
pub(super) const SAY_EVERY: Duration = Duration::from_secs(30);

/// Waits for another process, in steps that can be cancelled and up to a limit.
pub(crate) struct Waiting<'a> {
    pub(crate) lease: &'a LeaseSettings,
    /// Maximum wait; for ever, if absent.
    pub(crate) limit: Option<Duration>,
    /// Where the wait is shown.
    pub(crate) progress: &'a watch::Sender<Progress>,
}

impl<'a> Waiting<'a> {
    /// Waits for as long as the settings of the lease say.
    pub(crate) fn of(lease: &'a LeaseSettings, progress: &'a watch::Sender<Progress>) -> Self {
        Self { lease, limit: lease.wait_limit, progress }
    }

    /// Waits for the time between two looks, but not beyond the limit. Returns `false` if it was cancelled.
    pub(crate) async fn pause(&self, cancel: &CancellationToken, began: Instant) -> bool {
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        let look = LOOKS.fetch_add(1, Ordering::Relaxed);
        let chance = xxh3_64(format!("{}/{look}", std::process::id()).as_bytes());
        let mut pause = jittered(self.lease.poll, chance);
        if let Some(limit) = self.limit {
            pause = pause.min(limit.saturating_sub(began.elapsed()));
        }
        tokio::select! {
            () = cancel.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    /// Makes a few attempts, with growing pauses after transient errors.
    pub(crate) async fn retried<T, F: Future<Output = Result<T>> + Send>(
        &self,
        doing: &str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T> {
        let mut tries = 0;
        loop {
            tries += 1;
            match attempt().await {
                Err(error) if error.class() == Class::Transient && tries < TRIES => {
                    tracing::warn!(error = %error.with_sources(), "{doing}: trying again");
                    tokio::time::sleep((BACKOFF * tries).min(self.lease.poll)).await;
                }
                other => return other,
            }
        }
    }

    /// Repeats [`Self::retried`] until the limit, for as long as the errors are transient.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; an error that isn't transient, or the last one before the limit.
    pub(crate) async fn outlasting<T, F: Future<Output = Result<T>> + Send>(
        &self,
        doing: &str,
        cancel: &CancellationToken,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T> {
        let began = Instant::now();
        loop {
            match self.retried(doing, &mut attempt).await {
                Err(error) if error.class() == Class::Transient && !self.is_over(began) => {
                    tracing::warn!(
                        error = %error.with_sources(),
                        "{doing} is not possible now; trying again"
                    );
                }
                other => return other,
            }
            if !self.pause(cancel, began).await {
                return Err(Error::Interrupted);
            }
        }
    }

    pub(super) fn is_over(&self, began: Instant) -> bool {
        self.limit.is_some_and(|limit| began.elapsed() >= limit)
    }

    pub(super) fn for_leader(&self, leader: &Leader) {
        let what = format!("{} to finish", leader.line());
        Recorder::waiting(self.progress, Wait::Lease, Some(leader), &what);
    }

    pub(crate) fn for_lock(&self, line: &str) {
        Recorder::waiting(self.progress, Wait::Lock, None, line);
    }

    pub(crate) fn over(&self) {
        Recorder::waiting_over(self.progress);
    }
}

/// How long to wait for a leader that is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until its work is done.
    UntilDone,
    /// Only until it shows that it is alive, unless a limit is set.
    UntilAlive,
}
