//! Rebuild, cut over, roll back: the runs that change which generation is active.

use std::sync::Arc;

use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::leader::{Claimant, Patience, Waiting};
use crate::engine::preflight::preflight;
use crate::engine::run::{
    LockFor, Publishing, Rebuild, RebuildReport, Run, Task, govern, guarded, roll_back,
};
use crate::engine::running::Running;
use crate::engine::sweep;
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, fingerprint};
use crate::observe::Progress;
use crate::pipeline::Workers;
use crate::store::{BuildRecord, Store};

/// Begins to rebuild projections into their next generations. Must be called on a tokio runtime.
///
/// All of them are built and checked before the first is published; then the pointers of all move in
/// one update. An unfinished build is resumed: what is done and still agrees with the event store is
/// kept.
///
/// # Errors
/// Awaiting the result gives [`Error::Registry`] for unknown names, [`Error::LeaseHeld`],
/// [`Error::LeaseLost`], [`Error::LockHeld`] if the application's lock isn't free for the cut-over,
/// [`Error::Unsupported`], [`Error::Mismatch`] if events arrived meanwhile, [`Error::FailedStreams`],
/// [`Error::Interrupted`], or what the server said.
pub fn rebuild(settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    let (settings, registry) = (settings.clone(), registry.clone());
    Running::begin(move |progress, cancel| run(settings, registry, request, Task::Rebuild, progress, cancel))
}

/// Begins to cut over to generations that are complete: built and verified before, as by
/// [`Rebuild::postpone`]. What happened since is caught up with, and everything is verified again. Must be
/// called on a tokio runtime.
///
/// # Errors
/// Awaiting the result gives [`Error::Unsupported`] if there is no complete build; else as [`rebuild`].
pub fn cutover(settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    let (settings, registry) = (settings.clone(), registry.clone());
    Running::begin(move |progress, cancel| run(settings, registry, request, Task::Complete, progress, cancel))
}

/// Begins to go back to the generations that were active before, all in one update: they are caught up, verified,
/// and cut over to as new ones are. Rolling back once more leads forward again. Must be called on a tokio runtime.
///
/// # Errors
/// Awaiting the result gives [`Error::Unsupported`] with the reason if there is nothing to go back to, or this
/// program doesn't have the version it was built with; else as [`rebuild`].
pub fn rollback(settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    let (settings, registry) = (settings.clone(), registry.clone());
    Running::begin(move |progress, cancel| run(settings, registry, request, Task::RollBack, progress, cancel))
}

pub(crate) async fn run(
    settings: Settings,
    registry: Registry,
    request: Rebuild,
    task: Task,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
) -> Result<RebuildReport> {
    let mut selected = registry.select(&request.projections)?;
    if selected.is_empty() {
        return Err(Error::Config(vec!["no projection is registered".into()]));
    }
    let store = Store::connect(&settings, registry.layout()).await?;
    let Some(direction) = preflight(&store, &selected).await? else {
        return Ok(RebuildReport::nothing_to_do(store.databases_with_events().await));
    };
    let named = !request.projections.is_empty();
    match task {
        Task::Rebuild | Task::Start => {}
        Task::Complete => selected = complete(&store, selected, named).await?,
        // What is refused is refused before anybody is waited for.
        Task::RollBack => _ = roll_back::rollback_targets(&store, &registry, selected.clone(), named).await?,
    }
    let workers = Arc::new(Workers::new(settings.tuning().threads)?);
    let lease = settings.lease();
    let waiting = Waiting { lease, limit: lease.wait_limit, progress: &progress };
    let claimant = Claimant { store: &store, waiting, patience: Patience::UntilAlive, cancel: &cancel };
    let leadership = Arc::new(claimant.claim_anyway().await?);
    let run = Run {
        store: store.clone(),
        registry: registry.clone(),
        direction,
        has_events: true,
        mandate: leadership.mandate.clone(),
        cancel: leadership.cancel.clone(),
        leadership: Arc::clone(&leadership),
        lock: LockFor::CutOver,
        publishing: Publishing::Together,
        request,
        task,
        workers,
        governor: govern(&store, &settings, &leadership, &progress),
        progress: progress.clone(),
        settings: settings.clone(),
    };
    let result = match task {
        Task::Rebuild | Task::Start | Task::Complete => run.rebuilt(&selected).await,
        // Looked at again: before the lease somebody else may have been at work.
        Task::RollBack => {
            let back = async {
                run.settle_all(&selected).await?;
                let rollback_targets =
                    roll_back::rollback_targets(&store, &registry, selected.clone(), named).await?;
                run.roll_back(rollback_targets).await
            };
            guarded(back).await
        }
    };
    if result.is_ok() && task != Task::RollBack {
        sweep::automatic(&store, &settings, &registry, &leadership.mandate).await;
    }
    leadership.end(result).await
}

/// The projections with a complete build of this version; all of them, if they were named.
pub(crate) async fn complete(
    store: &Store,
    selected: Vec<Registered>,
    named: bool,
) -> Result<Vec<Registered>> {
    let mut complete = Vec::new();
    for projection in selected {
        let name = projection.spec().name();
        let records = store.builds().records(Some(name)).await?;
        let is_complete = |record: &&BuildRecord| {
            let state = record.state;
            matches!(state, BuildState::Verified | BuildState::Published) && !record.adopted
        };
        let found: Vec<&BuildRecord> = records.iter().filter(is_complete).collect();
        let print = fingerprint(projection.spec(), &store.layout);
        if let Some(other) = found.iter().find(|one| is_new(one, &records) && one.fingerprint != print) {
            return Err(of_another_version(other, projection.spec().version()));
        }
        if !found.is_empty() {
            complete.push(projection);
        } else if named {
            return Err(Error::Unsupported(format!(
                "{name} has no complete build to cut over to: statefold rebuild {name} --yes builds one"
            )));
        }
    }
    if complete.is_empty() {
        let how = "statefold rebuild --yes --postpone builds them";
        return Err(Error::Unsupported(format!("no projection has a complete build to cut over to: {how}")));
    }
    Ok(complete)
}

/// Whether nobody has read a generation yet: not one that is being rolled back to, or has its name already.
pub(crate) fn is_new(record: &BuildRecord, all: &[BuildRecord]) -> bool {
    let later = |one: &BuildRecord| one.state == BuildState::Active && one.generation > record.generation;
    record.state == BuildState::Verified || record.swap.is_none() && !all.iter().any(later)
}

pub(crate) fn of_another_version(record: &BuildRecord, known: u32) -> Error {
    let BuildRecord { id, projection, projection_version: version, .. } = record;
    let what = if *version == known {
        "another definition of its projection, or another layout, than this program has".to_owned()
    } else {
        format!("version {version} of {projection}, and this program has version {known}")
    };
    Error::Unsupported(format!(
        "{id} is complete, but it was built with {what}: cut over with the program that built it, or give it up and \
         build anew: statefold rebuild {projection} --yes"
    ))
}
