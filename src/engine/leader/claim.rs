//! Claims statefold's lease: look, wait, take. A database that is away for a while doesn't end a claim.

use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::leader::leadership::{Leadership, TakenLease};
use crate::engine::leader::waiting::{Patience, SAY_EVERY, Waiting};
use crate::error::{Class, Error, Result};
use crate::lifecycle::{Challenger, Claim};
use crate::observe::{Leader, Progress, Recorder};
use crate::store::{BootInstant, Deed, FenceKind, LeaseHolder, LeaseTaken, Owner, Store, What};

/// Tells whether there still is work that needs a leader.
pub(crate) type Needed<'a> = dyn Fn() -> BoxFuture<'a, Result<bool>> + Send + Sync + 'a;

/// How a claim ended.
pub(crate) enum Claimed {
    /// This process leads.
    Led(Leadership),
    /// No leader is needed any more. Holds the process that led meanwhile, if one was seen.
    NotNeeded(Option<Leader>),
}

/// A process that wants to lead.
pub(crate) struct Claimant<'a> {
    pub(crate) store: &'a Store,
    pub(crate) waiting: Waiting<'a>,
    pub(crate) patience: Patience,
    pub(crate) cancel: &'a CancellationToken,
}

/// Takes the lease for a short piece of work, unless a live process holds it.
///
/// # Errors
/// As [`Claimant::claim_while`].
pub(crate) async fn lead(store: &Store, settings: &Settings) -> Result<Leadership> {
    let (progress, cancel) = (watch::Sender::new(Progress::default()), CancellationToken::new());
    lead_watched(store, settings, &progress, &cancel).await
}

/// Takes the lease for work that is watched and can be cancelled, unless a live process holds it.
///
/// # Errors
/// As [`Claimant::claim_while`].
pub(crate) async fn lead_watched(
    store: &Store,
    settings: &Settings,
    progress: &watch::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<Leadership> {
    let waiting = Waiting::of(settings.lease(), progress);
    Claimant { store, waiting, patience: Patience::UntilAlive, cancel }.claim().await
}

/// Decision after a look at the lease.
enum Look {
    NotNeeded,
    /// The lease may be taken; from this holder, if there is one.
    Take(Option<LeaseHolder>),
    /// An earlier take succeeded, but its answer was lost.
    Ours(i64),
    /// Another process holds the lease; the flag tells whether it is known to be alive.
    Wait(LeaseHolder, bool),
}

impl Claimant<'_> {
    /// Claims the lease without asking whether a leader is needed.
    pub(crate) async fn claim(&self) -> Result<Leadership> {
        match self.claim_while(&|| futures::future::ready(Ok(true)).boxed()).await? {
            Claimed::Led(leadership) => Ok(leadership),
            Claimed::NotNeeded(_) => Err(Error::Bug("the lease was needed".into())),
        }
    }

    /// Claims the lease for as long as `needed` says that a leader is needed.
    ///
    /// # Errors
    /// [`Error::LeaseHeld`] if the patience or the limit is over, [`Error::Interrupted`], errors of `needed`,
    /// or what the server said, unless the error is transient.
    pub(crate) async fn claim_while(&self, needed: &Needed<'_>) -> Result<Claimed> {
        self.store.check_majority().await?;
        let began = Instant::now();
        let mut attempt = Attempt::new(self);
        loop {
            if self.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            match attempt.once(needed, began).await {
                Ok(Some(claimed)) => {
                    self.waiting.over();
                    return self.without_orphans(claimed).await;
                }
                Ok(None) => {}
                // A database that is away for a while must not end the claim.
                Err(error) if error.class() == Class::Transient => {
                    tracing::warn!(
                        error = %error.with_sources(),
                        "the lease can't be claimed now; trying again"
                    );
                    if self.waiting.is_over(began) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
            if !self.waiting.pause(self.cancel, began).await {
                return Err(Error::Interrupted);
            }
        }
    }
}

impl Claimant<'_> {
    /// Ends the sessions of a dead leader and lifts the fence that a leader which died in its cut-over left.
    async fn without_orphans(&self, claimed: Claimed) -> Result<Claimed> {
        let Claimed::Led(mut leadership) = claimed else { return Ok(claimed) };
        match self.store.control().end_orphaned_sessions(leadership.mandate.token).await {
            Ok(0) => {}
            Ok(sessions) => tracing::warn!(sessions, "ended the sessions of a leader that is gone"),
            // Its transactions are in the way until the server aborts them.
            Err(error) => {
                tracing::warn!(
                    error = %error.with_sources(),
                    "sessions of a former leader could not be ended"
                );
            }
        }
        if !self.store.leads {
            return Ok(Claimed::Led(leadership));
        }
        let lift = || async {
            match self.store.control().fence().await? {
                Some(fence) if fence.kind == FenceKind::CutOver => {
                    tracing::warn!(
                        raised = fence.owner,
                        "lifting the fence of a cut-over that was interrupted"
                    );
                    let lifted = self.store.control().lift_left_fence().await?;
                    if lifted {
                        let details = json!({ "raised_by": fence.owner, "since": fence.since });
                        self.store.control().record([Deed::new(What::FenceLifted, details)]).await;
                    }
                    Ok(lifted)
                }
                Some(_) => Ok(false),
                None => self.store.control().forget_unraised_fence().await.map(|()| false),
            }
        };
        match self.waiting.retried("lifting a fence", lift).await {
            Ok(lifted) => {
                leadership.lifted_fence = lifted;
                Ok(Claimed::Led(leadership))
            }
            Err(error) => leadership.end(Err(error)).await,
        }
    }
}

/// Refuses what would have to wait for a leader that is at work, unless there is a limit for that: what the
/// claim of an operator's verb would do.
///
/// # Errors
/// [`Error::LeaseHeld`]; what the server said.
pub(crate) async fn refuse_led(store: &Store, settings: &Settings) -> Result<()> {
    if settings.lease().wait_limit.is_some() {
        return Ok(());
    }
    match store.control().lease().await? {
        Some(held) if held.is_at_work(settings.lease().ttl) => {
            Err(Error::LeaseHeld { holder: held.leader.line() })
        }
        _ => Ok(()),
    }
}

/// State of one claim, from look to look.
struct Attempt<'a> {
    claimant: &'a Claimant<'a>,
    /// Identity for the whole claim, by which a take whose answer was lost is recognised.
    owner: Option<Owner>,
    challenger: Challenger,
    clock: Instant,
    /// When the first take was sent whose outcome isn't known.
    sent: Option<BootInstant>,
    leader: Option<Leader>,
    said: Option<Instant>,
}

