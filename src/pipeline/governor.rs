//! Throttles a run in favour of the live system: readers and writers ask here before each step, wait if
//! they must, and the reason is shown.
//!
//! A task checks once a second whether the run is paused and how far replication is behind. Without limits
//! there is no task and nothing waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{Error, Result};
use crate::lifecycle::{Latencies, PauseReason};
use crate::observe::{Progress, Recorder, Wait};
use crate::pipeline::ports::CommitBatch;

/// Pause between two checks.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Tells whether a run has to wait.
pub(crate) trait ThrottleSource: Send + Sync + 'static {
    /// The reasons to wait now, if there are any.
    fn look(&self) -> BoxFuture<'_, Result<PauseReason>>;
}

/// Asked for permission before each step. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Governor {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    source: Arc<dyn ThrottleSource>,
    pause_reason: watch::Sender<PauseReason>,
    /// Batches that take longer than this are throttled.
    throttle: Option<Duration>,
    written: Mutex<Written>,
    /// The reason that is shown, and since when the run has waited.
    shown: Mutex<Option<(Wait, String, Instant)>>,
    /// For how long the run stood still, and since when it does so again.
    held: Mutex<(Duration, Option<Instant>)>,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
    _checking: DropGuard,
}

#[derive(Default)]
struct Written {
    latencies: Latencies,
    /// The reason why writing is throttled.
    throttled: Option<String>,
}

impl Governor {
    /// A governor without limits.
    pub(crate) fn free() -> Self {
        Self::default()
    }

    /// A governor that checks the source regularly until it is dropped. Must be called on a tokio runtime.
    pub(crate) fn new(
        source: Arc<dyn ThrottleSource>,
        throttle: Option<Duration>,
        progress: watch::Sender<Progress>,
        cancel: CancellationToken,
    ) -> Self {
        let stop = CancellationToken::new();
        let inner = Arc::new(Inner {
            source,
            pause_reason: watch::Sender::new(PauseReason::default()),
            throttle,
            written: Mutex::default(),
            shown: Mutex::default(),
            held: Mutex::default(),
            progress,
            cancel,
            _checking: stop.clone().drop_guard(),
        });
        let weak = Arc::downgrade(&inner);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(CHECK_EVERY) => {}
                }
                let Some(inner) = weak.upgrade() else { return };
                inner.check().await;
            }
        });
        Self { inner: Some(inner) }
    }

    /// Checks the source now, so that a run that was paused before stays paused from its first step.
    pub(crate) async fn look(&self) {
        if let Some(inner) = &self.inner {
            inner.check().await;
        }
    }

    /// Waits while the run is paused.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub(crate) async fn step(&self) -> Result<()> {
        match &self.inner {
            Some(inner) => inner.wait(|pause| pause.paused.is_none()).await,
            None => Ok(()),
        }
    }

    /// Waits before a batch is written.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub(crate) async fn write(&self) -> Result<()> {
        let Some(inner) = &self.inner else { return Ok(()) };
        inner.wait(|pause| pause.reason().is_none()).await?;
        match inner.throttled() {
            Some(pause) => inner.sleep(pause).await,
            None => Ok(()),
        }
    }

    /// Notes how long a batch took to write.
    pub(crate) fn written(&self, took: Duration) {
        if let Some(inner) = &self.inner
            && inner.throttle.is_some()
        {
            inner.written().latencies.note(took);
        }
    }

    /// For how long the run stood still so far: paused, or waiting for secondaries. One that is throttled
    /// goes on.
    pub(crate) fn held(&self) -> Duration {
        let Some(inner) = &self.inner else { return Duration::ZERO };
        let (before, since) = *inner.held.lock().unwrap_or_else(PoisonError::into_inner);
        before + since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The same batches, none of which is requested while the run is paused.
    pub(crate) fn pace(
        &self,
        batches: BoxStream<'static, Result<CommitBatch>>,
    ) -> BoxStream<'static, Result<CommitBatch>> {
        if self.inner.is_none() {
            return batches;
        }
        let paced = futures::stream::unfold((batches, self.clone()), |(mut batches, governor)| async move {
            let next = match governor.step().await {
                Ok(()) => batches.next().await?,
                Err(error) => Err(error),
            };
            Some((next, (batches, governor)))
        });
        paced.boxed()
    }
}

impl Inner {
    fn written(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn check(&self) {
        match self.source.look().await {
            Ok(pause) => {
                self.pause_reason.send_if_modified(|known| {
                    let changed = *known != pause;
                    *known = pause;
                    changed
                });
            }
            // The last known reason stays in force.
            Err(error) => {
                tracing::debug!(error = %error.with_sources(), "the limits of this run can't be checked")
            }
        }
        self.show();
    }

    /// Shows why the run waits and since when, and logs when that begins and ends.
    fn show(&self) {
        let told = self.pause_reason.borrow().clone();
        let told = told.paused.map(|why| (Wait::Paused, why)).or(told.behind.map(|why| (Wait::Lag, why)));
        self.count_held(told.is_some());
        let reason = told.or_else(|| Some((Wait::Throttle, self.written().throttled.clone()?)));
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*shown, &reason) {
            (None, Some((_, reason))) => tracing::info!(reason, "waiting before more is written"),
            (Some((_, _, since)), None) => {
                tracing::info!(waited = ?Duration::from_secs(since.elapsed().as_secs()), "writing continues");
            }
            _ => {}
        }
        let since = shown.take().map_or_else(Instant::now, |(_, _, since)| since);
        *shown = reason.map(|(wait, reason)| (wait, reason, since));
        let shown = shown.as_ref().map(|(wait, reason, since)| (*wait, reason.as_str(), *since));
        Recorder::held(&self.progress, shown);
    }

