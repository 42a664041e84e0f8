//! Rebuild, cut over, roll back: the runs that change which generation is active.

use std::sync::Arc;

use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::leader::{Leadership, lead_watched};
use crate::engine::preflight::preflight;
use crate::engine::run::{Begun, Caller, Rebuild, RebuildReport, Run, WhenFinished, rollback_targets};
use crate::engine::running::Running;
use crate::engine::sweep;
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, fingerprint};
use crate::observe::Progress;
use crate::store::{BuildRecord, IndexDirection, Store};

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
    begin(settings, registry, request, run_rebuild)
}

/// Begins to cut over to generations that are complete: built and verified before, as by
/// [`Rebuild::postpone`]. What happened since is caught up with, and everything is verified again. Must be
/// called on a tokio runtime.
///
/// # Errors
/// Awaiting the result gives [`Error::Unsupported`] if there is no complete build; else as [`rebuild`].
pub fn cutover(settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    begin(settings, registry, request, run_cutover)
}

/// Begins to go back to the generations that were active before, all in one update: they are caught up, verified,
/// and cut over to as new ones are. Rolling back once more leads forward again. Must be called on a tokio runtime.
///
/// # Errors
/// Awaiting the result gives [`Error::Unsupported`] with the reason if there is nothing to go back to, or this
/// program doesn't have the version it was built with; else as [`rebuild`].
pub fn rollback(settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    begin(settings, registry, request, run_rollback)
}

/// What was asked for, where the event store was found.
struct Asked {
    store: Store,
    registry: Registry,
    settings: Settings,
    request: Rebuild,
    selected: Vec<Registered>,
    direction: IndexDirection,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
}

/// Begins one of the runs, on a task of its own.
fn begin<F>(
    settings: &Settings,
    registry: &Registry,
    request: Rebuild,
    run: impl FnOnce(Asked) -> F + Send + 'static,
) -> Running
where
    F: Future<Output = Result<RebuildReport>> + Send,
{
    let (settings, registry) = (settings.clone(), registry.clone());
    Running::begin(move |progress, cancel| async move {
        let selected = registry.select(&request.projections)?;
        if selected.is_empty() {
            return Err(Error::Config(vec!["no projection is registered".into()]));
        }
        let store = Store::connect(&settings, registry.layout()).await?;
        let Some(direction) = preflight(&store, &selected).await? else {
            return Ok(RebuildReport::nothing_to_do(store.databases_with_events().await));
        };
        run(Asked { store, registry, settings, request, selected, direction, progress, cancel }).await
    })
}

async fn run_rebuild(asked: Asked) -> Result<RebuildReport> {
    let (run, leadership) = asked.lead().await?;
    let result = run.rebuild(&asked.selected, WhenFinished::BuildNext).await;
    asked.end(&leadership, result).await
}

async fn run_cutover(mut asked: Asked) -> Result<RebuildReport> {
    asked.selected = complete(&asked.store, asked.selected, !asked.request.projections.is_empty()).await?;
    let (run, leadership) = asked.lead().await?;
    let result = run.rebuild(&asked.selected, WhenFinished::Keep).await;
    asked.end(&leadership, result).await
}

async fn run_rollback(asked: Asked) -> Result<RebuildReport> {
    let named = !asked.request.projections.is_empty();
    // What is refused is refused before anybody is waited for.
    rollback_targets(&asked.store, &asked.registry, asked.selected.clone(), named).await?;
    let (run, leadership) = asked.lead().await?;
    let result = run.roll_back(asked.selected, named).await;
    leadership.end(result).await
}

impl Asked {
    /// Takes the lease, and begins a run under it.
    async fn lead(&self) -> Result<(Run, Arc<Leadership>)> {
        let Self { store, registry, settings, progress, .. } = self;
        let leadership = Arc::new(lead_watched(store, settings, progress, &self.cancel).await?);
        let begun = Begun { store, registry, settings, direction: Some(self.direction), progress };
        match Run::new(&begun, &leadership, Caller::Operator, self.request.clone()) {
            Ok(run) => Ok((run, leadership)),
            Err(error) => leadership.end(Err(error)).await,
        }
    }

    /// Cleans up after a success, and gives the lease back.
    async fn end(&self, leadership: &Leadership, result: Result<RebuildReport>) -> Result<RebuildReport> {
        if result.is_ok() {
            sweep::automatic(&self.store, &self.settings, &self.registry, &leadership.mandate).await;
        }
        leadership.end(result).await
    }
}

/// The projections with a complete build of this version; all of them, if they were named.
async fn complete(store: &Store, selected: Vec<Registered>, named: bool) -> Result<Vec<Registered>> {
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
        if let Some(other) =
            found.iter().find(|record| is_new(record, &records) && record.fingerprint != print)
        {
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
fn is_new(record: &BuildRecord, all: &[BuildRecord]) -> bool {
    let later =
        |other: &BuildRecord| other.state == BuildState::Active && other.generation > record.generation;
    record.state == BuildState::Verified || record.swap.is_none() && !all.iter().any(later)
}

fn of_another_version(record: &BuildRecord, known: u32) -> Error {
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
