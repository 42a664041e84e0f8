//! Plans a rebuild: counts, partitions, time. Reads a sample; changes nothing.

use serde::Serialize;
use statefold_projections::{Registered, Registry};

use crate::config::{Settings, Tuning};
use crate::engine::capacity::{CapacityPlan, capacity_plan};
use crate::engine::pass::{Survey, seconds_of};
use crate::engine::preflight::preflight;
use crate::error::{Error, Result};
use crate::lifecycle::{Verify, is_fingerprint_of};
use crate::operator::rights::{MissingRight, missing_rights};
use crate::pipeline::Workers;
use crate::plan::{
    Choice, Estimate, ShardMap, ShardPlan, SharingFacts, Strategy, VerifySeconds, WorkersPlan,
    next_generation,
};
use crate::store::{EventStore, Store};

/// Cores of a server that doesn't tell.
const ASSUMED_CORES: u32 = 4;

/// Plan of a rebuild.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlanReport {
    /// Name of the database.
    pub database: String,
    /// Version of the server.
    pub server_version: String,
    /// Whether there is an event store.
    pub has_event_store: bool,
    /// If not: the databases that have one, as far as they can be listed.
    pub databases_with_events: Vec<String>,
    /// Guarantee that is weaker on this deployment, if any.
    pub weakness: Option<String>,
    /// Holder of the migration lock, in words, if there is one.
    pub lock_held: Option<String>,
    /// Rights that this user lacks, as far as they can be read.
    pub missing_rights: Vec<MissingRight>,
    /// Notes on what couldn't be read, and what follows from that.
    pub notes: Vec<String>,
    /// How the event store would be read, for all of them together; absent if there is none.
    pub pass: Option<PassPlan>,
    /// Whether disk and oplog suffice.
    pub capacity: Option<CapacityPlan>,
    /// Builds by 1, 2, 4, … processes, up to as many as the settings say, in stream order and with an
    /// exchange; empty if that is one.
    pub workers: Vec<WorkersPlan>,
    /// The shards of the event store, in a sharded cluster.
    pub shards: Vec<ShardPlan>,
    /// Which of these they would do, and why.
    pub shared: Option<SharedPlan>,
    /// Plans of the projections.
    pub projections: Vec<ProjectionPlan>,
}

/// How the event store would be read. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PassPlan {
    /// Strategy, by its order of reading.
    pub strategy: Strategy,
    /// Why that strategy was chosen.
    pub reason: String,
    /// Commits in the event store, of all streams.
    pub store_commits: u64,
    /// Their size, uncompressed.
    pub store_bytes: u64,
    /// Cache of the server, if it tells.
    pub cache_bytes: Option<u64>,
    /// Memory that all states together would need.
    pub state_bytes: u64,
    /// Memory budget of the states.
    pub memory_bytes: u64,
    /// Cursors read and partitions written at the same time.
    pub readers: usize,
    /// Time to read, fold and write, in seconds.
    pub seconds: f64,
}

/// How several processes would read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SharedPlan {
    /// Stream order, or an exchange.
    pub strategy: Strategy,
    /// Why.
    pub reason: String,
}

/// Plan of one projection.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProjectionPlan {
    /// Name of the projection.
    pub projection: String,
    /// Version of the projection.
    pub projection_version: u32,
    /// Number of the generation.
    pub generation: u32,
    /// Its collections.
    pub collections: Vec<String>,
    /// Names of the indexes, `_id` left out.
    pub indexes: Vec<String>,
    /// The active generation, if there is one.
    pub active_generation: Option<u32>,
    /// Whether the active generation is of this version, but was built with another definition or settings
    /// that change snapshots.
    pub redefined: bool,
    /// Partitions they are divided into.
    pub partitions: u32,
    /// Estimate from a timed sample.
    pub estimate: Estimate,
    /// Estimate of the verification before the cut-over, by its extent.
    pub verify_seconds: VerifySeconds,
    /// An unfinished build that would be resumed.
    pub resumable: Option<Resumable>,
}

/// An unfinished build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Resumable {
    /// Its id.
    pub build: String,
    /// The state it is in.
    pub state: String,
    /// Its finished partitions.
    pub partitions_done: usize,
    /// All its partitions.
    pub partitions: usize,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// Whether it was begun with the definition that this program has; if not, a rebuild starts over.
    pub same_definition: bool,
}

