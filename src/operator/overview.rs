//! All that the live page shows of a database, looked at again and again over one connection. Reads only.

use std::time::{Duration, Instant};

use bson::{DateTime, Timestamp};
use statefold_projections::Registry;

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, CutOverMode};
use crate::operator::failed_streams::FailedStreamDetails;
use crate::operator::status::{ProjectionStatus, StatusReport, report};
use crate::store::{ActiveGeneration, BuildRecord, HistoryEntry, Store};

/// Failed streams that are shown with the commit that could not be folded.
const FAILED_STREAMS_MAX: i64 = 10;
/// Newest entries of the history.
const HISTORY_MAX: i64 = 200;
/// The history is read anew after this time: it is sorted by the server each time.
const HISTORY_EVERY: Duration = Duration::from_secs(3);

/// A database as it is at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Overview {
    /// What `status` reports.
    pub(crate) status: StatusReport,
    /// The generations of all projections that are kept, active or being built, the oldest first.
    pub(crate) generations: Vec<GenerationRow>,
    /// The failed streams of those that are active or being built.
    pub(crate) failures: Failures,
    /// What was done lately, the newest first.
    pub(crate) history: Vec<HistoryEntry>,
}

/// A generation.
#[derive(Debug, Clone)]
pub(crate) struct GenerationRow {
    pub(crate) projection: String,
    pub(crate) generation: u32,
    pub(crate) projection_version: u32,
    pub(crate) role: Role,
    pub(crate) state: Option<BuildState>,
    pub(crate) collections: Vec<String>,
    /// How readers find it, if it is the active one.
    pub(crate) mode: Option<CutOverMode>,
    pub(crate) snapshots: Option<u64>,
    pub(crate) digest: Option<String>,
    /// When it became what it is, in RFC 3339: active, or begun; that of a kept one isn't known.
    pub(crate) since: Option<String>,
    /// Commits and seconds that its last run was planned to need.
    pub(crate) planned: Option<(u64, f64)>,
}

/// What a generation is to readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Kept,
    Active,
    Building,
}

/// Failed streams, counted by reason, and the first of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures {
    pub(crate) reasons: Vec<(String, u64)>,
    pub(crate) first: Vec<FailedStreamDetails>,
}

/// Looks at a database, as often as it is asked. Connects at the first look, and again after a failed one.
pub(crate) struct Lookout {
    settings: Settings,
    registry: Registry,
    store: Option<Store>,
    /// The failed streams, and the counts they were read at: they are read again when those have changed.
    failures: (Vec<(String, u64)>, Failures),
    /// The history, and when it was read.
    history: Option<(Instant, Vec<HistoryEntry>)>,
}

impl Lookout {
    pub(crate) fn new(settings: Settings, registry: Registry) -> Self {
        Self { settings, registry, store: None, failures: Default::default(), history: None }
    }

    /// Looks once.
    ///
    /// # Errors
    /// What the server said.
    pub(crate) async fn look(&mut self) -> Result<Overview> {
        let store = match self.store.take() {
            Some(store) => store,
            None => Store::connect(&self.settings, &self.registry).await?,
        };
        let status = report(&store, &self.settings, &self.registry).await?;
        let mut generations = Vec::new();
        for projection in &status.projections {
            let name = Some(projection.projection.as_str());
            let records = store.builds().records(name).await?;
            let active = store.control().active(&projection.projection).await?;
            generations.extend(generations_of(projection, active.as_ref(), &records));
        }
        let failures = self.failures_of(&store, &generations, &status).await?;
        let history = match self.history.take().filter(|(read, _)| read.elapsed() < HISTORY_EVERY) {
            Some(recent) => recent,
            None => (Instant::now(), recent_deeds(&store).await?),
        };
        // After an error, the next look connects anew.
        self.store = Some(store);
        let overview = Overview { status, generations, failures, history: history.1.clone() };
        self.history = Some(history);
        Ok(overview)
    }

