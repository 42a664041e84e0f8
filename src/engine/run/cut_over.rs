//! The cut-over: fence, drain, refold what is left, publish, flip, lift; then whatever slipped in.
//!
//! While the fence stands inserts into the event store are refused (error 121), for some milliseconds.
//! If that can't be had at once, the fence is lifted and everything is tried again later.

use std::time::{Duration, Instant};

use backon::Retryable;
use bson::Timestamp;

use crate::engine::leader::Waiting;
use crate::engine::run::build::Build;
use crate::engine::run::context::{Caller, Run};
use crate::engine::run::report::{Built, CutOver};
use crate::error::{Class, Error, Result};
use crate::observe::Phase;
use crate::pipeline::pauses;
use crate::store::{CUT_OVER, Feed, FenceKind, Fenced, Marker, is_busy};

/// How long a rebuild waits for the application's lock, unless it is told.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// How long the fence may stand.
const FENCE_MAX: Duration = Duration::from_secs(1);
/// How often the cut-over is tried.
const TRIES: u32 = 10;
/// Pause before the second try; each further one is longer by as much.
const PAUSE: Duration = Duration::from_millis(500);

/// One try.
enum Try {
    Done(Vec<Built>, CutOver),
    /// Nothing has changed.
    Later(String),
}

impl Run {
    /// Publishes finished builds and makes them active, all in one update.
    pub(super) async fn cut_over(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
    ) -> Result<(Vec<Built>, CutOver)> {
        if self.cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        // Never with the application's lock, and never behind the fence.
        self.governor.step().await?;
        self.choose_modes(builds).await?;
        self.wait_for_instances(builds).await?;
        self.put_aside(builds).await?;
        if self.caller == Caller::Operator {
            let lease = self.settings.lease();
            let limit = Some(lease.wait_limit.unwrap_or(LOCK_WAIT));
            self.leadership.lock(&Waiting { lease, limit, progress: &self.progress }).await?;
        }
        let result = self.retry_cut_over(builds, feed).await;
        if self.caller == Caller::Operator {
            self.leadership.unlock().await;
        }
        result
    }

