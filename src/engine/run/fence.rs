//! The fence of a cut-over: whether there is one, raising it, and lifting it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bson::Timestamp;
use statefold_projections::Registered;

use crate::config::Settings;
use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::engine::run::request::Caller;
use crate::error::{Error, Result};
use crate::lifecycle::{Fencing, FencingReason, Unnamed};
use crate::observe::Recorder;
use crate::store::{CUT_OVER, Feed, FenceKind, Fenced, Marker, Prepared, PreparedFence};

/// Rounds of refolding in which a moment may come at which no stream is dirty.
const QUIET_ROUNDS: u32 = 20;

/// What the fence keeps still during a cut-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FenceOver {
    /// Nothing: none is wanted, there is no event store, or this user may not raise a fence.
    Nothing,
    /// The event store, for the cut-over alone.
    Events,
    /// The event store, since before the cut-over: read-only mode, which a cut-over neither raises nor lifts.
    ReadOnly,
}

/// Fence of one attempt.
pub(super) struct StandingFence {
    pub(super) kind: FenceOver,
    pub(super) reason: FencingReason,
    /// When the fence was asked for.
    pub(super) began: Instant,
    /// Operation time at which it stood, if it is one of this cut-over and the server told.
    pub(super) raised: Option<Timestamp>,
    /// Point up to which the change stream is read behind the fence; the present time, if absent.
    pub(super) drain_to: Option<(Timestamp, Marker)>,
    /// What was noted of it, if it is one of this cut-over.
    pub(super) prepared: Option<Box<PreparedFence>>,
}

impl StandingFence {
    fn over(kind: FenceOver, reason: FencingReason) -> Self {
        Self { kind, reason, began: Instant::now(), raised: None, drain_to: None, prepared: None }
    }

    /// Whether events may have arrived between the last look at the event store and the flip.
    pub(super) fn lets_events_in(&self) -> bool {
        self.kind == FenceOver::Nothing && self.reason != FencingReason::NoEvents
    }
}

/// Outcome of raising the fence.
pub(super) enum Raised {
    Standing(StandingFence),
    /// Something is in the way: this.
    Busy(String),
}

/// Outcome of the steps behind the fence.
pub(super) enum BehindFence {
    /// The pointer was flipped, at this operation time if the server gives one; the flip was begun at
    /// `asked`.
    Flipped { refolded: u64, at: Option<Timestamp>, asked: Instant },
    /// Nothing has changed: why it has to be tried again, and whether the fence is lifted already.
    Later { reason: String, lifted: bool },
    /// Whether the pointer was flipped isn't known: its answer was lost. No flip can come after the fence is
    /// lifted, so that the pointer tells then.
    Unanswered(Error),
}

/// Refuses to let readers see the past of a projection for which that was excluded.
///
/// # Errors
/// [`Error::Unsupported`].
pub(crate) fn refuse_past<'a>(
    settings: &Settings,
    selected: impl IntoIterator<Item = &'a Registered>,
) -> Result<()> {
    let mut specs = selected.into_iter().map(Registered::spec);
    let latest = specs.find(|spec| spec.reads_latest());
    match (latest, settings.tuning().fence) {
        (Some(spec), Some(Fencing::None)) => Err(Error::Unsupported(format!(
            "{} declares that its readers must never see the past (reads = latest), which a cut-over \
             with fence = none can't promise: leave that setting out, or use short",
            spec.name()
        ))),
        _ => Ok(()),
    }
}

impl Run {
    /// Whether these builds are cut over to behind a fence, and why.
    fn fencing(&self, builds: &[Build], feed: Option<&Feed>) -> (Fencing, FencingReason) {
        let latest = builds.iter().any(|build| build.job.projection.spec().reads_latest());
        match self.settings.tuning().fence {
            Some(asked) => (asked, FencingReason::Asked),
            None if latest => (Fencing::Short, FencingReason::ReadsLatest),
            None if feed.is_none() => (Fencing::Short, FencingReason::NoChangeStreams),
            None => (Fencing::None, FencingReason::ReadsEventually),
        }
    }

