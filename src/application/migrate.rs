//! Migration at a server's start: brings all registered projections to their version, as leader or as
//! follower.
//!
//! If everything is up to date, nothing is touched. Else one of the starting servers leads; it checks again
//! whether there still is something to do, holds the application's migration lock, builds the projections
//! that are behind in one pass over the event store, and publishes each as soon as it is finished. The others
//! wait, and one of them takes over if it dies.

mod outcome;
mod states;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::leader::{Claimant, Claimed, Leadership, Patience, Waiting};
use crate::engine::looking::while_looking;
use crate::engine::preflight::preflight;
use crate::engine::run::{Caller, Rebuild, Run, RunInputs, WhenFinished};
use crate::engine::running::Running;
use crate::engine::sweep;
use crate::engine::workers::Working;
use crate::error::{Class, Error, Result};
use crate::lifecycle::StartVerdict;
use crate::observe::{Leader, Progress, Recorder};
use crate::store::{Store, StreamIndex};

pub use outcome::Outcome;

/// Work that a server does for itself once its data are there, such as filling a cache; it gets the start's
/// outcome.
pub type Hook = Arc<dyn Fn(Outcome) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// Request for a migration.
#[derive(Clone, Default)]
pub struct Migrate {
    hook: Option<Hook>,
}

impl std::fmt::Debug for Migrate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Migrate").field("hook", &self.hook.is_some()).finish()
    }
}

impl Migrate {
    /// Runs this on every server, leader or not, after the data are there. Its error is the start's.
    #[must_use]
    pub fn then<F>(mut self, hook: impl Fn(Outcome) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.hook = Some(Arc::new(move |outcome| hook(outcome).boxed()));
        self
    }
}

/// Begins to bring all registered projections to their version. Must be called on a tokio runtime.
///
/// Any number of servers may call this at the same time: one leads, and the others wait for it.
///
/// # Errors
/// Awaiting the outcome gives [`Error::Newer`] if the database is newer and nothing this program can
/// read is left; [`Error::BootFailed`] after the allowed number of attempts, with the first cause;
/// [`Error::LeaseHeld`] or [`Error::LockHeld`] after the wait limit, if there is one;
/// [`Error::Interrupted`]; or what the server said.
pub fn migrate(settings: &Settings, registry: &Registry, request: Migrate) -> Running<Outcome> {
    let (settings, registry) = (settings.clone(), registry.clone());
    Running::begin(move |progress, cancel| async move {
        let start = Start { settings, registry, progress, cancel };
        let mut outcome = start.run().await?;
        if start.settings.is_read_only() {
            outcome = Outcome::ReadOnly { after: Box::new(outcome) };
        }
        if let Some(hook) = &request.hook {
            hook(outcome.clone()).await?;
        }
        Ok(outcome)
    })
}

/// How long the end of a server's help is waited for.
const HELP_ENDS: Duration = Duration::from_secs(5);

/// One server's start.
struct Start {
    settings: Settings,
    registry: Registry,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
}

/// How one round ended.
enum Round {
    Done(Outcome),
    /// To be looked at again: another process has led, perhaps this one if it was seen.
    Look(Option<Leader>),
}

impl Start {
    async fn run(&self) -> Result<Outcome> {
        let projections = self.registry.projections();
        if projections.is_empty() {
            return Err(Error::Config(vec!["no projection is registered".into()]));
        }
        let names = projections.iter().map(|projection| projection.spec().name());
        Recorder::begin_run(&self.progress, names);
        let store = Store::connect(&self.settings, &self.registry).await?;
        let stream_index = preflight(&store, projections).await?;
        while_looking(&store, &self.settings, projections, self.rounds(&store, stream_index)).await
    }

    /// Looks at the database, leads or follows, until nothing is left to do or no attempt is left.
    async fn rounds(&self, store: &Store, stream_index: Option<StreamIndex>) -> Result<Outcome> {
        let allowed = self.settings.lease().attempts;
        let (mut attempts, mut first, mut followed) = (0, None, None);
        loop {
            match self.round(store, stream_index.clone(), followed.take()).await {
                Ok(Round::Done(outcome)) => return Ok(outcome),
                Ok(Round::Look(leader)) => followed = Some(leader),
                // Another process continues the build; this one follows.
                Err(Error::LeaseLost { token, reason }) => {
                    tracing::warn!(token, reason, "no longer leading; continuing as a follower");
                    followed = Some(None);
                }
                Err(error) if !is_worth_trying_again(&error) => return Err(error),
                Err(error) => {
                    attempts += 1;
                    tracing::warn!(attempts, allowed, error = %error.with_sources(), "the migration failed");
                    let first = first.get_or_insert(error);
                    if attempts >= allowed {
                        let first = Box::new(std::mem::replace(first, Error::Interrupted));
                        return Err(Error::BootFailed { attempts, first });
                    }
                    self.pause().await;
                }
            }
            if self.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
        }
    }

