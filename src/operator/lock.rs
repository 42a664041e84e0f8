//! Who leads, who holds the application's lock, and what is active.

use bson::Bson;
use serde::Serialize;
use statefold_projections::Registry;

use crate::config::Settings;
use crate::error::Result;
use crate::observe::Leader;
use crate::store::{LockState, Store};

/// Lease and lock, as they are.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LockReport {
    /// The holder of the lease, if somebody leads.
    pub leader: Option<Leader>,
    /// Whether the version document is locked.
    pub held: bool,
    /// Who locked it, in words.
    pub holder: Option<String>,
    /// The version document, as relaxed extended JSON.
    pub document: Option<serde_json::Value>,
    /// What to give to [`release_lock`].
    #[serde(skip)]
    pub lock: Option<LockState>,
}

/// Who leads, and what the version document says.
///
/// # Errors
/// What the server said.
pub async fn lock_state(settings: &Settings, registry: &Registry) -> Result<LockReport> {
    let store = Store::connect(settings, registry.layout()).await?;
    let leader = store.control().lease().await?.map(|held| held.leader);
    let lock = store.control().lock_state().await?;
    let held = lock.as_ref().filter(|lock| lock.locked);
    Ok(LockReport {
        leader,
        held: held.is_some(),
        holder: held.map(|lock| lock.holder.clone()),
        document: lock.as_ref().map(|lock| Bson::Document(lock.document.clone()).into_relaxed_extjson()),
        lock,
    })
}

/// Opens the lock of the version document, whoever holds it, if the document is still the one that was
/// shown, and records in the control document (`ForcedRelease`) what was opened, by whom and when.
/// Returns whether it was.
///
/// The lease is never released by hand: it runs out by itself.
///
/// # Errors
/// What the server said.
pub async fn release_lock(settings: &Settings, registry: &Registry, shown: &LockState) -> Result<bool> {
    Store::connect(settings, registry.layout()).await?.control().force_release(shown).await
}