/// Plans a rebuild of these projections (all if no name is given).
///
/// # Errors
/// Those that would keep a [`rebuild`](crate::rebuild) from beginning; a held migration lock is reported, not
/// an error.
pub async fn preview(settings: &Settings, registry: &Registry, projections: &[String]) -> Result<PlanReport> {
    let selected = registry.select(projections)?;
    let store = Store::connect(settings, registry).await?;
    store.check_majority().await?;
    let mut notes = Vec::new();
    let missing_rights = missing_rights(&store, &selected, &mut notes).await;
    match plan_with(settings, &store, &selected, missing_rights.clone(), notes).await {
        Err(Error::Permission { doing, source }) => {
            let fatal = missing_rights.iter().filter(|right| right.without.is_none());
            let fatal =
                fatal.map(|right| format!("{} needs `{}` on {}", right.step, right.action, right.resource));
            let reasons: Vec<String> = std::iter::once(source.to_string()).chain(fatal).collect();
            Err(Error::Permission { doing, source: reasons.join("; ").into() })
        }
        other => other,
    }
}

async fn plan_with(
    settings: &Settings,
    store: &Store,
    selected: &[Registered],
    missing_rights: Vec<MissingRight>,
    notes: Vec<String>,
) -> Result<PlanReport> {
    let direction = preflight(store, selected).await?;
    let lock = store.control().lock_state().await?;
    let mut report = PlanReport {
        database: store.database().to_owned(),
        server_version: store.facts.version.clone(),
        has_event_store: direction.is_some(),
        databases_with_events: Vec::new(),
        weakness: store.facts.weakness().map(str::to_owned),
        lock_held: lock.filter(|lock| lock.locked).map(|lock| lock.holder),
        missing_rights,
        notes,
        pass: None,
        capacity: None,
        workers: Vec::new(),
        shared: None,
        shards: Vec::new(),
        projections: Vec::new(),
    };
    let Some(direction) = direction else {
        report.databases_with_events = store.databases_with_events().await;
        return Ok(report);
    };
    let tuning = settings.tuning();
    let events = store.events().source(direction, store.operation_time().await?, tuning.batch_commits);
    let survey = Survey::of(&events, selected, tuning, Some(&Workers::new(tuning.threads)?)).await?;
    for (projection, estimate) in selected.iter().zip(&survey.estimates) {
        let partitions = survey.partitions(estimate, tuning);
        let sample = tuning.verify.sample(estimate.streams).or(Verify::default().sample(estimate.streams));
        let sampled = sample.map_or(0, |share| share.of(estimate.streams));
        let verify_seconds = estimate.verify_seconds(sampled);
        let plan = plan_of(store, projection, *estimate, verify_seconds, partitions).await?;
        if let (0, Some(active)) = (estimate.commits, plan.active_generation) {
            report.notes.push(format!(
                "{}: none of its streams is in the event store, and readers use generation {active}: the new \
                 one would be empty",
                plan.projection
            ));
        }
        report.projections.push(plan);
    }
    let (capacity, more) =
        capacity_plan(store, &selected.iter().zip(&survey.estimates).collect::<Vec<_>>()).await;
    report.capacity = Some(capacity);
    report.notes.extend(more);
    report.shards = survey.store.shards.as_ref().map(ShardMap::shards).unwrap_or_default();
    report.pass = Some(pass_plan(&survey, tuning));
    if settings.sharing().workers > 1 {
        report.workers = workers_plan(settings, store, selected, &survey, &events).await?;
        let processes = settings.sharing().workers;
        let Choice { strategy, reason } = survey.share(&survey.estimates, tuning, processes);
        report.shared = Some(SharedPlan { strategy, reason });
    }
    Ok(report)
}

