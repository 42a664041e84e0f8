//! Rebuild, cut over, roll back: the operator's runs that change which generation is active.

use std::sync::Arc;

use serde::Serialize;
use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::leader::{Leadership, lead_watched, refuse_led};
use crate::engine::looking::while_looking;
use crate::engine::preflight::preflight;
use crate::engine::run::{
    Caller, Rebuild, RebuildReport, Run, RunInputs, WhenFinished, check_mode, refuse_downgrade, refuse_past,
    rollback_targets,
};
use crate::engine::running::Running;
use crate::engine::sweep;
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, CutOverMode, is_fingerprint_of};
use crate::next_step::NextStep;
use crate::observe::{Progress, Recorder};
use crate::operator::rights::missing_rights;
use crate::store::{BuildRecord, Store, StoredFailedStream, StreamIndex};

/// Begins to rebuild projections into their next generations. Must be called on a tokio runtime.
///
/// All of them are built and verified before the first is published; then all pointers are flipped in one
/// update. An unfinished build is resumed: partitions that are finished and still agree with the event store
/// are kept.
///
/// # Errors
/// Awaiting the result gives [`Error::Registry`] for unknown names, [`Error::LeaseHeld`],
/// [`Error::LeaseLost`], [`Error::LockHeld`] if the migration lock isn't free for the cut-over,
/// [`Error::Unsupported`], [`Error::Mismatch`] if events arrived meanwhile, [`Error::FailedStreams`],
/// [`Error::Interrupted`], or what the server said.
pub fn rebuild(settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    begin(settings, registry, request, run_rebuild)
}

/// Begins to cut over to generations that are complete: built and verified before, as by
/// [`Rebuild::postpone`]. They are caught up and verified again first. Must be
/// called on a tokio runtime.
///
/// # Errors
/// Awaiting the result gives [`Error::NotReady`] if there is no complete build; else as [`rebuild`].
pub fn cutover(settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    begin(settings, registry, request, run_cutover)
}

/// Begins to roll back to the generations that were active before, all in one update: they are caught up,
/// verified, and cut over to as new ones are. Rolling back once more leads forward again. Must be called on a
/// tokio runtime.
///
/// # Errors
/// Awaiting the result gives [`Error::Unsupported`] with the reason if there is nothing to roll back to, or
/// this program doesn't have the version it was built with; else as [`rebuild`].
pub fn rollback(settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    begin(settings, registry, request, run_rollback)
}

/// Where a cut-over or a roll back would lead the readers of a projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Destination {
    /// Name of the projection.
    pub projection: String,
    /// The active generation, if there is one.
    pub from: Option<u32>,
    /// The generation that readers would have.
    pub generation: u32,
    /// How they would find it.
    pub mode: CutOverMode,
}

/// Where [`cutover`] would lead the readers; changes nothing.
///
/// # Errors
/// Those with which [`cutover`] would begin.
pub async fn cutover_destinations(
    settings: &Settings,
    registry: &Registry,
    request: &Rebuild,
) -> Result<Vec<Destination>> {
    let Some((store, selected)) = prepare(settings, registry, request).await? else { return Ok(Vec::new()) };
    warn_of_lock(&store).await;
    let mut destinations = Vec::new();
    for projection in complete(&store, selected, !request.projections.is_empty()).await? {
        let records = store.builds().records(Some(projection.spec().name())).await?;
        let Some(record) = records.iter().find(|record| record.can_cut_over()) else { continue };
        refuse_failed_streams(&store, settings, record).await?;
        destinations.push(destination(&store, &projection, record.generation, request).await?);
    }
    Ok(destinations)
}

/// Where [`rollback`] would lead the readers; changes nothing.
///
/// # Errors
/// Those with which [`rollback`] would begin.
pub async fn rollback_destinations(
    settings: &Settings,
    registry: &Registry,
    request: &Rebuild,
) -> Result<Vec<Destination>> {
    let Some((store, selected)) = prepare(settings, registry, request).await? else { return Ok(Vec::new()) };
    let named = !request.projections.is_empty();
    warn_of_lock(&store).await;
    let mut destinations = Vec::new();
    for target in rollback_targets(&store, registry, selected, named).await? {
        destinations.push(destination(&store, target.projection(), target.generation(), request).await?);
    }
    Ok(destinations)
}

