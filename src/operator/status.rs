//! Status of a database: active generations, builds, lease, migration lock. Reads only.

mod lag;
mod next_steps;
mod report;

use statefold_projections::{Registered, Registry};

use crate::config::Settings;
use crate::engine::run::{cannot_read, name_of};
use crate::error::Result;
use crate::lifecycle::{BuildState, CutOverMode, is_fingerprint_of};
use crate::store::{ActiveGeneration, BuildRecord, NameHolder, Positions, Store};

pub use lag::Lag;
pub use report::{BuildingStatus, LockStatus, ProjectionStatus, Standing, StatusReport};

/// Reads the status of a database.
///
/// # Errors
/// What the server said; a database without event store is not an error.
pub async fn status(settings: &Settings, registry: &Registry) -> Result<StatusReport> {
    report(&Store::connect(settings, registry).await?, settings, registry).await
}

/// Reads the status of a connected database.
pub(super) async fn report(store: &Store, settings: &Settings, registry: &Registry) -> Result<StatusReport> {
    let collections = store.collection_names().await?;
    let has_event_store = collections.contains(&store.layout.collection);
    let lock = store.control().lock_state().await?.filter(|lock| lock.locked);
    let fence = store.control().fence().await?;
    let follow_control = store.follow_control();
    let held = store.control().lease().await?;
    let followed = follow_control.control().lease().await?;
    let mut report = StatusReport {
        database: store.database().to_owned(),
        server_version: store.facts.version.clone(),
        has_event_store,
        databases_with_events: Vec::new(),
        can_write: fence.is_none(),
        fence,
        is_led: held.as_ref().is_some_and(|held| held.is_at_work(settings.lease().ttl)),
        leader: held.map(|held| held.leader),
        is_followed: followed.as_ref().is_some_and(|held| held.is_at_work(settings.lease().ttl)),
        follower: followed.map(|held| held.leader),
        instances: store.control().instances().await?,
        workers: store.builds().workers().await?.into_iter().map(|worker| worker.row).collect(),
        lock: LockStatus { held: lock.is_some(), holder: lock.map(|lock| lock.holder) },
        projections: Vec::new(),
        next_steps: Vec::new(),
    };
    let positions = follow_control.control().positions().await?;
    for projection in registry.projections() {
        let mut status = status_of(store, projection, &collections, has_event_store).await?;
        if let Some(build) = &mut status.building {
            let older = cannot_read(&report.instances, &status.projection, build.projection_version);
            build.older_servers = older.map(name_of).collect();
        }
        if let Some(number) = status.active_generation.filter(|_| status.state == Standing::UpToDate) {
            status.lag = lag_of(store, projection, number, &positions).await?;
        }
        report.projections.push(status);
    }
    if !has_event_store {
        report.databases_with_events = store.databases_with_events().await;
    }
    report.next_steps = next_steps::next_steps(&report);
    Ok(report)
}

