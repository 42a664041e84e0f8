//! Shows who holds statefold's lease and the application's migration lock, and opens that lock.

use bson::Bson;
use serde::Serialize;
use serde_json::json;
use statefold_projections::Registry;

use crate::config::Settings;
use crate::error::Result;
use crate::observe::Leader;
use crate::store::{Deed, LockState, Store, What};

/// State of statefold's lease and of the application's migration lock.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LockReport {
    /// Holder of the lease, if somebody leads.
    pub leader: Option<Leader>,
    /// Whether the migration lock is held.
    pub held: bool,
    /// Holder of the migration lock, in words.
    pub holder: Option<String>,
    /// The version document, which holds the migration lock, as relaxed extended JSON.
    pub document: Option<serde_json::Value>,
    /// The lock as it was read, for [`release_lock`].
    #[serde(skip)]
    pub lock: Option<LockState>,
}

/// Reads who holds the lease and the migration lock.
///
/// # Errors
/// What the server said.
pub async fn lock_state(settings: &Settings, registry: &Registry) -> Result<LockReport> {
    let store = Store::connect(settings, registry).await?;
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

/// Opens the migration lock, whoever holds it, if the version document is still the one that was shown, and
/// records in the control document (`ForcedRelease`) what was opened, by whom and when. Returns whether it
/// was opened.
///
/// The lease is never released by hand: it runs out by itself.
///
/// # Errors
/// What the server said.
pub async fn release_lock(settings: &Settings, registry: &Registry, shown: &LockState) -> Result<bool> {
    let store = Store::connect(settings, registry).await?;
    let released = store.control().force_release(shown).await?;
    if released {
        let details = json!({ "holder": shown.holder, "forced": true });
        store.control().record([Deed::new(What::LockReleased, details)]).await;
    }
    Ok(released)
}
