//! Folds failed streams once more, after the event store was mended, or with a program that can read them.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use serde::Serialize;
use statefold_projections::{Registered, Registry};
use tokio::sync::watch;

use crate::config::Settings;
use crate::engine::leader::{Leadership, lead};
use crate::engine::preflight::preflight;
use crate::engine::refolding::{Refoldable, Refolding};
use crate::error::{Error, Result};
use crate::lifecycle::BuildState;
use crate::observe::{Progress, Recorder};
use crate::operator::failed_streams::FailedStreamRow;
use crate::pipeline::Workers;
use crate::store::{BuildRecord, Store, StoredFailedStream};

/// Result of folding failed streams once more.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RetryReport {
    /// Streams that are folded now.
    pub healed: Vec<Healed>,
    /// Streams that still can't be folded.
    pub remaining: Vec<FailedStreamRow>,
    /// Builds whose failed streams were not tried, each with the reason.
    pub left_out: Vec<LeftOut>,
}

/// A stream that is folded now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Healed {
    /// Build it belongs to.
    pub build: String,
    /// Name of the stream.
    pub stream: String,
}

/// A build whose failed streams were not tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeftOut {
    /// Its id.
    pub build: String,
    /// Why, in words.
    pub reason: String,
}

/// Folds failed streams once more, into the generation they belong to: the active one, or an unfinished
/// build. `names`: projections (without case) and streams; all failed streams if there is none. Snapshots,
/// counts and digest of a generation change together.
///
/// # Errors
/// [`Error::Config`] for a name that is neither a projection nor a failed stream, [`Error::LeaseHeld`] if
/// somebody is at work, what the server said.
pub async fn retry_failed_streams(
    settings: &Settings,
    registry: &Registry,
    names: &[String],
) -> Result<RetryReport> {
    let store = Store::connect(settings, registry).await?;
    let found = wanted(&store, registry, names).await?;
    if found.is_empty() {
        return Ok(RetryReport::default());
    }
    let leadership = lead(&store, settings).await?;
    let result = retried(&store, settings, found, &leadership).await;
    leadership.end(result).await
}

/// The failed streams that [`retry_failed_streams`] would fold once more.
///
/// # Errors
/// [`Error::Config`] for a name that is neither a projection nor a failed stream, what the server said.
pub async fn streams_to_retry(
    settings: &Settings,
    registry: &Registry,
    names: &[String],
) -> Result<Vec<FailedStreamRow>> {
    let store = Store::connect(settings, registry).await?;
    let mut rows = Vec::new();
    for FailedOfBuild { record, streams, .. } in wanted(&store, registry, names).await? {
        let all = store.builds().failed_streams(Some(&record.id), 0).await?;
        rows.extend(all.iter().filter(|one| streams.contains(&one.stream)).map(FailedStreamRow::from));
    }
    Ok(rows)
}

/// Failed streams of one generation that is in use, kept to roll back to, or in the making.
struct FailedOfBuild {
    projection: Registered,
    record: BuildRecord,
    streams: BTreeSet<String>,
}