    /// Gives another server the chance to lead after this one failed.
    async fn pause(&self) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(self.settings.lease().poll) => {}
        }
    }

    /// Looks at the database once, and leads or follows if there is something to do.
    async fn round(
        &self,
        store: &Store,
        stream_index: Option<StreamIndex>,
        followed: Option<Option<Leader>>,
    ) -> Result<Round> {
        let lease = self.settings.lease();
        let waiting = Waiting::of(lease, &self.progress);
        let look = || states::judge(store, &self.registry);
        match waiting.outlasting("looking what is to do", &self.cancel, look).await? {
            StartVerdict::UpToDate => {
                return Ok(Round::Done(match followed {
                    Some(leader) => Outcome::Followed { leader: leader.map(|leader| leader.name()) },
                    None => Outcome::UpToDate,
                }));
            }
            StartVerdict::Serving(behind) => return Ok(Round::Done(Outcome::Serving { behind })),
            StartVerdict::Newer { projection, active, registered } => {
                let what = format!("the active generation of {projection}");
                return Err(Error::Newer { what, found: active, known: registered });
            }
            StartVerdict::Behind(names) => {
                tracing::info!(projections = names.join(", "), "the database is behind this program");
            }
        }
        let claimant = Claimant { store, waiting, patience: Patience::UntilDone, cancel: &self.cancel };
        let is_behind = || {
            let judged = states::judge(store, &self.registry);
            judged.map(|verdict| Ok(matches!(verdict?, StartVerdict::Behind(_)))).boxed()
        };
        match self.helping(store, claimant.claim_while(&is_behind)).await? {
            Claimed::NotNeeded(leader) => Ok(Round::Look(leader)),
            Claimed::Led(leadership) => {
                let leadership = Arc::new(leadership);
                let led = std::panic::AssertUnwindSafe(self.lead(store, stream_index, &leadership))
                    .catch_unwind()
                    .await;
                let led = led.unwrap_or_else(|_| Err(Error::Bug("the migration panicked".into())));
                leadership.end(led).await
            }
        }
    }

    /// Waits for a claim, and takes part in the build of whoever leads meanwhile.
    async fn helping<T>(&self, store: &Store, claim: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.settings.sharing().help_build {
            return claim.await;
        }
        // What is shown is that it waits: what it builds, the leader counts.
        let (progress, stop) = (watch::Sender::new(Progress::default()), self.cancel.child_token());
        let (settings, registry) = (&self.settings, &self.registry);
        let working = Working { store, settings, registry, progress: &progress, cancel: &stop };
        let (mut claim, mut help) = (std::pin::pin!(claim), std::pin::pin!(working.help()));
        let claimed = tokio::select! {
            claimed = &mut claim => Some(claimed),
            () = &mut help => None,
        };
        match claimed {
            Some(claimed) => {
                // It ends before this process leads, or goes on; what hangs is left to itself, without its
                // mandate.
                stop.cancel();
                let _ = tokio::time::timeout(HELP_ENDS, help).await;
                claimed
            }
            None => claim.await,
        }
    }

    /// Builds the projections that are behind, under the lease and the migration lock.
    async fn lead(
        &self,
        store: &Store,
        stream_index: Option<StreamIndex>,
        leadership: &Arc<Leadership>,
    ) -> Result<Round> {
        // Another server may have been faster between the look and the lease.
        let StartVerdict::Behind(_) = states::judge(store, &self.registry).await? else {
            if leadership.lifted_fence {
                let token = leadership.mandate.token;
                return Ok(Round::Done(Outcome::Led { token, report: None, version: None }));
            }
            tracing::info!("leading, but another server has done it already: following");
            return Ok(Round::Look(None));
        };
        let lease = self.settings.lease();
        let waiting = Waiting::of(lease, &self.progress);
        let lock = leadership.lock(&waiting).await?;
        let StartVerdict::Behind(behind) = states::judge_locked(store, &self.registry).await? else {
            return Ok(Round::Look(None));
        };
        let selected: Vec<Registered> = states::projections_behind(&self.registry, &behind)?;
        let report = if selected.is_empty() {
            None
        } else {
            let inputs = RunInputs {
                store,
                registry: &self.registry,
                settings: &self.settings,
                stream_index,
                progress: &self.progress,
            };
            let run = Run::new(&inputs, leadership, Caller::Start, Rebuild::default())?;
            Some(run.rebuild(&selected, WhenFinished::Keep).await)
        };
        // Also after a failure: projections that were published count.
        let version = states::move_version(store, &self.registry, &lock).await;
        let (report, version) = (report.transpose()?, version?);
        sweep::automatic(store, &self.settings, &self.registry, &leadership.mandate).await;
        Ok(Round::Done(Outcome::Led { token: leadership.mandate.token, report, version }))
    }
}

/// Whether another attempt may succeed, by this server or another one.
fn is_worth_trying_again(error: &Error) -> bool {
    match error {
        Error::LeaseHeld { .. } | Error::LockHeld { .. } => false,
        Error::Newer { .. } | Error::Config(_) | Error::Registry(_) | Error::Unsupported(_) => false,
        Error::Permission { .. } | Error::Refused { .. } => false,
        other => other.class() != Class::Interrupted,
    }
}
