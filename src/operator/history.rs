//! Lists what was done with statefold in a database: by whom and when.

use statefold_projections::Registry;

use crate::config::Settings;
use crate::error::Result;
use crate::store::{HistoryEntry, Store};

/// What was built, verified, cut over to, rolled back to, adopted, aborted, paused, made read-only, released
/// and cleaned up in this database, by whom and when: the newest first, at most `limit`, 0 for all.
///
/// It is written on a best-effort basis, and the newest 5000 entries are kept. No projection has to be known.
///
/// # Errors
/// What the server said.
pub async fn history(settings: &Settings, limit: i64) -> Result<Vec<HistoryEntry>> {
    Store::connect(settings, &Registry::default()).await?.control().history(limit).await
}
