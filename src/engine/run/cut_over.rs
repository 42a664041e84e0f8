//! The cut-over: raise the fence, refold the remaining streams, publish, flip the pointer, lift the fence,
//! drain.
//!
//! While the fence stands, for some milliseconds, inserts into the event store are refused (error 121). If
//! the cut-over takes longer, the fence is lifted and everything is tried again later.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bson::Timestamp;
use bson::oid::ObjectId;

use crate::engine::leader::Waiting;
use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::engine::run::publish::PublishError;
use crate::engine::run::report::{Built, CutOver};
use crate::engine::run::request::Caller;
use crate::error::{Class, Error, Result};
use crate::lifecycle::Unnamed;
use crate::observe::{Phase, Recorder};
use crate::store::{ActiveGeneration, CUT_OVER, Feed, FenceKind, Fenced, Marker, is_busy};

/// How long a rebuild waits for the migration lock, unless a limit is set.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// How long the fence may stand.
const FENCE_MAX: Duration = Duration::from_secs(1);
/// Maximum number of attempts to cut over.
const TRIES: u32 = 10;
/// Pause before the second attempt; each further one is longer by as much.
const PAUSE: Duration = Duration::from_millis(500);

/// Outcome of one attempt to cut over.
enum Try {
    Done(Vec<Built>, CutOver),
    /// Nothing has changed, for this reason; to be tried again.
    Later(String),
}

/// What the fence keeps still during a cut-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FenceOver {
    /// Nothing: there is no event store, or this user may not raise a fence.
    Nothing,
    /// The event store, for the cut-over alone.
    Events,
    /// The event store, since before the cut-over: read-only mode, which a cut-over neither raises nor lifts.
    ReadOnly,
}

/// Fence of one attempt.
struct StandingFence {
    kind: FenceOver,
    /// When the fence was asked for.
    began: Instant,
    /// Point up to which the change stream is read behind the fence; the present time, if absent.
    drain_to: Option<(Timestamp, Marker)>,
    /// What tells this attempt from others in the note of the fence, if it is one of this cut-over.
    attempt: Option<ObjectId>,
}

/// Outcome of raising the fence.
enum Raised {
    Standing(StandingFence),
    /// Something is in the way: this.
    Busy(String),
}

/// Outcome of the steps behind the fence.
enum BehindFence {
    /// The pointer was flipped, at this operation time if the server gives one.
    Flipped { refolded: u64, at: Option<Timestamp> },
    /// Nothing has changed: why it has to be tried again, and whether the fence is lifted already.
    Later { reason: String, lifted: bool },
    /// Whether the pointer was flipped isn't known: its answer was lost. No flip can come after the fence is
    /// lifted, so that the pointer tells then.
    Unanswered(Error),
}

