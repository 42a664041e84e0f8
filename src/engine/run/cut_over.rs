//! The cut-over: catch up until the lag is short, publish, flip the pointer, drain. Where readers must never
//! see the past, a fence is raised before that, and lifted after the flip.
//!
//! While a fence stands, for some milliseconds, inserts into the event store are refused (error 121). If the
//! cut-over takes longer, the fence is lifted and everything is tried again later. Without one no event is
//! refused: those that arrive in the last milliseconds before the flip are folded right after it.

use std::time::{Duration, Instant};

use bson::Timestamp;

use crate::engine::leader::Waiting;
use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::engine::run::fence::{BehindFence, FenceOver, Raised, StandingFence, tenths};
use crate::engine::run::publish::PublishError;
use crate::engine::run::report::{Built, CutOver};
use crate::engine::run::request::Caller;
use crate::error::{Class, Error, Result};
use crate::lifecycle::{Fencing, Unnamed};
use crate::observe::Phase;
use crate::store::{ActiveGeneration, Feed, What, is_busy};

/// How long a rebuild waits for the migration lock, unless a limit is set.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// How long the fence may stand.
const FENCE_MAX: Duration = Duration::from_secs(1);
/// Lag below which the pointer moves without a fence: how long a last round of refolding may take.
const LAG_MAX: Duration = Duration::from_millis(50);
/// Rounds in which the lag may become that short; then the pointer moves all the same.
const ROUNDS_MAX: u32 = 20;
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