/// What it takes to build all of them with several processes, in each order that they can share.
async fn workers_plan(
    settings: &Settings,
    store: &Store,
    selected: &[Registered],
    survey: &Survey,
    events: &EventStore,
) -> Result<Vec<WorkersPlan>> {
    let tuning = settings.tuning();
    // That of the largest stands for all.
    let largest = selected.iter().zip(&survey.estimates).max_by_key(|(_, estimate)| estimate.commits);
    let Some((largest, _)) = largest else { return Ok(Vec::new()) };
    let workers = Workers::new(tuning.threads)?;
    let server_cores = store.admin().cores().await.unwrap_or(ASSUMED_CORES);
    let commits = survey.estimates.iter().map(|estimate| estimate.commits).sum();
    let states = survey.estimates.iter().map(|estimate| {
        let partitions = u64::from(survey.partitions(estimate, tuning));
        estimate.state_bytes / partitions.max(1)
    });
    let partition_bytes = states.max().unwrap_or(0);
    let mut plans = Vec::new();
    for strategy in [Strategy::Stream, Strategy::Exchange] {
        let Some((read_seconds, fold_seconds)) = seconds_of(strategy, events, largest, &workers).await?
        else {
            continue;
        };
        let is_stream = strategy == Strategy::Stream;
        let scanned = survey.store.commits.saturating_mul(selected.len() as u64);
        let facts = SharingFacts {
            strategy,
            scanned: if is_stream { commits } else { scanned },
            commits,
            snapshots: survey.estimates.iter().map(|estimate| estimate.snapshots).sum(),
            partition_bytes: if is_stream { 0 } else { partition_bytes },
            read_seconds,
            fold_seconds,
            readers: tuning.readers,
            batch_bytes: tuning.batch_bytes as u64,
            server_cores,
        };
        plans.extend(facts.up_to(settings.sharing().workers));
    }
    Ok(plans)
}

fn pass_plan(survey: &Survey, tuning: &Tuning) -> PassPlan {
    let Choice { strategy, reason } = survey.choose(&survey.estimates, tuning);
    PassPlan {
        strategy,
        reason,
        store_commits: survey.store.commits,
        store_bytes: survey.store.bytes,
        cache_bytes: survey.store.cache_bytes,
        state_bytes: survey.estimates.iter().map(|estimate| estimate.state_bytes).sum(),
        memory_bytes: tuning.memory_bytes as u64,
        readers: tuning.readers,
        seconds: survey.estimates.iter().map(|estimate| estimate.seconds).sum(),
    }
}

async fn plan_of(
    store: &Store,
    projection: &Registered,
    estimate: Estimate,
    verify_seconds: VerifySeconds,
    partitions: u32,
) -> Result<ProjectionPlan> {
    let spec = projection.spec();
    let records = store.builds().records(Some(spec.name())).await?;
    let open = records.iter().find(|record| record.state.is_resumable());
    let resumable = match open {
        None => None,
        Some(record) => {
            let build = store.builds().open(record.clone(), spec.stream_filter().first());
            Some(Resumable {
                build: record.id.clone(),
                state: record.state.to_string(),
                partitions_done: build.checkpoints().await?.len(),
                partitions: record.ranges.len(),
                failure: record.failure.as_ref().map(|failure| failure.message.clone()),
                same_definition: is_fingerprint_of(&record.fingerprint, spec, &store.layout),
            })
        }
    };
    let recorded: Vec<u32> = records.iter().map(|record| record.generation).collect();
    let generation = match (&resumable, open) {
        (Some(Resumable { same_definition: true, .. }), Some(record)) => record.generation,
        _ => next_generation(spec, &store.collection_names().await?, &recorded)
            .map_err(|error| Error::Unsupported(error.to_string()))?,
    };
    let active = store.control().active(spec.name()).await?;
    Ok(ProjectionPlan {
        projection: spec.name().to_owned(),
        projection_version: spec.version(),
        generation,
        collections: spec.targets().iter().map(|target| target.generation(generation)).collect(),
        indexes: spec
            .targets()
            .iter()
            .flat_map(|target| target.indexes().iter().map(|index| index.name()))
            .collect(),
        redefined: active.as_ref().is_some_and(|active| {
            let of_active = records.iter().find(|record| record.generation == active.active);
            active.projection_version == spec.version()
                && of_active
                    .is_some_and(|record| !is_fingerprint_of(&record.fingerprint, spec, &store.layout))
        }),
        active_generation: active.map(|active| active.active),
        partitions,
        estimate,
        verify_seconds,
        resumable,
    })
}