    async fn failures_of(
        &mut self,
        store: &Store,
        generations: &[GenerationRow],
        status: &StatusReport,
    ) -> Result<Failures> {
        let live = generations.iter().filter(|row| row.role != Role::Kept);
        let counted = |row: &GenerationRow| {
            let projection = status.projections.iter().find(|found| found.projection == row.projection)?;
            let building = projection.building.as_ref().map(|build| build.failed_streams);
            let count = if row.role == Role::Building { building? } else { projection.failed_streams };
            Some((format!("{}{}", row.projection, row.generation), count))
        };
        let counts: Vec<(String, u64)> = live.filter_map(counted).collect();
        if counts != self.failures.0 {
            let builds: Vec<String> = counts.iter().map(|(build, _)| build.clone()).collect();
            let reasons = store.builds().reasons_of_failures(&builds).await?;
            let mut first = Vec::new();
            for failed_stream in store.builds().failed_streams_in(&builds, FAILED_STREAMS_MAX).await? {
                let commit = store.builds().commit_with(&failed_stream.stream, failed_stream.offset).await?;
                first.push(FailedStreamDetails { failed_stream, commit });
            }
            self.failures = (counts, Failures { reasons, first });
        }
        Ok(self.failures.1.clone())
    }
}

/// What was done lately. A role from before there was a history may not read it, and sees the rest.
async fn recent_deeds(store: &Store) -> Result<Vec<HistoryEntry>> {
    match store.control().history(HISTORY_MAX).await {
        Err(Error::Permission { .. }) => Ok(Vec::new()),
        other => other,
    }
}

/// The generations of a projection, the oldest first.
fn generations_of(
    status: &ProjectionStatus,
    active: Option<&ActiveGeneration>,
    records: &[BuildRecord],
) -> Vec<GenerationRow> {
    let row = |generation: u32, role: Role| {
        let record = records.iter().find(|record| record.generation == generation);
        let planned = record.and_then(|record| record.plan.as_ref());
        let folded = record.and_then(|record| u64::try_from(record.counts.snapshots).ok());
        GenerationRow {
            projection: status.projection.clone(),
            generation,
            projection_version: record.map_or(status.projection_version, |found| found.projection_version),
            role,
            state: record.map(|record| record.state),
            collections: record
                .map(|record| (0..record.targets.len()).filter_map(|at| record.collection_of(at)))
                .map(|names| names.map(str::to_owned).collect())
                .unwrap_or_default(),
            mode: None,
            snapshots: folded.filter(|count| *count > 0),
            digest: record.and_then(|record| record.digest.clone()),
            since: None,
            planned: planned.map(|plan| (u64::try_from(plan.commits).unwrap_or(0), plan.seconds)),
        }
    };
    let mut rows = Vec::new();
    for kept in active.iter().flat_map(|active| active.previous.iter().rev()) {
        rows.push(GenerationRow {
            collections: kept.collections.clone(),
            projection_version: kept.projection_version,
            ..row(kept.generation, Role::Kept)
        });
    }
    if let Some(active) = active {
        rows.push(GenerationRow {
            collections: active.collections.clone(),
            projection_version: active.projection_version,
            mode: Some(active.mode),
            snapshots: status.snapshots,
            since: rfc3339(time_of(active.since)),
            ..row(active.active, Role::Active)
        });
    }
    let open = status
        .building
        .as_ref()
        .and_then(|building| records.iter().find(|record| record.id == building.build));
    if let Some(open) = open {
        // A generation that readers left, and that is being made ready for them again, is a kept one still.
        rows.retain(|row| row.generation != open.generation);
        rows.push(GenerationRow { since: rfc3339(open.started_at), ..row(open.generation, Role::Building) });
    }
    rows
}

fn time_of(time: Timestamp) -> DateTime {
    DateTime::from_millis(i64::from(time.time) * 1000)
}

fn rfc3339(time: DateTime) -> Option<String> {
    time.try_to_rfc3339_string().ok()
}
