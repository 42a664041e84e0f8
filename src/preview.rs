//! What a rebuild would do: counts, partitions, time. Reads a sample; changes nothing.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use serde::Serialize;
use statefold_projections::{NoLookup, Registered, Registry};

use crate::config::Settings;
use crate::error::Result;
use crate::fold::StreamFold;
use crate::lifecycle::fingerprint;
use crate::plan::{Estimate, Sample, StreamRange, next_generation, partition_count};
use crate::rebuild::preflight;
use crate::store::{Direction, Store};

/// Commits read for the estimate.
const SAMPLE_COMMITS: u64 = 20_000;

/// What a rebuild would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanReport {
    /// Name of the database.
    pub database: String,
    /// Version of the server.
    pub server_version: String,
    /// Whether there is an event store.
    pub has_event_store: bool,
    /// If not: the databases that have one, as far as they can be listed.
    pub databases_with_events: Vec<String>,
    /// What is weaker on this deployment, if anything.
    pub weakness: Option<String>,
    /// Who holds the lock, if anybody does.
    pub lock_held: Option<String>,
    /// What would be built.
    pub projections: Vec<ProjectionPlan>,
}

/// What would be built of one projection.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// Commits to read.
    pub commits: u64,
    /// Partitions they are divided into.
    pub partitions: u32,
    /// How they are read, and why.
    pub strategy: String,
    /// What to expect, from a timed sample; absent if there is nothing to read.
    pub estimate: Option<Estimate>,
    /// An unfinished build that would be resumed.
    pub resumable: Option<Resumable>,
}

/// An unfinished build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// Whether it was begun with what this program has; if not, a rebuild begins anew.
    pub same_definition: bool,
}

/// Finds out what a rebuild of these projections (all if no name is given) would do.
///
/// # Errors
/// As [`rebuild`](crate::rebuild()), where something would keep it from beginning; a held lock is
/// reported, not an error.
pub async fn preview(settings: &Settings, registry: &Registry, projections: &[String]) -> Result<PlanReport> {
    let selected = registry.select(projections)?;
    let store = Store::connect(settings, registry.layout()).await?;
    let direction = preflight(&store, &selected).await?;
    let lock = store.lock_state().await?;
    let mut report = PlanReport {
        database: store.database().to_owned(),
        server_version: store.facts.version.clone(),
        has_event_store: direction.is_some(),
        databases_with_events: Vec::new(),
        weakness: store.facts.weakness().map(str::to_owned),
        lock_held: lock.filter(|lock| lock.locked).map(|lock| lock.holder),
        projections: Vec::new(),
    };
    match direction {
        None => report.databases_with_events = store.databases_with_events().await,
        Some(direction) => {
            for projection in &selected {
                report.projections.push(plan_of(&store, settings, direction, projection).await?);
            }
        }
    }
    Ok(report)
}

async fn plan_of(
    store: &Store,
    settings: &Settings,
    direction: Direction,
    projection: &Registered,
) -> Result<ProjectionPlan> {
    let (spec, tuning) = (projection.spec(), settings.tuning());
    let range = StreamRange::of(spec.stream_filter());
    let events = store.events(direction, store.operation_time().await?, tuning.batch_commits);
    let commits = events.count(&range).await?;
    let sample = sample(events.sample(&range, SAMPLE_COMMITS), projection, store).await?;
    let records = store.build_records(Some(spec.name())).await?;
    let print = fingerprint(spec, &store.layout);
    let open = records.iter().find(|record| record.state.is_resumable());
    let resumable = match open {
        None => None,
        Some(record) => {
            let build = store.build_store(record.clone(), spec.stream_filter().first());
            Some(Resumable {
                build: record.id.clone(),
                state: record.state.to_string(),
                partitions_done: build.checkpoints().await?.len(),
                partitions: record.ranges.len(),
                failure: record.failure.as_ref().map(|failure| failure.message.clone()),
                same_definition: record.fingerprint == print,
            })
        }
    };
    let recorded: Vec<u32> = records.iter().map(|record| record.generation).collect();
    let generation = match (&resumable, open) {
        (Some(Resumable { same_definition: true, .. }), Some(record)) => record.generation,
        _ => next_generation(spec, &store.collection_names().await?, &recorded),
    };
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
        active_generation: store.active(spec.name()).await?.map(|active| active.active),
        commits,
        partitions: partition_count(commits, tuning.threads, tuning.partitions),
        strategy: "stream order: index ranges, one state at a time in memory".into(),
        estimate: sample.scale(commits, tuning.readers.min(tuning.threads)),
        resumable,
    })
}

/// Reads and folds the sample, in memory.
async fn sample(
    mut batches: futures::stream::BoxStream<'static, Result<crate::pipeline::ports::CommitBatch>>,
    projection: &Registered,
    store: &Store,
) -> Result<Sample> {
    let mut fold = StreamFold::new(projection, Arc::new(store.layout.clone()), Arc::new(NoLookup));
    let began = Instant::now();
    let (mut read, mut bytes) = (0, 0);
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        for document in batch.documents()?.into_iter().flatten().filter_map(|value| value.as_document()) {
            read += 1;
            bytes += document.as_bytes().len() as u64;
            fold.push(document);
        }
    }
    fold.finish();
    let folded = fold.take();
    Ok(Sample {
        commits: read,
        events: folded.counts.events,
        streams: folded.counts.streams,
        snapshots: folded.counts.snapshots,
        snapshot_bytes: folded.snapshots.byte_len() as u64,
        bytes,
        seconds: began.elapsed().as_secs_f64(),
    })
}