    fn count_held(&self, is_held: bool) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = match (held.1, is_held) {
            (None, true) => (held.0, Some(Instant::now())),
            (Some(since), false) => (held.0 + since.elapsed(), None),
            _ => *held,
        };
    }

    async fn wait(&self, may: impl Fn(&PauseReason) -> bool) -> Result<()> {
        if may(&self.pause_reason.borrow()) {
            return Ok(());
        }
        let mut pause_reason = self.pause_reason.subscribe();
        tokio::select! {
            () = self.cancel.cancelled() => Err(Error::Interrupted),
            result = pause_reason.wait_for(may) => result.map(|_| ()).map_err(|_| Error::Interrupted),
        }
    }

    /// The pause before the next batch, if batches take too long.
    fn throttled(&self) -> Option<Duration> {
        let limit = self.throttle?;
        let mut written = self.written();
        let above = written.latencies.above(limit);
        let began = written.throttled.is_none() && above.is_some();
        written.throttled = above.map(|median| {
            format!(
                "batches take {} ms to be written, more than the {} ms they may",
                median.as_millis(),
                limit.as_millis()
            )
        });
        drop(written);
        if began {
            self.show();
        }
        above.map(Latencies::pause)
    }

    async fn sleep(&self, pause: Duration) -> Result<()> {
        tokio::select! {
            () = self.cancel.cancelled() => Err(Error::Interrupted),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use futures::FutureExt;

    use super::*;

    struct FakeSource(Mutex<PauseReason>);

    impl ThrottleSource for FakeSource {
        fn look(&self) -> BoxFuture<'_, Result<PauseReason>> {
            let pause = self.0.lock().unwrap().clone();
            async move { Ok(pause) }.boxed()
        }
    }

    fn governed(
        throttle: Option<Duration>,
    ) -> (Governor, Arc<FakeSource>, watch::Receiver<Progress>, CancellationToken) {
        let fake = Arc::new(FakeSource(Mutex::default()));
        let (progress, shown) = watch::channel(Progress::default());
        let cancel = CancellationToken::new();
        let source: Arc<dyn ThrottleSource> = Arc::<FakeSource>::clone(&fake);
        (Governor::new(source, throttle, progress, cancel.clone()), fake, shown, cancel)
    }

    fn pause(fake: &FakeSource, reason: Option<&str>) {
        fake.0.lock().unwrap().paused = reason.map(str::to_owned);
    }

    #[tokio::test]
    async fn a_pause_holds_reading_and_writing_until_it_is_over() {
        let (governor, fake, shown, _cancel) = governed(None);
        pause(&fake, Some("for a backup"));
        governor.look().await;
        assert_eq!(shown.borrow().held.as_deref(), Some("for a backup"));
        assert!(governor.step().now_or_never().is_none());
        assert!(governor.write().now_or_never().is_none());
        let waiting = tokio::spawn({
            let governor = governor.clone();
            async move { governor.write().await }
        });
        pause(&fake, None);
        governor.look().await;
        waiting.await.unwrap().unwrap();
        governor.step().now_or_never().unwrap().unwrap();
        assert_eq!(shown.borrow().held, None);
    }

    #[tokio::test]
    async fn lag_holds_writing_only() {
        let (governor, fake, _shown, _cancel) = governed(None);
        fake.0.lock().unwrap().behind = Some("a secondary is behind".into());
        governor.look().await;
        governor.step().now_or_never().unwrap().unwrap();
        assert!(governor.write().now_or_never().is_none());
    }

    #[tokio::test]
    async fn waiting_can_be_cancelled() {
        let (governor, fake, _shown, cancel) = governed(None);
        pause(&fake, Some("without an end"));
        governor.look().await;
        cancel.cancel();
        assert!(matches!(governor.write().await, Err(Error::Interrupted)));
        let batches = futures::stream::pending().boxed();
        assert!(matches!(governor.pace(batches).next().await, Some(Err(Error::Interrupted))));
    }

    #[tokio::test]
    async fn slow_batches_throttle_and_say_so() {
        let limit = Duration::from_millis(50);
        let (governor, _told, shown, _cancel) = governed(Some(limit));
        governor.write().now_or_never().unwrap().unwrap();
        governor.written(Duration::from_millis(300));
        assert!(governor.write().now_or_never().is_none());
        let held = shown.borrow().held.clone();
        assert_eq!(held.as_deref(), Some("batches take 300 ms to be written, more than the 50 ms they may"));
        for _ in 0..5 {
            governor.written(Duration::from_millis(1));
        }
        governor.write().now_or_never().unwrap().unwrap();
        governor.look().await;
        assert_eq!(shown.borrow().held, None);
    }

    #[tokio::test]
    async fn without_limits_nothing_waits() {
        let free = Governor::free();
        free.step().now_or_never().unwrap().unwrap();
        free.write().now_or_never().unwrap().unwrap();
    }
}