impl Run {
    /// Publishes finished builds and makes them active, all in one update. An operator's run holds the
    /// migration lock for the attempts alone; a server that starts holds it already.
    pub(super) async fn cut_over(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
    ) -> Result<(Vec<Built>, CutOver)> {
        if self.cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        // A throttled run pauses here: never with the migration lock, and never behind the fence.
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

    /// Catches up and attempts the cut-over, until an attempt succeeds or none is left.
    async fn retry_cut_over(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
    ) -> Result<(Vec<Built>, CutOver)> {
        let mut tries = 0;
        loop {
            tries += 1;
            // As few streams as possible are left for behind the fence.
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

    /// Catches all builds up before the fence is raised.
    async fn catch_up_builds(&self, builds: &mut [Build], feed: Option<&Feed>) -> Result<()> {
        for build in builds.iter_mut() {
            if feed.is_some() || build.unnamed != Unnamed::Clean {
                self.catch_up(build, feed).await?;
            }
        }
        Ok(())
    }

    /// Makes one attempt: raise the fence, refold and flip behind it, lift it, drain what came past it,
    /// retire.
    async fn attempt_cut_over(&self, builds: &mut [Build], feed: Option<&Feed>) -> Result<Try> {
        self.give_names(builds).await?;
        let fence = match self.raise_fence(feed).await? {
            Raised::Standing(fence) => fence,
            Raised::Busy(reason) => return Ok(Try::Later(reason)),
        };
        let behind_fence = self.refold_and_flip(builds, feed, &fence).await;
        let fence_ms = self.lift_after(&fence, &behind_fence).await?;
        let (refolded_fenced, flipped) = match behind_fence? {
            BehindFence::Flipped { refolded, at } => (refolded, at),
            BehindFence::Later { reason, .. } => return Ok(Try::Later(reason)),
            BehindFence::Unanswered(error) => match self.flipped_at(builds).await? {
                // Without a fence, events arrived up to the flip, whenever that was.
                Some(flipped) => (0, Some(flipped).filter(|_| fence.kind == FenceOver::Events)),
                None => return Ok(Try::Later(error.with_sources())),
            },
        };
        tracing::info!(fence_ms, refolded = refolded_fenced, "cut over");
        let refolded_after = self.drain_all(builds, feed, fence.kind, flipped).await?;
        let built = self.retire_replaced(builds).await?;
        let fenced = fence.kind != FenceOver::Nothing;
        let read_only = fence.kind == FenceOver::ReadOnly;
        let cut_over = CutOver { fenced, read_only, fence_ms, tries: 0, refolded_fenced, refolded_after };
        Ok(Try::Done(built, cut_over))
    }

    /// Raises the fence, unless that of read-only mode stands, or this user may not raise one.
    async fn raise_fence(&self, feed: Option<&Feed>) -> Result<Raised> {
        let began = Instant::now();
        let standing = |kind, began, drain_to, attempt| {
            Raised::Standing(StandingFence { kind, began, drain_to, attempt })
        };
        if !self.has_events {
            return Ok(standing(FenceOver::Nothing, began, None, None));
        }
        if self.is_read_only().await? {
            return Ok(standing(FenceOver::ReadOnly, began, None, None));
        }
        let marker = feed.map(Feed::marker);
        match self.store.control().raise_fence(&self.mandate, CUT_OVER).await {
            Ok(Fenced::Standing(time, asked, attempt)) => {
                Recorder::fenced(&self.progress, true);
                Ok(standing(FenceOver::Events, asked, time.zip(marker), Some(attempt)))
            }
            Ok(Fenced::Busy(reason)) => Ok(Raised::Busy(reason)),
            // An operator can ask somebody who may; the build is kept until then.
            Err(Error::Permission { .. }) if self.caller == Caller::Start => {
                tracing::warn!(
                    "this user may not change the event store's options (dbAdmin): \
                     cutting over without a fence; what arrives meanwhile is refolded right after"
                );
                Ok(standing(FenceOver::Nothing, began, None, None))
            }
            Err(error) => Err(error),
        }
    }

    /// Lifts the fence of this attempt, also after an error, unless it is lifted already. Returns how long it
    /// stood, in milliseconds.
    async fn lift_after(&self, fence: &StandingFence, behind_fence: &Result<BehindFence>) -> Result<f64> {
        let is_lifted = matches!(behind_fence, Ok(BehindFence::Later { lifted: true, .. }));
        if fence.kind != FenceOver::Events || is_lifted {
            return Ok(0.0);
        }
        let lifted = self.lift_fence().await;
        let until = lifted.as_ref().ok().copied().flatten().unwrap_or_else(Instant::now);
        if let Err(error) = lifted {
            if let Err(first) = behind_fence {
                tracing::error!(error = %first.with_sources(), "the cut-over failed behind the fence");
            }
            return Err(error);
        }
        let stood = until.saturating_duration_since(fence.began);
        Ok((stood.as_secs_f64() * 10_000.0).round() / 10.0)
    }

    /// Refolds streams that changed in spite of the fence before the flip: by deletes, and by writers that
    /// bypass validation.
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

    /// Whether the event store is in read-only mode. In that mode there is no marker: the feed is read up to
    /// a time that is asked for after this.
    async fn is_read_only(&self) -> Result<bool> {
        Ok(self.store.control().fence().await?.is_some_and(|fence| fence.kind == FenceKind::ReadOnly))
    }

    /// Lifts the fence, also after this process was told to stop.
    ///
    /// # Errors
    /// [`Error::FenceStands`].
    async fn lift_fence(&self) -> Result<Option<Instant>> {
        let lifted = self.store.control().lift_own_fence(self.mandate.token).await?;
        Recorder::fenced(&self.progress, false);
        Ok(lifted)
    }

    /// Refolds the remaining streams and flips the pointer, while the event store stands still.
    async fn refold_and_flip(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
        fence: &StandingFence,
    ) -> Result<BehindFence> {
        let mut refolded = 0;
        if self.has_events {
            builds.iter_mut().for_each(|build| build.touched = Some(HashSet::new()));
            for at in 0..builds.len() {
                let Some((build, before)) = builds.get_mut(..=at).and_then(<[Build]>::split_last_mut) else {
                    continue;
                };
                if build.job.required.is_some() {
                    build.due_lookups =
                        before.iter().flat_map(|other| other.touched.iter().flatten().cloned()).collect();
                }
                match self.refold_remaining(build, feed, fence).await? {
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
        let until = fence.began + FENCE_MAX;
        match self.publish(builds, until, fence.attempt.map(|attempt| (until, attempt))).await {
            // From now on the application has to fold its events itself, or `follow` does.
            Ok(()) => Ok(BehindFence::Flipped { refolded, at: self.store.operation_time().await? }),
            Err(PublishError::Named(error)) if is_busy(&error) => {
                Ok(BehindFence::Later { reason: rename_blocked(builds, &error), lifted: false })
            }
            Err(PublishError::Flip(error)) if error.class() == Class::Transient => {
                Ok(BehindFence::Unanswered(error))
            }
            Err(PublishError::Named(error) | PublishError::Flip(error)) => Err(error),
        }
    }

    /// When the pointers were flipped to these builds; `None` if they weren't.
    async fn flipped_at(&self, builds: &[Build]) -> Result<Option<Timestamp>> {
        let mut flipped = None;
        for build in builds {
            let active = self.store.control().pointer(&build.record().projection).await?;
            let is_ours = |active: &ActiveGeneration| {
                active.active == build.record().generation && active.token == self.mandate.token
            };
            let Some(active) = active.filter(is_ours) else { return Ok(None) };
            flipped = Some(active.since);
        }
        for build in builds {
            self.switch_views(build).await?;
        }
        Ok(flipped)
    }

    /// Refolds the remaining streams of a build, and returns their number. `None`: it took longer than
    /// writers may wait, and the fence is lifted already.
    async fn refold_remaining(
        &self,
        build: &mut Build,
        feed: Option<&Feed>,
        fence: &StandingFence,
    ) -> Result<Option<u64>> {
        let mut refolding = Box::pin(self.catch_up_once(build, feed, fence.drain_to));
        // Without a change stream all heads are compared behind the fence, which takes longer than a second.
        // In read-only mode no writer waits.
        if feed.is_none() || fence.kind == FenceOver::ReadOnly {
            return refolding.await.map(Some);
        }
        let left = FENCE_MAX.saturating_sub(fence.began.elapsed());
        match tokio::time::timeout(left, &mut refolding).await {
            Ok(refolded) => refolded.map(Some),
            Err(_) => {
                // The fence is lifted first, for the application. Then the refold that was begun is awaited,
                // so that no older result is written after a newer one.
                self.lift_fence().await?;
                refolding.await?;
                Ok(None)
            }
        }
    }
}

/// Says why a rename has to be tried again, and which collections are renamed already.
fn rename_blocked(builds: &[Build], error: &Error) -> String {
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
