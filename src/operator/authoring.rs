//! What the author of a projection wants to know of an event store.

use std::collections::BTreeMap;

#[cfg(feature = "cli")]
use bson::Document;
use bson::RawDocumentBuf;
use serde::Serialize;
use statefold_projections::Registry;

use crate::config::Settings;
use crate::error::Result;
#[cfg(feature = "cli")]
use crate::fold::{FieldDifference, field_differences};
use crate::store::Store;

/// Commits of a sample.
const SAMPLE: u32 = 20_000;

/// Types of events in a sample of the event store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SampledTypes {
    /// Number of sampled commits.
    pub commits: u64,
    /// For each projection the number of events of each type in its streams.
    pub by_projection: BTreeMap<String, BTreeMap<String, u64>>,
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
    }
    Ok(found)
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
