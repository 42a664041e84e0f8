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

/// What a fence stands over during a cut-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FenceOver {
    /// Nothing: there is no event store, or this user may not raise one.
    Nothing,
    /// The events that writers would append during the cut-over alone.
    Events,
    /// All events, since before: read-only mode, which a cut-over neither raises nor lifts.
    ReadOnly,
}

/// The fence of an attempt.
struct StandingFence {
    kind: FenceOver,
    /// When it was asked for.
    began: Instant,
    /// Up to where the change stream is read behind it; up to now, if absent.
    drain_to: Option<(Timestamp, Marker)>,
}

/// What came of raising the fence.
enum Raised {
    Standing(StandingFence),
    /// Something is in the way: why.
    Busy(String),
}

/// What came of the steps behind the fence.
enum BehindFence {
    /// The pointer is flipped: at this operation time, where the server says one.
    Flipped { refolded: u64, at: Option<Timestamp> },
    /// Nothing has changed: why it has to be tried again, and whether the fence is lifted already.
    Later { reason: String, lifted: bool },
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

    /// One attempt: raise the fence, refold the rest and flip behind it, lift it, drain past it.
    async fn attempt_cut_over(&self, builds: &mut [Build], feed: Option<&Feed>) -> Result<Try> {
        self.give_names(builds).await?;
        let fence = match self.raise(feed).await? {
            Raised::Standing(fence) => fence,
            Raised::Busy(reason) => return Ok(Try::Later(reason)),
        };
        let behind = self.behind_the_fence(builds, feed, &fence).await;
        let fence_ms = self.lift_after(&fence, &behind).await?;
        let (refolded_fenced, flipped) = match behind? {
            BehindFence::Flipped { refolded, at } => (refolded, at),
            BehindFence::Later { reason, .. } => return Ok(Try::Later(reason)),
        };
        tracing::info!(fence_ms, refolded = refolded_fenced, "cut over");
        let refolded_after = self.drain_all(builds, feed, fence.kind, flipped).await?;
        let built = self.retire_former(builds).await?;
        let fenced = fence.kind != FenceOver::Nothing;
        let read_only = fence.kind == FenceOver::ReadOnly;
        let cut_over = CutOver { fenced, read_only, fence_ms, tries: 0, refolded_fenced, refolded_after };
        Ok(Try::Done(built, cut_over))
    }

    /// Raises the fence, unless one of read-only mode stands, or this user may raise none.
    async fn raise(&self, feed: Option<&Feed>) -> Result<Raised> {
        let began = Instant::now();
        let standing = |kind, began, drain_to| Raised::Standing(StandingFence { kind, began, drain_to });
        if !self.has_events {
            return Ok(standing(FenceOver::Nothing, began, None));
        }
        if self.is_read_only().await? {
            return Ok(standing(FenceOver::ReadOnly, began, None));
        }
        let marker = feed.map(Feed::marker);
        match self.store.control().raise_fence(&self.mandate, CUT_OVER).await {
            Ok(Fenced::Standing(time, asked)) => Ok(standing(FenceOver::Events, asked, time.zip(marker))),
            Ok(Fenced::Busy(reason)) => Ok(Raised::Busy(reason)),
            // By hand there is somebody to call in who may; what is built is kept for them.
            Err(Error::Permission { .. }) if self.caller == Caller::Start => {
                tracing::warn!(
                    "this user may not change the event store's options (dbAdmin): cutting over without a fence; \
                     what arrives meanwhile is refolded right after"
                );
                Ok(standing(FenceOver::Nothing, began, None))
            }
            Err(error) => Err(error),
        }
    }

    /// Lifts the fence, also after an error: nobody else may be there to do it. Returns how long it stood, in
    /// milliseconds.
    async fn lift_after(&self, fence: &StandingFence, behind: &Result<BehindFence>) -> Result<f64> {
        let is_lifted = matches!(behind, Ok(BehindFence::Later { lifted: true, .. }));
        if fence.kind != FenceOver::Events || is_lifted {
            return Ok(0.0);
        }
        let lifted = self.lift().await;
        let until = lifted.as_ref().ok().copied().flatten().unwrap_or_else(Instant::now);
        match (behind, lifted) {
            (_, Ok(_)) => {}
            (Ok(_), Err(error)) => return Err(error),
            (Err(_), Err(error)) => tracing::error!(
                error = %error.with_sources(),
                "the fence could not be lifted: the event store refuses events until the next start"
            ),
        }
        let stood = until.saturating_duration_since(fence.began);
        Ok((stood.as_secs_f64() * 10_000.0).round() / 10.0)
    }

    /// Refolds what came past the fence before the flip: deletes, and whoever bypasses validation.
    async fn drain_all(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
        fence: FenceOver,
        flipped: Option<Timestamp>,
    ) -> Result<u64> {
        let mut refolded = 0;
        if feed.is_some() || fence == FenceOver::Nothing {
            for build in builds.iter_mut() {
                refolded += match (feed, flipped) {
                    (Some(feed), Some(flipped)) => self.drain(build, feed, flipped).await?,
                    _ => self.catch_up_once(build, feed, None).await?,
                };
            }
        }
        Ok(refolded)
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

    /// Refolds the rest and flips the pointer, while the event store is still.
    async fn behind_the_fence(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
        fence: &StandingFence,
    ) -> Result<BehindFence> {
        let mut refolded = 0;
        if self.has_events {
            for build in builds.iter_mut() {
                match self.refold_rest(build, feed, fence).await? {
                    Some(streams) => refolded += streams,
                    None => {
                        return Ok(BehindFence::Later {
                            reason: "what was left to refold took too long".into(),
                            lifted: true,
                        });
                    }
                }
            }
        }
        if fence.kind == FenceOver::ReadOnly && !self.is_read_only().await? {
            return Ok(BehindFence::Later {
                reason: "read-only mode was ended meanwhile".into(),
                lifted: false,
            });
        }
        match self.publish(builds, fence.began + FENCE_MAX).await {
            // Whatever the application writes from now on it has to fold itself, or `follow` does.
            Ok(()) => Ok(BehindFence::Flipped { refolded, at: self.store.operation_time().await? }),
            Err(error) if is_busy(&error) => {
                Ok(BehindFence::Later { reason: rename_was_in_the_way(builds, &error), lifted: false })
            }
            Err(error) => Err(error),
        }
    }

    /// Refolds what is left of a build, and returns how many streams. `None`: it took longer than writers may wait,
    /// and the fence is lifted already.
    async fn refold_rest(
        &self,
        build: &mut Build,
        feed: Option<&Feed>,
        fence: &StandingFence,
    ) -> Result<Option<u64>> {
        let mut last = Box::pin(self.catch_up_once(build, feed, fence.drain_to));
        // Without a change stream everything is compared behind the fence: that takes its time. Under read-only
        // mode nobody waits for it.
        if feed.is_none() || fence.kind == FenceOver::ReadOnly {
            return last.await.map(Some);
        }
        let left = FENCE_MAX.saturating_sub(fence.began.elapsed());
        match tokio::time::timeout(left, &mut last).await {
            Ok(refolded) => refolded.map(Some),
            Err(_) => {
                // The application first; then what was begun is awaited, so that no older result comes after a
                // newer one.
                self.lift().await?;
                last.await?;
                Ok(None)
            }
        }
    }
}

/// Why a rename has to be tried again, and what is renamed already.
fn rename_was_in_the_way(builds: &[Build], error: &Error) -> String {
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
    reason
}