/// Whether [`rebuild`] would begin; changes nothing.
///
/// # Errors
/// Those with which it would begin.
pub async fn check_rebuild(settings: &Settings, registry: &Registry, request: &Rebuild) -> Result<()> {
    let Some((store, selected)) = prepare(settings, registry, request).await? else { return Ok(()) };
    for projection in &selected {
        refuse_downgrade(&store, projection).await?;
        check_mode(&store, projection.spec(), request, Caller::Operator).await?;
    }
    Ok(())
}

/// Refuses a build that has more failed streams than the settings allow.
async fn refuse_failed_streams(store: &Store, settings: &Settings, record: &BuildRecord) -> Result<()> {
    let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
    let (failed_streams, streams) = (unsigned(record.counts.failed_streams), unsigned(record.counts.streams));
    let limit = settings.tuning().max_errors;
    if !limit.is_exceeded(failed_streams, streams) {
        return Ok(());
    }
    let first = store.builds().failed_streams(Some(&record.id), 5).await?;
    let example = |failed: &StoredFailedStream| {
        format!("{} at event {}: {}", failed.stream, failed.offset, failed.message)
    };
    Err(Error::FailedStreams {
        projection: record.projection.clone(),
        failed_streams,
        streams,
        allowed: limit.to_string(),
        examples: first.iter().map(example).collect(),
    })
}

/// Warns of what would end a rebuild after its hours of building.
async fn warn_early(store: &Store, selected: &[Registered], request: &Rebuild) {
    for right in missing_rights(store, selected, &mut Vec::new()).await {
        let is_step_of_it = right.step == "build" || right.step == "cut-over" && !request.postpone;
        if right.without.is_none() && is_step_of_it {
            let (step, action, resource) = (right.step, right.action, right.resource);
            tracing::warn!(step, action, resource, "a right is missing: this step will fail");
        }
    }
    if request.postpone {
        return;
    }
    warn_of_lock(store).await;
}

async fn warn_of_lock(store: &Store) {
    if let Ok(Some(lock)) = store.control().lock_state().await
        && lock.locked
    {
        tracing::warn!("the migration lock is held {}: the cut-over will wait for it", lock.holder);
    }
}

/// Connects, and checks what keeps any run from beginning. `None` without an event store.
async fn prepare(
    settings: &Settings,
    registry: &Registry,
    request: &Rebuild,
) -> Result<Option<(Store, Vec<Registered>)>> {
    let selected = registry.select(&request.projections)?;
    let store = Store::connect(settings, registry).await?;
    if preflight(&store, &selected).await?.is_none() {
        return Ok(None);
    }
    refuse_past(settings, &selected)?;
    refuse_led(&store, settings).await?;
    Ok(Some((store, selected)))
}

async fn destination(
    store: &Store,
    projection: &Registered,
    generation: u32,
    request: &Rebuild,
) -> Result<Destination> {
    let name = projection.spec().name();
    let mode = check_mode(store, projection.spec(), request, Caller::Operator).await?;
    let from = store.control().active(name).await?.map(|active| active.active);
    Ok(Destination { projection: name.to_owned(), from, generation, mode })
}

/// A request on a database that has an event store.
struct Requested {
    store: Store,
    registry: Registry,
    settings: Settings,
    request: Rebuild,
    selected: Vec<Registered>,
    stream_index: StreamIndex,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
}

/// Checks a request and begins its run, on a task of its own.
fn begin<F>(
    settings: &Settings,
    registry: &Registry,
    request: Rebuild,
    run: impl FnOnce(Requested) -> F + Send + 'static,
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
        Recorder::begin_run(&progress, selected.iter().map(|projection| projection.spec().name()));
        let store = Store::connect(&settings, &registry).await?;
        let Some(stream_index) = preflight(&store, &selected).await? else {
            return Ok(RebuildReport::nothing_to_do(store.databases_with_events().await));
        };
        let (looking, of, shown) = (store.clone(), settings.clone(), selected.clone());
        let requested =
            Requested { store, registry, settings, request, selected, stream_index, progress, cancel };
        while_looking(&looking, &of, &shown, run(requested)).await
    })
}

/// Leads, rebuilds into the next generations, and cleans up.
async fn run_rebuild(requested: Requested) -> Result<RebuildReport> {
    warn_early(&requested.store, &requested.selected, &requested.request).await;
    let (run, leadership) = requested.lead().await?;
    let result = run.rebuild(&requested.selected, WhenFinished::BuildNext).await;
    requested.end(&leadership, result).await
}

