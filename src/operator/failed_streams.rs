//! Lists the streams that could not be folded, with the reasons.

pub(super) mod retry;

use serde::Serialize;
use statefold_projections::Registry;

use crate::config::Settings;
use crate::error::Result;
use crate::store::{Store, StoredFailedStream};

/// A failed stream with the commit that could not be folded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FailedStreamDetails {
    /// The failed stream.
    pub failed_stream: StoredFailedStream,
    /// The commit that holds the event, as relaxed extended JSON; absent if it is gone.
    pub commit: Option<serde_json::Value>,
}

/// A failed stream in words and numbers, for machines.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FailedStreamRow {
    /// Build it belongs to.
    pub build: String,
    /// Name of the stream.
    pub stream: String,
    /// Number of the event.
    pub offset: i64,
    /// Type of the event.
    pub event_type: String,
    /// Short name of the reason.
    pub reason: String,
    /// The reason in words.
    pub message: String,
}

impl From<&StoredFailedStream> for FailedStreamRow {
    fn from(failed_stream: &StoredFailedStream) -> Self {
        Self {
            build: failed_stream.build.clone(),
            stream: failed_stream.stream.clone(),
            offset: failed_stream.offset,
            event_type: failed_stream.event_type.clone(),
            reason: failed_stream.reason.clone(),
            message: failed_stream.message.clone(),
        }
    }
}

/// Failed streams of all builds, or of the newest build of one projection; at most `limit`, 0 = all.
///
/// # Errors
/// For an unknown name, or what the server said.
pub async fn failed_streams(
    settings: &Settings,
    registry: &Registry,
    projection: Option<&str>,
    limit: i64,
) -> Result<Vec<StoredFailedStream>> {
    let store = Store::connect(settings, registry).await?;
    let Some(name) = projection else { return store.builds().failed_streams(None, limit).await };
    let name = registry.get(name)?.spec().name().to_owned();
    match store.builds().records(Some(&name)).await?.first() {
        Some(newest) => store.builds().failed_streams(Some(&newest.id), limit).await,
        None => Ok(Vec::new()),
    }
}

/// Failures of one stream, a row for each build, each with the commit that could not be folded.
///
/// # Errors
/// What the server said.
pub async fn failed_stream(
    settings: &Settings,
    registry: &Registry,
    stream: &str,
) -> Result<Vec<FailedStreamDetails>> {
    let store = Store::connect(settings, registry).await?;
    let mut details = Vec::new();
    for failed_stream in store.builds().failed_streams_of(stream).await? {
        let commit = store.builds().commit_with(stream, failed_stream.offset).await?;
        details.push(FailedStreamDetails { failed_stream, commit });
    }
    Ok(details)
}
