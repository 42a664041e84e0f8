//! Compares the database with the registry; both are read again for each look.

use statefold_projections::{Registered, Registry, VersionStep};

use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, ProjectionState, StartVerdict, judge_start};
use crate::store::{BuildRecord, FenceKind, Lock, Store};

async fn states(store: &Store, registry: &Registry) -> Result<Vec<ProjectionState>> {
    let collections = store.collection_names().await?;
    let exists = |names: &[String]| names.iter().all(|name| collections.contains(name));
    let mut states = Vec::new();
    for projection in registry.projections() {
        let spec = projection.spec();
        let active = store.control().active(spec.name()).await?;
        let previous = active.iter().flat_map(|active| &active.previous);
        let readable = previous
            .filter(|previous| previous.projection_version == spec.version() && exists(&previous.collections))
            .map(|previous| previous.generation);
        states.push(ProjectionState {
            name: spec.name().to_owned(),
            registered: spec.version(),
            readable: readable.collect(),
            broken: active.as_ref().is_some_and(|active| !exists(&active.collections)),
            active: active.map(|active| active.projection_version),
        });
    }
    Ok(states)
}

/// The application's present version, and the steps that are left of its path, if the registry owns it.
async fn steps_left<'a>(store: &Store, registry: &'a Registry) -> Result<(i32, &'a [VersionStep])> {
    let Some(last) = registry.version_path().last() else { return Ok((0, &[])) };
    let now = store.control().application_version().await?;
    if now > last.version {
        let what = "the application's version document".to_owned();
        return Err(Error::Newer { what, found: now.unsigned_abs(), known: last.version.unsigned_abs() });
    }
    let done = registry.version_path().partition_point(|step| step.version <= now);
    Ok((now, registry.version_path().get(done..).unwrap_or_default()))
}

/// Decides what a start has to do.
///
/// # Errors
/// [`Error::Newer`] if the application's version is beyond the registry's path.
pub(super) async fn judge(store: &Store, registry: &Registry) -> Result<StartVerdict> {
    let verdict = judge_locked(store, registry).await?;
    if verdict != StartVerdict::UpToDate {
        return Ok(verdict);
    }
    // A migration lock with statefold's signature is held by a leader at work, or was left by a dead one: it
    // would keep servers of the application from starting.
    let lock = store.control().lock_state().await?.filter(|lock| lock.locked);
    let ours = lock.is_some_and(|lock| lock.document.contains_key("LockedBy"));
    Ok(if ours { StartVerdict::Behind(Vec::new()) } else { verdict })
}

/// Does [`judge`] for the holder of the migration lock.
pub(super) async fn judge_locked(store: &Store, registry: &Registry) -> Result<StartVerdict> {
    let verdict = judge_start(&states(store, registry).await?);
    if !matches!(verdict, StartVerdict::UpToDate | StartVerdict::Behind(_)) {
        return Ok(verdict);
    }
    // Before anything is built, because a version beyond the path is refused here.
    let left = !steps_left(store, registry).await?.1.is_empty();
    let mut behind = interrupted(store, registry).await?;
    if let StartVerdict::Behind(names) = verdict {
        behind.extend(names);
        return Ok(StartVerdict::Behind(behind));
    }
    if !behind.is_empty() {
        return Ok(StartVerdict::Behind(behind));
    }
    let orphaned = store.control().fence().await?.is_some_and(|fence| fence.kind == FenceKind::CutOver);
    // Nothing is to be built, but somebody has to lead.
    Ok(if left || orphaned { StartVerdict::Behind(Vec::new()) } else { verdict })
}

/// Projections whose cut-over was interrupted in its last steps: readers use the new generation, but pointer,
/// records or views don't say so.
async fn interrupted(store: &Store, registry: &Registry) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for projection in registry.projections() {
        let name = projection.spec().name();
        let records = store.builds().records(Some(name)).await?;
        let open = |record: &&BuildRecord| record.state == BuildState::Published;
        let Some(record) = records.iter().find(open) else { continue };
        let pointed =
            store.control().active(name).await?.is_some_and(|active| active.active == record.generation);
        // A generation that readers don't use yet doesn't concern a start.
        if pointed || store.snapshots().is_swapped(record).await? {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The projections that are behind, in the order they can be built in.
pub(super) fn projections_behind(registry: &Registry, behind: &[String]) -> Result<Vec<Registered>> {
    if behind.is_empty() { Ok(Vec::new()) } else { Ok(registry.select(behind)?) }
}

/// Moves the application's version over the steps whose projections are at their version, one at a
/// time. Returns the new version, if it moved.
pub(super) async fn move_version(store: &Store, registry: &Registry, lock: &Lock) -> Result<Option<i32>> {
    let (mut now, steps) = steps_left(store, registry).await?;
    let mut moved = None;
    let states = states(store, registry).await?;
    for step in steps {
        let behind = |name: &String| {
            states
                .iter()
                .any(|state| state.name.eq_ignore_ascii_case(name) && state.active < Some(state.registered))
        };
        if let Some(name) = step.projections.iter().find(|name| behind(name)) {
            tracing::warn!(
                version = step.version,
                projection = name,
                "the version waits for this projection"
            );
            break;
        }
        lock.move_version(now, step.version).await?;
        tracing::info!(from = now, to = step.version, "the application's version moved");
        now = step.version;
        moved = Some(now);
    }
    Ok(moved)
}