/// Finds the complete builds, leads, finishes them, and cleans up.
async fn run_cutover(mut requested: Requested) -> Result<RebuildReport> {
    requested.selected =
        complete(&requested.store, requested.selected, !requested.request.projections.is_empty()).await?;
    let (run, leadership) = requested.lead().await?;
    let result = run.rebuild(&requested.selected, WhenFinished::Keep).await;
    requested.end(&leadership, result).await
}

/// Finds the generations to roll back to, leads, and rolls back.
async fn run_rollback(requested: Requested) -> Result<RebuildReport> {
    let named = !requested.request.projections.is_empty();
    // Refused before waiting for the lease; looked up again under it.
    rollback_targets(&requested.store, &requested.registry, requested.selected.clone(), named).await?;
    let (run, leadership) = requested.lead().await?;
    let result = run.roll_back(requested.selected, named).await;
    leadership.end(result).await
}

impl Requested {
    /// Takes the lease and sets up a run under it.
    async fn lead(&self) -> Result<(Run, Arc<Leadership>)> {
        let Self { store, registry, settings, progress, .. } = self;
        let leadership = Arc::new(lead_watched(store, settings, progress, &self.cancel).await?);
        let inputs =
            RunInputs { store, registry, settings, stream_index: Some(self.stream_index.clone()), progress };
        match Run::new(&inputs, &leadership, Caller::Operator, self.request.clone()) {
            Ok(run) => Ok((run, leadership)),
            Err(error) => leadership.end(Err(error)).await,
        }
    }

    /// Cleans up after a success, and releases the lease.
    async fn end(&self, leadership: &Leadership, result: Result<RebuildReport>) -> Result<RebuildReport> {
        if result.is_ok() {
            sweep::automatic(&self.store, &self.settings, &self.registry, &leadership.mandate).await;
        }
        leadership.end(result).await
    }
}

/// Selects the projections that have a complete build of this version. Each `named` projection must have one.
async fn complete(store: &Store, selected: Vec<Registered>, named: bool) -> Result<Vec<Registered>> {
    let mut complete = Vec::new();
    for projection in selected {
        let name = projection.spec().name();
        let records = store.builds().records(Some(name)).await?;
        let is_complete = |record: &&BuildRecord| record.can_cut_over() && !record.adopted;
        let is_of =
            |record: &BuildRecord| is_fingerprint_of(&record.fingerprint, projection.spec(), &store.layout);
        let found: Vec<&BuildRecord> = records.iter().filter(is_complete).collect();
        if let Some(other) = found.iter().find(|record| is_new(record, &records) && !is_of(record)) {
            return Err(of_another_version(other, projection.spec().version()));
        }
        if !found.is_empty() {
            complete.push(projection);
        } else if named {
            let reason = format!("{name} has no complete build to cut over to: a rebuild makes one");
            return Err(Error::not_ready(reason, NextStep::rebuild(name)));
        }
    }
    if complete.is_empty() {
        let reason = "no projection has a complete build to cut over to: a postponed rebuild makes them";
        return Err(Error::not_ready(
            reason,
            NextStep::Rebuild { projections: Vec::new(), postpone: true, max_errors: None },
        ));
    }
    Ok(complete)
}

/// Whether no reader has used a generation yet: it isn't the target of a roll back, and has taken no name.
fn is_new(record: &BuildRecord, all: &[BuildRecord]) -> bool {
    let later =
        |other: &BuildRecord| other.state == BuildState::Active && other.generation > record.generation;
    record.state.is_resumable() || record.swap.is_none() && !all.iter().any(later)
}

/// Error of a complete build that this program can't cut over to.
fn of_another_version(record: &BuildRecord, known: u32) -> Error {
    let BuildRecord { id, projection, projection_version: version, .. } = record;
    let what = if *version == known {
        "another definition of its projection, or another layout, than this program has".to_owned()
    } else {
        format!("version {version} of {projection}, and this program has version {known}")
    };
    let reason = format!(
        "{id} is complete, but it was built with {what}: \
         cut over with the program that built it, or give it up with a new rebuild"
    );
    Error::not_ready(reason, NextStep::rebuild(projection))
}
