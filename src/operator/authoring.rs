//! What the author of a projection wants to know of an event store.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(feature = "cli")]
use bson::Document;
use bson::RawDocumentBuf;
use serde::Serialize;
use statefold_projections::testing::fold_stream;
use statefold_projections::{Commit, Layout, NoLookup, Registered, Registry};

use crate::config::Settings;
use crate::error::Result;
#[cfg(feature = "cli")]
use crate::fold::{FieldDifference, field_differences};
use crate::store::Store;

/// Commits of a sample.
const SAMPLE: u32 = 20_000;

/// Streams of each projection that are folded whole, at most.
const FOLDED: usize = 100;

/// Types of events in a sample of the event store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SampledTypes {
    /// Number of sampled commits.
    pub commits: u64,
    /// For each projection the number of events of each type in its streams.
    pub by_projection: BTreeMap<String, BTreeMap<String, u64>>,
    /// For each projection what became of some of its streams, folded whole.
    pub folded: BTreeMap<String, FoldedSample>,
}

/// What became of some streams of a sample.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoldedSample {
    /// Number of streams.
    pub streams: u64,
    /// Streams that can't be folded, each with the reason.
    pub failed: Vec<(String, String)>,
}

/// Samples the types of events in the streams of each projection.
///
/// # Errors
/// What the server said.
pub async fn sample_types(settings: &Settings, registry: &Registry) -> Result<SampledTypes> {
    let store = Store::connect(settings, registry).await?;
    let sampled = store.events().sampled_types(SAMPLE).await?;
    let mut found = SampledTypes { commits: sampled.len() as u64, ..SampledTypes::default() };
    for projection in registry.projections() {
        let spec = projection.spec();
        let types = found.by_projection.entry(spec.name().to_owned()).or_default();
        for (_, of_commit) in sampled.iter().filter(|(stream, _)| spec.stream_filter().matches(stream)) {
            of_commit.iter().for_each(|event_type| *types.entry(event_type.clone()).or_default() += 1);
        }
        let names: BTreeSet<&String> = sampled
            .iter()
            .map(|(stream, _)| stream)
            .filter(|stream| spec.stream_filter().matches(stream))
            .collect();
        let folded = found.folded.entry(spec.name().to_owned()).or_default();
        // Evenly among them, whatever their names say.
        for stream in names.iter().step_by(names.len().div_ceil(FOLDED).max(1)) {
            let commits = store.events().commits_of(stream, 0).await?;
            folded.streams += 1;
            if let Err(reason) = fold(projection, &commits, registry, stream) {
                folded.failed.push(((*stream).clone(), reason));
            }
        }
    }
    Ok(found)
}

/// Folds the commits of one stream, as a rebuild does.
fn fold(
    projection: &Registered,
    commits: &[RawDocumentBuf],
    registry: &Registry,
    stream: &str,
) -> std::result::Result<(), String> {
    without_gaps(commits, registry.layout())?;
    let mut states = projection.states();
    fold_stream(projection, &mut *states, commits, registry.layout(), stream, &NoLookup)
        .map(drop)
        .map_err(|failure| failure.to_string())
}

/// Checks that the events of these commits have all numbers from 0 on.
///
/// # Errors
/// The first gap, in words, or what isn't a commit.
pub(crate) fn without_gaps(commits: &[RawDocumentBuf], layout: &Layout) -> std::result::Result<(), String> {
    let mut next = 0;
    for commit in commits {
        let commit = Commit::decode(commit, layout).map_err(|error| error.to_string())?;
        if commit.first_number != next {
            return Err(format!(
                "event {next} is missing: the next commit begins with event {}; numbers count events, begin \
                 at 0 and have no gaps (is `offsets` right?)",
                commit.first_number
            ));
        }
        next = commit.next_number();
    }
    Ok(())
}

/// What differs between the states of a stream before and after an event.
#[cfg(feature = "cli")]
pub(crate) fn changes(before: &Document, after: &Document) -> Vec<FieldDifference> {
    field_differences(before, after)
}

/// The first commits of a stream, in order; all of them if `limit` is 0.
///
/// # Errors
/// What the server said.
pub async fn commits_of_stream(
    settings: &Settings,
    registry: &Registry,
    stream: &str,
    limit: i64,
) -> Result<Vec<RawDocumentBuf>> {
    Store::connect(settings, registry).await?.events().commits_of(stream, limit).await
}