async fn status_of(
    store: &Store,
    projection: &Registered,
    collections: &[String],
    has_event_store: bool,
) -> Result<ProjectionStatus> {
    let spec = projection.spec();
    let active = store.control().active(spec.name()).await?;
    let records = store.builds().records(Some(spec.name())).await?;
    let state = match &active {
        _ if !has_event_store => Standing::NoEventStore,
        None => Standing::Behind,
        Some(active) if active.collections.iter().any(|name| !collections.contains(name)) => Standing::Broken,
        Some(active) if active.projection_version < spec.version() => Standing::Behind,
        Some(active) if active.projection_version > spec.version() => Standing::Ahead,
        Some(_) => Standing::UpToDate,
    };
    let record = records
        .iter()
        .find(|record| active.as_ref().is_some_and(|active| active.active == record.generation));
    let mut snapshots = None;
    if let Some(active) = active.as_ref().filter(|_| state != Standing::Broken) {
        let mut sum = 0;
        for name in &active.collections {
            sum += store.estimated_count(name).await?;
        }
        snapshots = Some(sum);
    }
    Ok(ProjectionStatus {
        projection: spec.name().to_owned(),
        projection_version: spec.version(),
        state,
        active_generation: active.as_ref().map(|active| active.active),
        active_version: active.as_ref().map(|active| active.projection_version),
        redefined: state == Standing::UpToDate
            && record.is_some_and(|record| !is_fingerprint_of(&record.fingerprint, spec, &store.layout)),
        snapshots,
        digest: record.and_then(|record| record.digest.clone()),
        failed_streams: record.map_or(0, failed_streams),
        undrained: active.as_ref().is_some_and(|active| active.undrained.is_some()),
        lag: None,
        previous_generations: active
            .iter()
            .flat_map(|active| active.previous.iter().map(|previous| previous.generation))
            .collect(),
        mode: active.as_ref().map(|active| active.mode),
        views_elsewhere: match &active {
            Some(active) if active.mode == CutOverMode::View => {
                views_elsewhere(store, projection, active).await?
            }
            _ => Vec::new(),
        },
        collections: active.as_ref().map(|active| active.collections.clone()).unwrap_or_default(),
        building: match records.iter().find(|record| is_open(record, active.as_ref())) {
            Some(record) => Some(building(store, record).await?),
            None => None,
        },
    })
}

/// Views of a projection that don't show the active generation.
async fn views_elsewhere(
    store: &Store,
    projection: &Registered,
    active: &ActiveGeneration,
) -> Result<Vec<String>> {
    let mut elsewhere = Vec::new();
    for (target, collection) in projection.spec().targets().iter().zip(&active.collections) {
        let view = target.collection();
        match store.snapshots().named(view).await? {
            NameHolder::View(shown) if shown == *collection => {}
            NameHolder::View(shown) => elsewhere.push(format!("{view} shows {shown}, not {collection}")),
            NameHolder::Nothing => elsewhere.push(format!("{view} isn't there, to show {collection}")),
            NameHolder::Other => elsewhere.push(format!("{view} is not a view of statefold")),
        }
    }
    Ok(elsewhere)
}

async fn lag_of(
    store: &Store,
    projection: &Registered,
    generation: u32,
    positions: &Positions,
) -> Result<Option<Lag>> {
    let name = projection.spec().name();
    let Some(active) = store.control().active(name).await? else { return Ok(None) };
    let records = store.builds().records(Some(name)).await?;
    let Some(record) = records.iter().find(|record| record.generation == generation) else { return Ok(None) };
    lag::lag(store, projection, &active, record, positions).await
}

/// Whether a build is unfinished: it may have its final names, but readers don't use it yet.
fn is_open(record: &BuildRecord, active: Option<&ActiveGeneration>) -> bool {
    let named = active.is_some_and(|active| {
        active.active == record.generation
            || active.previous.iter().any(|previous| previous.generation == record.generation)
    });
    record.state.is_resumable() || record.state == BuildState::Published && !named
}

fn failed_streams(record: &BuildRecord) -> u64 {
    u64::try_from(record.counts.failed_streams).unwrap_or(0)
}

async fn building(store: &Store, record: &BuildRecord) -> Result<BuildingStatus> {
    // The prefix of the streams isn't used for reading checkpoints.
    let checkpoints = store.builds().open(record.clone(), "").checkpoints().await?;
    let failed_streams: i64 = checkpoints.iter().map(|checkpoint| checkpoint.counts.failed_streams).sum();
    Ok(BuildingStatus {
        build: record.id.clone(),
        state: record.state,
        partitions_done: checkpoints.len(),
        partitions: record.ranges.len(),
        failed_streams: u64::try_from(failed_streams).unwrap_or(0),
        failure: record.failure.as_ref().map(|failure| failure.message.clone()),
        failure_code: record.failure.as_ref().map(|failure| failure.code.clone()),
        mode: record.mode,
        paused: record.pause.as_ref().map(crate::store::PauseRecord::line),
        projection_version: record.projection_version,
        can_cut_over: record.can_cut_over(),
        older_servers: Vec::new(),
    })
}
