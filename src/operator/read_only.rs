//! Read-only mode: the event store refuses events from every writer, until it is ended.
//!
//! It is the fence of a cut-over, held on purpose: it survives restarts of everything, and no leader lifts
//! it.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use statefold_projections::Registry;

use crate::config::Settings;
use crate::engine::leader::{lead, refuse_led};
use crate::error::{Error, Result};
use crate::plan::Topology;
use crate::store::{Deed, Fence, FenceKind, Fenced, Lifted, Mandate, Store, What};

/// How long to wait for a transaction that keeps the options from being changed, unless a limit is set.
const LIMIT: Duration = Duration::from_secs(60);
/// Pause after the first attempt; each further one is longer by as much. While an attempt waits, events
/// queue.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// Reason that is recorded if none is given.
const NO_REASON: &str = "no reason given";

/// Whether the event store takes events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReadOnlyReport {
    /// Name of the database.
    pub database: String,
    /// Whether the event store takes events: no fence of ours stands.
    pub can_write: bool,
    /// The fence that stands.
    pub fence: Option<Fence>,
    /// The fence that this call lifted.
    pub lifted: Option<Fence>,
    /// Whether this call changed anything.
    pub changed: bool,
    /// Whether a statefold process holds the lease.
    pub is_led: bool,
    /// Whether the settings forbid this server to write events ([`Settings::with_read_only`]).
    pub by_setting: bool,
}

/// Makes the event store read-only, for all writers, until [`read_only_off`]. If it is already, and no reason
/// or the same one is given, nothing is changed.
///
/// While a transaction on the event store is open it is tried again, with pauses, for `lease.wait_limit`, or
/// a minute.
///
/// # Errors
/// [`Error::ReadOnly`] if it is read-only for another reason; [`Error::LeaseHeld`] if somebody is at work;
/// [`Error::FenceBusy`] when the time is over; [`Error::Permission`] without the role `dbAdmin`;
/// [`Error::Unsupported`] if there is no event store; else what the server said.
pub async fn read_only_on(
    settings: &Settings,
    registry: &Registry,
    reason: Option<&str>,
) -> Result<ReadOnlyReport> {
    let store = connect(settings, registry).await?;
    let already = |fence: Fence| match (fence.kind, reason) {
        (FenceKind::ReadOnly, Some(reason)) if reason != fence.reason => Err(fence.into_error()),
        _ => Ok(()),
    };
    if let Some(fence) = store.control().fence().await?
        && fence.kind == FenceKind::ReadOnly
    {
        already(fence)?;
        return report(settings, &store, false, None).await;
    }
    // Under the lease, so never during a cut-over; taking it also lifts the fence of an interrupted one.
    let leadership = lead(&store, settings).await?;
    let work = async {
        // Somebody else may have been faster.
        match store.control().fence().await? {
            Some(fence) => already(fence).map(|()| false),
            None => {
                let raise = Change::Raise(&leadership.mandate, reason.unwrap_or(NO_REASON));
                retry_until(&store, settings, raise).await
            }
        }
    };
    let result = work.await;
    let changed = leadership.end(result).await?;
    if changed {
        let details = json!({ "reason": reason.unwrap_or(NO_REASON) });
        store.control().record([Deed::new(What::ReadOnlyOn, details)]).await;
    }
    report(settings, &store, changed, None).await
}

/// Whether [`read_only_on`] would begin; changes nothing. The report is that of now.
///
/// # Errors
/// Those with which it would begin.
pub async fn check_read_only_on(
    settings: &Settings,
    registry: &Registry,
    reason: Option<&str>,
) -> Result<ReadOnlyReport> {
    let store = connect(settings, registry).await?;
    match store.control().fence().await?.filter(|fence| fence.kind == FenceKind::ReadOnly) {
        Some(fence) if reason.is_some_and(|reason| reason != fence.reason) => return Err(fence.into_error()),
        Some(_) => {}
        None => refuse_led(&store, settings).await?,
    }
    report(settings, &store, false, None).await
}

/// Whether [`read_only_off`] would begin; changes nothing. The report is that of now.
///
/// # Errors
/// Those with which it would begin.
pub async fn check_read_only_off(settings: &Settings, registry: &Registry) -> Result<ReadOnlyReport> {
    let store = connect(settings, registry).await?;
    if let Some(fence) = store.control().fence().await? {
        let waits_for_nobody =
            fence.kind == FenceKind::ReadOnly && store.facts.topology == Topology::ReplicaSet;
        if !waits_for_nobody {
            refuse_led(&store, settings).await?;
        }
    }
    report(settings, &store, false, None).await
}

