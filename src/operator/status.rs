//! Status of a database: active generations, builds, lease, migration lock. Reads only.

mod lag;

use serde::Serialize;
use statefold_projections::{Registered, Registry};

use crate::config::Settings;
use crate::engine::run::{cannot_read, name_of};
use crate::error::Result;
use crate::lifecycle::{BuildState, CutOverMode};
use crate::next_step::NextStep;
use crate::observe::{InstanceRow, Leader};
use crate::store::{
    ActiveGeneration, BuildRecord, Fence, FenceKind, LeaseHolder, NameHolder, Positions, Store,
};

pub use lag::Lag;

/// State of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Standing {
    /// The active generation has the registered version.
    UpToDate,
    /// The active generation has an older version, or there is none.
    Behind,
    /// The active generation has a newer version than this program.
    Ahead,
    /// The pointer names a collection that doesn't exist.
    Broken,
    /// There is no event store.
    NoEventStore,
}

impl Standing {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UpToDate => "up to date",
            Self::Behind => "behind",
            Self::Ahead => "newer than this program",
            Self::Broken => "its collection is missing",
            Self::NoEventStore => "no event store",
        }
    }
}

/// Status of a database.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StatusReport {
    /// Name of the database.
    pub database: String,
    /// Version of the server.
    pub server_version: String,
    /// Whether there is an event store.
    pub has_event_store: bool,
    /// If not: the databases that have one, as far as they can be listed.
    pub databases_with_events: Vec<String>,
    /// The application's migration lock.
    pub lock: LockStatus,
    /// Whether the event store takes events: no fence of ours stands.
    pub can_write: bool,
    /// The fence around the event store, if one of ours stands.
    pub fence: Option<Fence>,
    /// Who leads, if somebody does.
    pub leader: Option<Leader>,
    /// Whether that process is at work, as far as can be told: a leader that died keeps the lease for a
    /// while.
    pub is_led: bool,
    /// Who follows: keeps active generations current, if somebody does.
    pub follower: Option<Leader>,
    /// The servers that run.
    pub instances: Vec<InstanceRow>,
    /// The registered projections.
    pub projections: Vec<ProjectionStatus>,
    /// What to do next. Not serialized: how a step is typed or called is said by whoever shows it.
    #[serde(skip)]
    pub next_steps: Vec<NextStep>,
}

/// State of the application's migration lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LockStatus {
    /// Whether it is held.
    pub held: bool,
    /// Who holds it, in words.
    pub holder: Option<String>,
}

/// Status of a projection.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProjectionStatus {
    /// Name of the projection.
    pub projection: String,
    /// Registered version.
    pub projection_version: u32,
    /// Its state.
    pub state: Standing,
    /// The active generation.
    pub active_generation: Option<u32>,
    /// Version it was built with.
    pub active_version: Option<u32>,
    /// Its collections.
    pub collections: Vec<String>,
    /// How readers find it.
    pub mode: Option<CutOverMode>,
    /// Views that should show it and don't, in words: the next rebuild or cut-over puts them right.
    pub views_elsewhere: Vec<String>,
    /// Snapshots in it, from the server's statistics.
    pub snapshots: Option<u64>,
    /// Digest when it was built.
    pub digest: Option<String>,
    /// Streams missing in it because they could not be folded.
    pub failed_streams: u64,
    /// Whether a cut-over without a fence died before everything was folded into the active generation: the
    /// next start does it. `lag` has the number of streams.
    pub undrained: bool,
    /// Events that statefold didn't fold into the active generation; absent if a short look can't tell.
    pub lag: Option<Lag>,
    /// Generations that were active before.
    pub previous_generations: Vec<u32>,
    /// The unfinished build, if there is one.
    pub building: Option<BuildingStatus>,
}

/// An unfinished build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BuildingStatus {
    /// Its id.
    pub build: String,
    /// Version of the projection it is built with.
    pub projection_version: u32,
    /// Its state.
    pub state: BuildState,
    /// Finished partitions.
    pub partitions_done: usize,
    /// All partitions.
    pub partitions: usize,
    /// Streams that could not be folded.
    pub failed_streams: u64,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// By whom it is paused, since when and why, if it is.
    pub paused: Option<String>,
    /// Whether it is complete and verified, so that `cutover` can make it active.
    pub can_cut_over: bool,
    /// Servers that run and can't read its version: a cut-over by `rename` or `view` waits for them.
    pub older_servers: Vec<String>,
}

impl StatusReport {
    /// Whether a projection needs a rebuild.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.projections.iter().any(|status| matches!(status.state, Standing::Behind | Standing::Broken))
    }
}

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
    let is_at_work = |held: &LeaseHolder| {
        let silent = held.leader.last_beat_seconds > settings.lease().ttl.as_secs_f64();
        !held.is_abandoned() && !silent
    };
    let mut report = StatusReport {
        database: store.database().to_owned(),
        server_version: store.facts.version.clone(),
        has_event_store,
        databases_with_events: Vec::new(),
        can_write: fence.is_none(),
        fence,
        is_led: held.as_ref().is_some_and(is_at_work),
        leader: held.map(|held| held.leader),
        follower: follow_control.control().lease().await?.map(|held| held.leader),
        instances: store.control().instances().await?,
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
    report.next_steps = next_steps(&report);
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
        paused: record.pause.as_ref().map(crate::store::PauseRecord::line),
        projection_version: record.projection_version,
        can_cut_over: matches!(record.state, BuildState::Verified | BuildState::Published),
        older_servers: Vec::new(),
    })
}

fn next_steps(report: &StatusReport) -> Vec<NextStep> {
    let mut steps = Vec::new();
    match report.fence.as_ref().map(|fence| fence.kind) {
        Some(FenceKind::CutOver) if !report.is_led => steps.push(NextStep::Migrate),
        Some(FenceKind::ReadOnly) => steps.push(NextStep::EndReadOnly),
        _ if !report.is_led && report.projections.iter().any(|status| status.undrained) => {
            steps.push(NextStep::Migrate);
        }
        _ => {}
    }
    if report.lock.held {
        steps.push(NextStep::ShowLock);
    }
    let complete =
        |status: &ProjectionStatus| status.building.as_ref().is_some_and(|build| build.can_cut_over);
    let behind: Vec<String> = report
        .projections
        .iter()
        .filter(|status| matches!(status.state, Standing::Behind | Standing::Broken) && !complete(status))
        .map(|status| status.projection.clone())
        .collect();
    if !behind.is_empty() {
        steps.push(NextStep::Rebuild { projections: behind.clone(), postpone: false });
    }
    for status in report.projections.iter().filter(|status| status.building.is_some()) {
        let projection = || status.projection.clone();
        if complete(status) {
            steps.push(NextStep::CutOver(projection()));
        } else if !behind.contains(&status.projection) {
            steps.push(NextStep::rebuild(&status.projection));
        }
        if status.building.as_ref().is_some_and(|build| build.paused.is_some()) {
            steps.push(NextStep::Resume(projection()));
        }
        steps.push(NextStep::Abort(projection()));
    }
    let failed_streams = |status: &ProjectionStatus| {
        status.failed_streams + status.building.as_ref().map_or(0, |build| build.failed_streams)
    };
    if report.projections.iter().any(|status| failed_streams(status) > 0) {
        steps.push(NextStep::ListFailedStreams);
    }
    steps
}
