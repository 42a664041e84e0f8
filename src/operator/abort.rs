//! Aborts unfinished builds: drops their staging collections and records.

use serde::Serialize;
use serde_json::json;
use statefold_projections::Registry;

use crate::config::Settings;
use crate::engine::leader::lead;
use crate::error::Result;
use crate::lifecycle::BuildState;
use crate::store::{Deed, Store, TargetRecord, What};

/// An unfinished build that was, or would be, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Aborted {
    /// Id of the build: `Assets3`.
    pub build: String,
    /// The state it was in.
    pub state: String,
    /// Its staging collections.
    pub staging: Vec<String>,
}

/// Ends the unfinished builds of these projections (all if no name is given). A dry run
/// changes nothing and returns what would be ended.
///
/// # Errors
/// [`crate::error::Error::LeaseHeld`] if somebody is at work; else what the server said.
pub async fn abort(
    settings: &Settings,
    registry: &Registry,
    projections: &[String],
    dry_run: bool,
) -> Result<Vec<Aborted>> {
    let selected = registry.select(projections)?;
    let store = Store::connect(settings, registry).await?;
    let mut unfinished = Vec::new();
    for projection in &selected {
        let name = projection.spec().name();
        let prefix = projection.spec().stream_filter().first().to_owned();
        let records = store.builds().records(Some(name)).await?;
        for record in records {
            if record.state.is_resumable() || store.snapshots().is_unused(&record).await? {
                unfinished.push((record, prefix.clone()));
            }
        }
    }
    let describe = |record: &crate::store::BuildRecord, staging: Vec<String>| Aborted {
        build: record.id.clone(),
        state: record.state.to_string(),
        staging,
    };
    if dry_run || unfinished.is_empty() {
        let names = |record: &crate::store::BuildRecord| {
            let published = record.state == BuildState::Published;
            let name = |target: &TargetRecord| {
                if published { target.collection.clone() } else { target.staging.clone() }
            };
            record.targets.iter().map(name).collect()
        };
        return Ok(unfinished.iter().map(|(record, _)| describe(record, names(record))).collect());
    }
    let leadership = lead(&store, settings).await?;
    let work = async {
        let mut ended = Vec::new();
        for (record, prefix) in unfinished {
            // Another process may have made it active meanwhile.
            if !record.state.is_resumable() && !store.snapshots().is_unused(&record).await? {
                continue;
            }
            let mut build = store.builds().adopt(record.clone(), &prefix, &leadership.mandate).await?;
            let staging = build.abort().await?;
            let details = json!({ "state": record.state.to_string() });
            let deed = Deed::new(What::Aborted, details).of(&record.projection, Some(record.generation));
            store.control().record([deed]).await;
            ended.push(describe(&record, staging));
        }
        Ok(ended)
    };
    let result = work.await;
    leadership.end(result).await
}
