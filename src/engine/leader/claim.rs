//! Claiming the lease: look, wait, take; nothing the database does for a while ends it.

use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::leader::leadership::{Leadership, TakenLease};
use crate::engine::leader::waiting::{Patience, SAY_EVERY, Waiting};
use crate::error::{Class, Error, Result};
use crate::lifecycle::{Challenger, Claim};
use crate::observe::{Leader, Progress, Recorder};
use crate::store::{FenceKind, LeaseHolder, LeaseTaken, Owner, Store};

/// Asks whether there still is something to lead for.
pub(crate) type Needed<'a> = dyn Fn() -> BoxFuture<'a, Result<bool>> + Send + Sync + 'a;

/// How a claim ended.
pub(crate) enum Claimed {
    /// This process leads.
    Led(Leadership),
    /// There is nothing left to lead for. Who led meanwhile, as far as anybody was seen.
    NotNeeded(Option<Leader>),
}

/// Whoever wants to lead.
pub(crate) struct Claimant<'a> {
    pub(crate) store: &'a Store,
    pub(crate) waiting: Waiting<'a>,
    pub(crate) patience: Patience,
    pub(crate) cancel: &'a CancellationToken,
}

/// Leads for something short, unless somebody leads who is alive.
///
/// # Errors
/// As [`Claimant::claim_while`].
pub(crate) async fn lead(store: &Store, settings: &Settings) -> Result<Leadership> {
    let (progress, cancel) = (watch::Sender::new(Progress::default()), CancellationToken::new());
    lead_watched(store, settings, &progress, &cancel).await
}

/// Leads for work that is watched and can be cancelled, unless somebody leads who is alive.
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

/// What a look at the lease comes to.
enum Look {
    NotNeeded,
    /// It may be taken, over from this leader if there is one.
    Take(Option<LeaseHolder>),
    /// An earlier take succeeded, but its answer was lost.
    Ours(i64),
    Wait(LeaseHolder, bool),
}

impl Claimant<'_> {
    /// Claims the lease, whatever there is to do.
    pub(crate) async fn claim(&self) -> Result<Leadership> {
        match self.claim_while(&|| futures::future::ready(Ok(true)).boxed()).await? {
            Claimed::Led(leadership) => Ok(leadership),
            Claimed::NotNeeded(_) => Err(Error::Bug("the lease was needed".into())),
        }
    }

    /// Claims the lease for as long as `needed` says that there is something to lead for.
    ///
    /// # Errors
    /// [`Error::LeaseHeld`] if the patience or the limit is over, [`Error::Interrupted`], what `needed`
    /// says, what the server said unless it may go away by itself.
    pub(crate) async fn claim_while(&self, needed: &Needed<'_>) -> Result<Claimed> {
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
                // The database is waited for; it must not end the claim.
                Err(error) if error.class() == Class::Transient => {
                    tracing::warn!(error = %error.with_sources(), "the lease can't be claimed now; trying again");
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
    /// A leader that died in its cut-over leaves the event store fenced: whoever leads next lifts it.
    async fn without_orphans(&self, claimed: Claimed) -> Result<Claimed> {
        let Claimed::Led(mut leadership) = claimed else { return Ok(claimed) };
        match self.store.control().end_orphaned_sessions(leadership.mandate.token).await {
            Ok(0) => {}
            Ok(sessions) => tracing::warn!(sessions, "ended the sessions of a leader that is gone"),
            // Then its transactions are in the way until the server gives them up.
            Err(error) => {
                tracing::warn!(error = %error.with_sources(), "sessions of a former leader could not be ended");
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
                        "lifting the fence of a cut-over that was cut short"
                    );
                    self.store.control().lift_fence().await.map(|lifted| lifted.is_some())
                }
                _ => Ok(false),
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

/// One claim, from look to look.
struct Attempt<'a> {
    claimant: &'a Claimant<'a>,
    /// One name for the whole claim, so that a take whose answer was lost is recognised.
    owner: Option<Owner>,
    challenger: Challenger,
    clock: Instant,
    /// When a take was first sent whose outcome isn't known.
    sent: Option<Instant>,
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
                if (self.claimant.patience == Patience::UntilAlive && alive) || waiting.is_over(began) {
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
        self.sent.get_or_insert_with(Instant::now);
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
                // Certainly not taken: the next take counts from its own sending.
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
    Error::Bug("a claim went on after it had led".into())
}