/// Ends read-only mode: the event store has its former options again. Lifts the fence of an interrupted
/// cut-over as well. If no fence stands, nothing is changed.
///
/// # Errors
/// [`Error::LeaseHeld`] if the fence is that of a cut-over at work, or on a standalone server, where events
/// that arrive after a cut-over aren't seen; [`Error::FenceBusy`] as in [`read_only_on`];
/// [`Error::Permission`] without the role `dbAdmin`; else what the server said.
pub async fn read_only_off(settings: &Settings, registry: &Registry) -> Result<ReadOnlyReport> {
    let store = connect(settings, registry).await?;
    let Some(fence) = store.control().fence().await? else {
        return report(settings, &store, false, None).await;
    };
    // A rebuild at work checks the fence again before it publishes, and folds the events that arrive then.
    let during_work = fence.kind == FenceKind::ReadOnly
        && store.facts.topology == Topology::ReplicaSet
        && store.control().lease().await?.is_some();
    let (changed, by_claim) = if during_work {
        (retry_until(&store, settings, Change::Lift).await?, false)
    } else {
        let leadership = lead(&store, settings).await?;
        let lifted = leadership.lifted_fence;
        let result = if lifted { Ok(true) } else { retry_until(&store, settings, Change::Lift).await };
        (leadership.end(result).await?, lifted)
    };
    // What the claim of the lease lifted, it has recorded.
    if changed && !by_claim {
        let details = json!({ "reason": fence.reason, "raised_by": fence.owner, "since": fence.since });
        store.control().record([Deed::new(What::ReadOnlyOff, details)]).await;
    }
    report(settings, &store, changed, Some(fence).filter(|_| changed)).await
}

/// Whether the event store takes events, and if not, why.
///
/// # Errors
/// [`Error::Unsupported`] if there is no event store; else what the server said.
pub async fn read_only_status(settings: &Settings, registry: &Registry) -> Result<ReadOnlyReport> {
    let store = connect(settings, registry).await?;
    report(settings, &store, false, None).await
}

async fn connect(settings: &Settings, registry: &Registry) -> Result<Store> {
    let store = Store::connect(settings, registry).await?;
    if !store.has_events().await? {
        let (database, events) = (store.database(), &store.layout.collection);
        return Err(Error::Unsupported(format!("the database {database} has no event store `{events}`")));
    }
    Ok(store)
}

async fn report(
    settings: &Settings,
    store: &Store,
    changed: bool,
    lifted: Option<Fence>,
) -> Result<ReadOnlyReport> {
    let fence = store.control().fence().await?;
    Ok(ReadOnlyReport {
        database: store.database().to_owned(),
        can_write: fence.is_none(),
        fence,
        lifted,
        changed,
        is_led: store.control().lease().await?.is_some(),
        by_setting: settings.is_read_only(),
    })
}

/// Change of the event store's options.
#[derive(Clone, Copy)]
enum Change<'a> {
    Raise(&'a Mandate, &'a str),
    Lift,
}

/// Outcome of one attempt to change the options.
enum Attempt {
    /// Nothing is left to do.
    Over {
        /// Whether the options were changed.
        changed: bool,
    },
    /// Something is in the way.
    Busy(String),
}

impl Change<'_> {
    async fn attempt(self, store: &Store) -> Result<Attempt> {
        Ok(match self {
            Self::Raise(mandate, reason) => match store.control().raise_read_only(mandate, reason).await? {
                Fenced::Standing(..) => Attempt::Over { changed: true },
                Fenced::Busy(reason) => Attempt::Busy(reason),
            },
            Self::Lift => match store.control().lift_read_only().await? {
                Lifted::Done => Attempt::Over { changed: true },
                Lifted::NotRaised => Attempt::Over { changed: false },
                Lifted::Busy(reason) => Attempt::Busy(reason),
            },
        })
    }
}

/// Tries to change the options until nothing is in the way any more. Returns whether they were changed.
async fn retry_until(store: &Store, settings: &Settings, change: Change<'_>) -> Result<bool> {
    let limit = settings.lease().wait_limit.unwrap_or(LIMIT);
    let (began, mut pause) = (Instant::now(), PAUSE);
    loop {
        let reason = match change.attempt(store).await.map_err(not_permitted)? {
            Attempt::Over { changed } => return Ok(changed),
            Attempt::Busy(reason) => reason,
        };
        if began.elapsed() >= limit {
            return Err(Error::FenceBusy { reason, waited_ms: began.elapsed().as_millis() });
        }
        tracing::info!(reason, ?pause, "the event store's options can't be changed now; trying again");
        tokio::time::sleep(pause.min(limit.saturating_sub(began.elapsed()))).await;
        pause = (pause + PAUSE).min(PAUSE_MAX);
    }
}

fn not_permitted(error: Error) -> Error {
    match error {
        Error::Permission { doing, source } => {
            Error::Permission { doing: format!("{doing} (`collMod`, of the role dbAdmin)"), source }
        }
        other => other,
    }
}