    /// Raises the fence, unless none is wanted, that of read-only mode stands, or this user may not raise
    /// one and may do without.
    pub(super) async fn raise_fence(&self, builds: &mut [Build], feed: Option<&Feed>) -> Result<Raised> {
        if !self.has_events {
            return Ok(Raised::Standing(StandingFence::over(FenceOver::Nothing, FencingReason::NoEvents)));
        }
        if self.is_read_only().await? {
            return Ok(Raised::Standing(StandingFence::over(FenceOver::ReadOnly, FencingReason::ReadOnly)));
        }
        let (fencing, reason) = self.fencing(builds, feed);
        self.store.check_cut_over(true, fencing == Fencing::Short)?;
        if fencing == Fencing::None {
            return Ok(Raised::Standing(StandingFence::over(FenceOver::Nothing, reason)));
        }
        let prepared = match self.store.control().prepare_fence(&self.mandate, CUT_OVER).await? {
            Prepared::Ready(prepared) => prepared,
            Prepared::Busy(reason) => return Ok(Raised::Busy(reason)),
        };
        if let Some(feed) = feed
            && let Err(error) = self.quiet_moment(builds, feed).await
        {
            // Only noted, it hinders nobody; but nobody should find it.
            self.store.control().forget_fence(self.mandate.token).await?;
            return Err(error);
        }
        let marker = feed.map(Feed::marker);
        match self.store.control().raise_prepared(&self.mandate, &prepared).await {
            Ok(Fenced::Standing(time, began)) => {
                tracing::debug!(since_ms = tenths(began.elapsed()), "the fence stands");
                Recorder::fence_stands(&self.progress);
                Ok(Raised::Standing(StandingFence {
                    kind: FenceOver::Events,
                    reason,
                    began,
                    raised: time,
                    drain_to: time.zip(marker),
                    prepared: Some(prepared),
                }))
            }
            Ok(Fenced::Busy(reason)) => Ok(Raised::Busy(reason)),
            // An operator can ask somebody who may; the build is kept until then.
            Err(Error::Permission { .. })
                if self.caller == Caller::Start && reason == FencingReason::NoChangeStreams =>
            {
                tracing::warn!(
                    "this user may not change the event store's options (dbAdmin): \
                     cutting over without a fence; what arrives meanwhile is refolded right after"
                );
                Ok(Raised::Standing(StandingFence::over(FenceOver::Nothing, FencingReason::NoPermission)))
            }
            Err(error) => Err(error),
        }
    }

    /// Refolds what the feed shows until, for a moment, it shows nothing: then little is left for behind the
    /// fence. It isn't waited for what the feed doesn't show yet.
    async fn quiet_moment(&self, builds: &mut [Build], feed: &Feed) -> Result<()> {
        // What is refolded from here on counts as refolded behind the fence, for those that looked it up.
        builds.iter_mut().for_each(|build| build.touched = Some(HashSet::new()));
        for _ in 0..QUIET_ROUNDS {
            let mut dirty = 0;
            for build in builds.iter_mut() {
                build.due(feed.take(build.position)?);
                dirty += build.dirty.len();
                self.refold_some(build, Unnamed::Clean, false).await?;
            }
            if dirty == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Lifts the fence of this attempt, also after an error, unless it is lifted already. Returns how long it
    /// stood, in milliseconds.
    pub(super) async fn lift_after(
        &self,
        fence: &StandingFence,
        behind_fence: &Result<BehindFence>,
    ) -> Result<f64> {
        let is_lifted = matches!(behind_fence, Ok(BehindFence::Later { lifted: true, .. }));
        if fence.kind != FenceOver::Events || is_lifted {
            return Ok(0.0);
        }
        tracing::debug!(since_ms = tenths(fence.began.elapsed()), "lifting the fence");
        let lifted = self.lift_fence(fence).await;
        if let (Err(_), Err(first)) = (&lifted, behind_fence) {
            tracing::error!(error = %first.with_sources(), "the cut-over failed behind the fence");
        }
        lifted.map(tenths)
    }

    /// Whether the event store is in read-only mode. In that mode there is no marker: the feed is read up to
    /// a time that is asked for after this.
    pub(super) async fn is_read_only(&self) -> Result<bool> {
        Ok(self.store.control().fence().await?.is_some_and(|fence| fence.kind == FenceKind::ReadOnly))
    }

    /// Lifts the fence, also after this process was told to stop. Returns how long it stood.
    ///
    /// # Errors
    /// [`Error::FenceStands`].
    pub(super) async fn lift_fence(&self, fence: &StandingFence) -> Result<Duration> {
        let former = fence.prepared.as_deref().map(PreparedFence::former);
        let lifted = self.store.control().lift_own_fence(&self.mandate, former).await?;
        let stood = lifted.unwrap_or_else(Instant::now).saturating_duration_since(fence.began);
        Recorder::fence_lifted(&self.progress, stood);
        Ok(stood)
    }
}

/// Milliseconds, in tenths.
pub(super) fn tenths(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}