impl Run {
    /// Publishes finished builds and makes them active, all in one update. An operator's run holds the
    /// migration lock for the attempts alone; a server that starts holds it already. `what` is recorded.
    pub(super) async fn cut_over(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
        what: What,
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
        if let Ok((_, cut_over)) = &result {
            self.record_cut_over(what, builds, cut_over).await;
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
                if tries == 1 {
                    tracing::info!(build = %build.record().id, mode = %build.mode, "publishing");
                }
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

    /// Makes one attempt: raise the fence if one is wanted, refold and flip, lift it, drain, retire.
    async fn attempt_cut_over(&self, builds: &mut [Build], feed: Option<&Feed>) -> Result<Try> {
        self.give_names(builds).await?;
        let fence = match self.raise_fence(builds, feed).await? {
            Raised::Standing(fence) => fence,
            Raised::Busy(reason) => return Ok(Try::Later(reason)),
        };
        let behind_fence = self.refold_and_flip(builds, feed, &fence).await;
        let fence_ms = self.lift_after(&fence, &behind_fence).await?;
        let (refolded_fenced, flipped, asked) = match behind_fence? {
            BehindFence::Flipped { refolded, at: None, asked } => {
                (refolded, self.store.operation_time().await?, asked)
            }
            BehindFence::Flipped { refolded, at, asked } => (refolded, at, asked),
            BehindFence::Later { reason, .. } => return Ok(Try::Later(reason)),
            BehindFence::Unanswered(error) => match self.flipped_at(builds).await? {
                // Without a fence, events arrived up to the flip, whenever that was; behind one, deletes.
                Some(flipped) => (0, self.store.operation_time().await?.or(Some(flipped)), Instant::now()),
                None => return Ok(Try::Later(error.with_sources())),
            },
        };
        Self::finish_in_any_case(builds)?;
        let refolded_after = self.drain_all(builds, feed, &fence, flipped).await?;
        let drain_ms = if fence.lets_events_in() { tenths(asked.elapsed()) } else { 0.0 };
        tracing::info!(fence_ms, drain_ms, refolded = refolded_fenced, drained = refolded_after, "drained");
        if self.has_events && fence.kind != FenceOver::ReadOnly {
            self.drain_saves(builds, feed).await?;
        }
        if fence.lets_events_in() {
            self.look_at_drained(builds).await?;
        }
        let built = self.retire_replaced(builds).await?;
        let cut_over = CutOver {
            fence: if fence.kind == FenceOver::Events { Fencing::Short } else { Fencing::None },
            reason: fence.reason,
            fenced: fence.kind != FenceOver::Nothing,
            read_only: fence.kind == FenceOver::ReadOnly,
            fence_ms,
            tries: 0,
            refolded_fenced,
            refolded_after,
            drain_ms,
        };
        Ok(Try::Done(built, cut_over))
    }

    /// Refolds the remaining streams and flips the pointer, while the event store stands still, or once
    /// little is left.
    async fn refold_and_flip(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
        fence: &StandingFence,
    ) -> Result<BehindFence> {
        if fence.lets_events_in() && feed.is_some() {
            self.shorten_lag(builds, feed).await?;
        }
        let refold = self.refold_all(builds, feed, fence);
        let (refolded, confirmed) = tokio::join!(refold, self.confirm(fence));
        tracing::debug!(since_ms = tenths(fence.began.elapsed()), "refolded what was left");
        let Some(refolded) = refolded? else {
            let reason = "what was left to refold took too long".into();
            return Ok(BehindFence::Later { reason, lifted: true });
        };
        if let Some(reason) = confirmed? {
            return Ok(BehindFence::Later { reason, lifted: false });
        }
        if fence.kind == FenceOver::ReadOnly && !self.is_read_only().await? {
            return Ok(BehindFence::Later {
                reason: "read-only mode was ended meanwhile".into(),
                lifted: false,
            });
        }
        let asked = Instant::now();
        let until = if fence.lets_events_in() { asked } else { fence.began } + FENCE_MAX;
        let fenced = fence.prepared.as_ref().map(|prepared| (until, prepared.attempt));
        let now = fence.raised;
        match self.publish(builds, until, (fenced, now), fence.lets_events_in()).await {
            // From now on the application has to fold its events itself, or `follow` does.
            Ok(()) => {
                tracing::debug!(since_ms = tenths(fence.began.elapsed()), "the pointer moved");
                // Behind a fence nobody is kept waiting for this.
                if fence.prepared.is_some() {
                    return Ok(BehindFence::Flipped { refolded, at: None, asked });
                }
                match self.store.operation_time().await {
                    Ok(at) => Ok(BehindFence::Flipped { refolded, at, asked }),
                    Err(error) if error.class() == Class::Transient => Ok(BehindFence::Unanswered(error)),
                    Err(error) => Err(error),
                }
            }
            Err(PublishError::Named(error)) if is_busy(&error) => {
                Ok(BehindFence::Later { reason: rename_blocked(builds, &error), lifted: false })
            }
            Err(PublishError::Flip(error)) if error.class() == Class::Transient => {
                Ok(BehindFence::Unanswered(error))
            }
            Err(PublishError::Named(error) | PublishError::Flip(error)) => Err(error),
        }
    }

    /// Refolds the remaining streams of all builds, unless the lag was shortened instead. `None`: it took
    /// longer than writers may wait, and the fence is lifted already.
    async fn refold_all(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
        fence: &StandingFence,
    ) -> Result<Option<u64>> {
        let mut refolded = 0;
        if !self.has_events || fence.lets_events_in() && feed.is_some() {
            return Ok(Some(refolded));
        }
        builds.iter_mut().for_each(|build| _ = build.touched.get_or_insert_default());
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
                None => return Ok(None),
            }
        }
        Ok(Some(refolded))
    }

    /// Waits until a majority has the fence of this attempt; says why if that takes too long.
    async fn confirm(&self, fence: &StandingFence) -> Result<Option<String>> {
        match (fence.kind, fence.raised) {
            (FenceOver::Events, raised) => self.store.control().confirm_fence(raised).await,
            _ => Ok(None),
        }
    }

    /// Refolds in rounds until one takes so little time that the lag is short: what isn't folded at the flip
    /// is younger than the last round and the flip itself.
    async fn shorten_lag(&self, builds: &mut [Build], feed: Option<&Feed>) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            let began = Instant::now();
            for build in builds.iter_mut() {
                self.catch_up_once(build, feed, None).await?;
            }
            if began.elapsed() <= LAG_MAX {
                return Ok(());
            }
        }
        tracing::info!(rounds = ROUNDS_MAX, "the lag stays above {LAG_MAX:?}");
        Ok(())
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
                self.lift_fence(fence.prepared.as_deref()).await?;
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
