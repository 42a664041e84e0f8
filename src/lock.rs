//! The version document's lock: who has it, and how to open one that nobody will.

use statefold_projections::Registry;

use crate::config::Settings;
use crate::error::Result;
use crate::store::{LockState, Store};

/// What the version document says; `None` if there is none.
///
/// # Errors
/// What the server said.
pub async fn lock_state(settings: &Settings, registry: &Registry) -> Result<Option<LockState>> {
    Store::connect(settings, registry.layout()).await?.lock_state().await
}

/// Opens the lock, whoever holds it, if the document is still the one that was shown. Returns
/// whether it was.
///
/// # Errors
/// What the server said.
pub async fn release_lock(settings: &Settings, registry: &Registry, shown: &LockState) -> Result<bool> {
    Store::connect(settings, registry.layout()).await?.force_release(shown).await
}