impl<'a> Attempt<'a> {
    fn new(claimant: &'a Claimant<'a>) -> Self {
        Self {
            claimant,
            owner: Some(Owner::new()),
            challenger: Challenger::new(claimant.waiting.lease.ttl),
            clock: Instant::now(),
            sent: None,
            leader: None,
            said: None,
        }
    }

    async fn once(&mut self, needed: &Needed<'_>, began: Instant) -> Result<Option<Claimed>> {
        let waiting = &self.claimant.waiting;
        match self.look(needed).await? {
            Look::NotNeeded => Ok(Some(Claimed::NotNeeded(self.leader.take()))),
            Look::Ours(token) => self.lead(token).map(Some),
            Look::Take(over) => self.take(over).await,
            Look::Wait(held, alive) => {
                let line = held.leader.line();
                let at_once = self.claimant.patience == Patience::UntilAlive && waiting.limit.is_none();
                if at_once && alive || waiting.is_over(began) {
                    return Err(Error::LeaseHeld { holder: line });
                }
                let another = self.leader.as_ref().is_none_or(|leader| leader.owner != held.leader.owner);
                if another || self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                    self.said = Some(Instant::now());
                    tracing::info!(leader = line, "another statefold leads; waiting for it");
                }
                waiting.for_leader(&held.leader);
                self.leader = Some(held.leader);
                Ok(None)
            }
        }
    }

    async fn look(&mut self, needed: &Needed<'_>) -> Result<Look> {
        let (store, waiting) = (self.claimant.store, &self.claimant.waiting);
        if !waiting.retried("looking what is to do", needed).await? {
            return Ok(Look::NotNeeded);
        }
        let held = waiting.retried("looking at the lease", || store.control().lease()).await?;
        let claim = self.challenger.observe(self.clock.elapsed(), held.as_ref().map(|held| held.beat));
        let Some(held) = held else { return Ok(Look::Take(None)) };
        if self.owner.as_ref().is_some_and(|owner| owner.name() == held.leader.owner) {
            return Ok(Look::Ours(held.beat.token));
        }
        Ok(match claim {
            Claim::Free => Look::Take(None),
            Claim::Stale(_) => Look::Take(Some(held)),
            Claim::Held { .. } if waiting.lease.judge_processes && held.is_abandoned() => {
                Look::Take(Some(held))
            }
            Claim::Held { alive, .. } => Look::Wait(held, alive),
        })
    }

    async fn take(&mut self, over: Option<LeaseHolder>) -> Result<Option<Claimed>> {
        let Some(owner) = self.owner.as_ref() else { return Err(led_before()) };
        if let Some(held) = &over {
            tracing::warn!(leader = held.leader.line(), "taking over from a leader that is gone");
        }
        self.sent.get_or_insert_with(BootInstant::now);
        let (store, beat) = (self.claimant.store, over.as_ref().map(|held| held.beat));
        let take = || store.control().take_lease(owner, beat);
        match self.claimant.waiting.retried("taking the lease", take).await? {
            LeaseTaken::Ours(token) => {
                if over.is_some() {
                    Recorder::takeover();
                }
                self.lead(token).map(Some)
            }
            LeaseTaken::Theirs => {
                // Certainly not taken: the tenure of the next take counts from when that is sent.
                self.sent = None;
                Ok(None)
            }
        }
    }

    fn lead(&mut self, token: i64) -> Result<Claimed> {
        let (Some(owner), Some(sent)) = (self.owner.take(), self.sent) else { return Err(led_before()) };
        tracing::info!(token, "leading");
        let claimant = self.claimant;
        Ok(Claimed::Led(Leadership::begin(
            claimant.store,
            &claimant.waiting,
            claimant.cancel,
            TakenLease { owner, token, sent },
        )))
    }
}

fn led_before() -> Error {
    Error::Bug("a claim continued after it had led".into())
}
