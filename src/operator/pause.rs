//! Pauses unfinished builds from any machine, and resumes them.

use serde::Serialize;
use serde_json::json;
use statefold_projections::Registry;

use crate::config::Settings;
use crate::error::Result;
use crate::store::{BuildRecord, Deed, Store, What};

/// An unfinished build that was paused or resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PausedBuild {
    /// Id of the build: `Assets3`.
    pub build: String,
    /// Its state.
    pub state: String,
    /// By whom it is (or was) paused, since when and why, in words.
    pub paused: Option<String>,
    /// Who works on it, in words; absent if nobody does.
    pub at_work: Option<String>,
}

/// Pauses the unfinished builds of these projections (all if no name is given). The process that builds
/// notices within some seconds: it finishes the batches on their way, keeps the lease, and waits, showing the
/// reason, until [`resume`]. The pause belongs to the build: a build that is started again stays paused.
///
/// A build that is paused already keeps its first pause.
///
/// # Errors
/// What the server said.
pub async fn pause(
    settings: &Settings,
    registry: &Registry,
    projections: &[String],
    reason: Option<&str>,
) -> Result<Vec<PausedBuild>> {
    let store = Store::connect(settings, registry).await?;
    let (mut paused, mut deeds) = (Vec::new(), Vec::new());
    for record in unfinished(&store, registry, projections).await? {
        if store.builds().pause(&record.id, reason).await? {
            // One that was paused before keeps that pause.
            if record.pause.is_none() {
                deeds.push(deed(What::Paused, &record, json!({ "reason": reason })));
            }
            paused.push(record.id);
        }
    }
    store.control().record(deeds).await;
    let now = unfinished(&store, registry, projections).await?;
    described(&store, now.into_iter().filter(|record| paused.contains(&record.id))).await
}

/// Ends the pauses of the unfinished builds of these projections (all if no name is given).
///
/// # Errors
/// What the server said.
pub async fn resume(
    settings: &Settings,
    registry: &Registry,
    projections: &[String],
) -> Result<Vec<PausedBuild>> {
    let store = Store::connect(settings, registry).await?;
    let mut resumed = Vec::new();
    for record in unfinished(&store, registry, projections).await? {
        if record.pause.is_some() && store.builds().resume(&record.id).await? {
            resumed.push(record);
        }
    }
    store.control().record(resumed.iter().map(|record| deed(What::Resumed, record, json!({})))).await;
    described(&store, resumed.into_iter()).await
}

fn deed(what: What, record: &BuildRecord, details: serde_json::Value) -> Deed {
    Deed::new(what, details).of(&record.projection, Some(record.generation))
}

async fn unfinished(store: &Store, registry: &Registry, projections: &[String]) -> Result<Vec<BuildRecord>> {
    let mut found = Vec::new();
    for projection in registry.select(projections)? {
        let records = store.builds().records(Some(projection.spec().name())).await?;
        found.extend(records.into_iter().filter(|record| record.state.is_resumable()));
    }
    Ok(found)
}

async fn described(store: &Store, records: impl Iterator<Item = BuildRecord>) -> Result<Vec<PausedBuild>> {
    let leader = store.control().lease().await?.map(|held| held.leader);
    let paused_build = |record: BuildRecord| PausedBuild {
        at_work: leader.as_ref().filter(|leader| leader.token == record.token).map(|leader| leader.name()),
        state: record.state.to_string(),
        paused: record.pause.as_ref().map(crate::store::PauseRecord::line),
        build: record.id,
    };
    Ok(records.map(paused_build).collect())
}
