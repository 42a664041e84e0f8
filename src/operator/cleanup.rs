//! Clean-up: old generations beyond the kept ones, staging collections and records that nobody owns.
//!
//! [`crate::lifecycle::Known`] decides what may be dropped. A generation is dropped in this order, so that a
//! rerun finishes what a crash left: its entry among the pointer's previous generations; its record becomes
//! `dropped` and holds the UUIDs of its collections; the collections; its other records.

mod purge;

use statefold_projections::Registry;

use crate::config::Settings;
use crate::engine::leader::lead;
use crate::engine::sweep::{Sweep, cleaned_up, rules};
use crate::error::Result;
use crate::store::Store;

pub(super) use crate::engine::sweep::CleanupReport;
pub use purge::{Purge, purge};

/// Request for a clean-up. How much is kept is a setting: [`Settings::with_cleanup`].
#[derive(Debug, Clone)]
pub struct Cleanup {
    /// Names of the projections, without case; all registered ones if empty.
    pub projections: Vec<String>,
    /// Full names of collections that statefold didn't build, to be dropped as well.
    pub collections: Vec<String>,
    /// Drop nothing, only report what would be dropped. On by default.
    pub dry_run: bool,
}

impl Default for Cleanup {
    fn default() -> Self {
        Self { projections: Vec::new(), collections: Vec::new(), dry_run: true }
    }
}

/// Lists collections and records, each with its size and why it may be dropped or has to stay, and drops
/// those that may be.
///
/// # Errors
/// [`crate::Error::LeaseHeld`] if somebody is at work; [`crate::Error::Config`] for a named collection that
/// belongs to no projection; else what the server said. A rerun finishes an incomplete clean-up.
pub async fn cleanup(settings: &Settings, registry: &Registry, request: Cleanup) -> Result<CleanupReport> {
    let selected = registry.select(&request.projections)?;
    let store = Store::connect(settings, registry).await?;
    let mut rules = rules(settings.cleanup());
    rules.older_than_ms = None;
    rules.named = request.collections.iter().map(|given| store.plain_name(given).to_owned()).collect();
    let sweep = Sweep { store: &store, selected: &selected, rules };
    let seen = sweep.look().await?;
    sweep.refuse_unknown(&seen)?;
    if request.dry_run || !seen.report.items.iter().any(|item| item.eligible) {
        return Ok(seen.report);
    }
    let leadership = lead(&store, settings).await?;
    let result = sweep.drop_eligible(&leadership.mandate).await;
    let report = leadership.end(result).await?;
    store.control().record(cleaned_up(&report, false)).await;
    Ok(report)
}