    async fn retry_cut_over(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
    ) -> Result<(Vec<Built>, CutOver)> {
        let mut tries = 0;
        loop {
            tries += 1;
            // As little as possible is left for behind the fence.
            self.catch_up_builds(builds, feed).await?;
            for build in builds.iter() {
                build.recorder.enter(Phase::Publishing, 0);
            }
            match self.attempt_cut_over(builds, feed).await? {
                Try::Done(built, cut_over) => return Ok((built, CutOver { tries, ..cut_over })),
                Try::Later(reason) if tries >= TRIES => return Err(Error::NotCutOver { tries, reason }),
                Try::Later(reason) => {
                    let pause = PAUSE * tries;
                    tracing::warn!(reason, ?pause, "the cut-over could not be made; trying again");
                    tokio::select! {
                        () = self.cancel.cancelled() => return Err(Error::Interrupted),
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }

    async fn catch_up_builds(&self, builds: &mut [Build], feed: Option<&Feed>) -> Result<()> {
        for build in builds.iter_mut() {
            if feed.is_some() || build.needs_full_compare {
                self.catch_up(build, feed).await?;
            }
        }
        Ok(())
    }

    async fn attempt_cut_over(&self, builds: &mut [Build], feed: Option<&Feed>) -> Result<Try> {
        self.give_names(builds).await?;
        let mut began = Instant::now();
        let mut cut_over = CutOver::default();
        let marker = feed.map(Feed::marker);
        let mut fence = None;
        if self.has_events && self.is_read_only().await? {
            (cut_over.fenced, cut_over.read_only) = (true, true);
        } else if self.has_events {
            match self.store.control().raise_fence(&self.mandate, CUT_OVER).await {
                Ok(Fenced::Standing(time, asked)) => {
                    (cut_over.fenced, began) = (true, asked);
                    fence = time.zip(marker);
                }
                Ok(Fenced::Busy(reason)) => return Ok(Try::Later(reason)),
                // By hand there is somebody to call in who may; what is built is kept for them.
                Err(Error::Permission { .. }) if self.caller == Caller::Start => tracing::warn!(
                    "this user may not change the event store's options (dbAdmin): cutting over without a fence; \
                     what arrives meanwhile is refolded right after"
                ),
                Err(error) => return Err(error),
            }
        }
        let mut flipped = None;
        let done = self.behind_the_fence(builds, feed, fence, began, (&mut cut_over, &mut flipped)).await;
        if cut_over.fenced && !cut_over.read_only {
            // Also after an error: nobody else may be there to do it.
            let lifted = self.lift().await;
            let until = lifted.as_ref().ok().copied().flatten().unwrap_or_else(Instant::now);
            let stood = until.saturating_duration_since(began);
            cut_over.fence_ms = (stood.as_secs_f64() * 10_000.0).round() / 10.0;
            match (&done, lifted) {
                (_, Ok(_)) => {}
                (Ok(_), Err(error)) => return Err(error),
                (Err(_), Err(error)) => tracing::error!(
                    error = %error.with_sources(),
                    "the fence could not be lifted: the event store refuses events until the next start"
                ),
            }
        }
        if let Some(reason) = done? {
            return Ok(Try::Later(reason));
        }
        tracing::info!(fence_ms = cut_over.fence_ms, refolded = cut_over.refolded_fenced, "cut over");
        if feed.is_some() || !cut_over.fenced {
            // Deletes and whoever bypasses validation come past a fence.
            for build in builds.iter_mut() {
                let refolded = match (feed, flipped) {
                    (Some(feed), Some(flipped)) => self.drain(build, feed, flipped).await?,
                    _ => self.catch_up_once(build, feed, None).await?,
                };
                cut_over.refolded_after += refolded;
            }
        }
        let built = self.retire_former(builds).await?;
        Ok(Try::Done(built, cut_over))
    }

    /// Whether the event store is in read-only mode. Without a marker the feed is then read up to a time that is
    /// asked for after this.
    async fn is_read_only(&self) -> Result<bool> {
        Ok(self.store.control().fence().await?.is_some_and(|fence| fence.kind == FenceKind::ReadOnly))
    }

    /// Lifts the fence, through an election if need be: nobody else may be there to do it.
    async fn lift(&self) -> Result<Option<Instant>> {
        let attempt = || self.store.control().lift_fence();
        let transient = |error: &Error| error.class() == Class::Transient;
        attempt.retry(pauses()).when(transient).await
    }

    /// What happens while the event store is still. `Some` says why it has to be tried again.
    async fn behind_the_fence(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
        fence: Option<(Timestamp, Marker)>,
        began: Instant,
        (cut_over, flipped): (&mut CutOver, &mut Option<Timestamp>),
    ) -> Result<Option<String>> {
        if self.has_events {
            for build in builds.iter_mut() {
                let left = FENCE_MAX.saturating_sub(began.elapsed());
                let mut last = Box::pin(self.catch_up_once(build, feed, fence));
                let refolded = match feed {
                    // Without a change stream everything is compared behind the fence: that takes its time.
                    None => (&mut last).await?,
                    // Nobody waits for it.
                    Some(_) if cut_over.read_only => (&mut last).await?,
                    Some(_) => match tokio::time::timeout(left, &mut last).await {
                        Ok(refolded) => refolded?,
                        Err(_) => {
                            // The application first; then what was begun is awaited, so that no older
                            // result comes after a newer one.
                            self.lift().await?;
                            cut_over.fenced = false;
                            last.await?;
                            return Ok(Some("what was left to refold took too long".to_owned()));
                        }
                    },
                };
                drop(last);
                cut_over.refolded_fenced += refolded;
            }
        }
        if cut_over.read_only && !self.is_read_only().await? {
            return Ok(Some("read-only mode was ended meanwhile".to_owned()));
        }
        let published = self.publish(builds, began + FENCE_MAX).await;
        match published {
            Ok(()) => {
                // Whatever the application writes from now on it has to fold itself, or `follow` does.
                *flipped = self.store.operation_time().await?;
                Ok(None)
            }
            Err(error) if is_busy(&error) => {
                let renamed: Vec<String> = builds
                    .iter()
                    .flat_map(|build| build.record().swap.iter().flatten())
                    .filter(|swap| swap.done)
                    .map(|swap| swap.into.clone())
                    .collect();
                let mut reason = format!("something was in the way of a rename ({})", error.with_sources());
                if !renamed.is_empty() {
                    reason.push_str(&format!("; {} have the new generation already", renamed.join(", ")));
                }
                Ok(Some(reason))
            }
            Err(error) => Err(error),
        }
    }
}