/// Selects failed streams by names.
///
/// # Errors
/// [`Error::Config`] with the names that fit none, what the server said.
async fn wanted(store: &Store, registry: &Registry, names: &[String]) -> Result<Vec<FailedOfBuild>> {
    let projection =
        |name: &String| registry.get(name).ok().map(|registered| registered.spec().name().to_owned());
    let projections: HashSet<String> = names.iter().filter_map(projection).collect();
    let mut unknown: HashSet<&String> = names.iter().filter(|name| projection(name).is_none()).collect();
    let mut found = Vec::new();
    for registered in registry.projections() {
        let name = registered.spec().name();
        let active = store.control().active(name).await?.map(|active| active.active);
        for record in store.builds().records(Some(name)).await? {
            let is_former = record.state == BuildState::Retired;
            let in_use = active == Some(record.generation) || record.state == BuildState::Published;
            if !in_use && !is_former && !record.state.is_resumable() {
                continue;
            }
            let known = registry.of_version(name, record.projection_version);
            if is_former && known.is_none() {
                // Nobody can roll back to it with this program either.
                continue;
            }
            let failed_streams = store.builds().failed_streams(Some(&record.id), 0).await?;
            let mut streams: BTreeSet<String> =
                failed_streams.into_iter().map(|failed_stream| failed_stream.stream).collect();
            unknown.retain(|name| !streams.contains(*name));
            if !names.is_empty() && !projections.contains(name) {
                streams.retain(|stream| names.contains(stream));
            }
            let projection = known.unwrap_or(registered);
            if !streams.is_empty() {
                found.push(FailedOfBuild { projection: projection.clone(), record, streams });
            }
        }
    }
    if unknown.is_empty() {
        return Ok(found);
    }
    let unknown: BTreeSet<&String> = unknown.into_iter().collect();
    let problem = |name| format!("`{name}` is neither a projection nor a failed stream");
    Err(Error::Config(unknown.into_iter().map(problem).collect()))
}

/// Retries the selected failed streams under the lease.
async fn retried(
    store: &Store,
    settings: &Settings,
    found: Vec<FailedOfBuild>,
    leadership: &Leadership,
) -> Result<RetryReport> {
    let mut report = RetryReport::default();
    let projections: Vec<Registered> = found.iter().map(|found| found.projection.clone()).collect();
    let Some(stream_index) = preflight(store, &projections).await? else {
        return Ok(report);
    };
    let refolding = Refolding {
        store: store.clone(),
        settings: settings.clone(),
        stream_index,
        workers: Arc::new(Workers::new(settings.tuning().threads)?),
        mandate: leadership.mandate.clone(),
        cancel: leadership.cancel.clone(),
    };
    for failed_streams in found {
        refolding.retry(failed_streams, &mut report).await?;
    }
    Ok(report)
}

impl Refolding {
    /// Retries the failed streams of one build.
    async fn retry(&self, failed_streams: FailedOfBuild, report: &mut RetryReport) -> Result<()> {
        let FailedOfBuild { projection, record, streams } = failed_streams;
        let build = record.id.clone();
        let recorder = Recorder::new(projection.spec().name(), &watch::Sender::new(Progress::default()));
        let mut generation = match self.unfinished(&projection, record, &recorder) {
            Refoldable::Yes(generation) => *generation,
            Refoldable::No(reason) => {
                report.left_out.push(LeftOut { build, reason: reason.to_string() });
                return Ok(());
            }
        };
        // Whoever took it over may have ended before it took the checkpoints over.
        generation.build.take_checkpoints_over().await?;
        // Streams of unfinished partitions are folded by the build anyway.
        let done: HashSet<u32> =
            generation.build.checkpoints().await?.iter().map(|checkpoint| checkpoint.partition).collect();
        let partitions = generation.build.partitions();
        let is_done = |stream: &String| {
            let partition = partitions.iter().find(|partition| partition.range.holds(stream));
            partition.is_some_and(|partition| done.contains(&partition.number))
        };
        let tried: Vec<String> = streams.iter().filter(|stream| is_done(stream)).cloned().collect();
        self.refold(&generation, tried.clone(), false).await?;
        if done.len() == partitions.len() {
            self.note_sums(&mut generation).await?;
        }
        let left: Vec<StoredFailedStream> = self.store.builds().failed_streams(Some(&build), 0).await?;
        let still_failed: HashSet<&String> = left.iter().map(|failed_stream| &failed_stream.stream).collect();
        let healed = tried.into_iter().filter(|stream| !still_failed.contains(stream));
        report.healed.extend(healed.map(|stream| Healed { build: build.clone(), stream }));
        let remaining = left.iter().filter(|failed_stream| streams.contains(&failed_stream.stream));
        report.remaining.extend(remaining.map(FailedStreamRow::from));
        Ok(())
    }
}
