//! Streams that could not be folded: which, and why.

pub(super) mod retry;

use serde::Serialize;
use statefold_projections::Registry;

use crate::config::Settings;
use crate::error::Result;
use crate::store::{Store, StoredDeadLetter};

/// A dead letter with the commit it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetterDetails {
    /// The dead letter.
    pub letter: StoredDeadLetter,
    /// The commit that holds the event, as relaxed extended JSON; absent if it is gone.
    pub commit: Option<serde_json::Value>,
}

/// A dead letter in words and numbers, for machines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadLetterRow {
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

impl From<&StoredDeadLetter> for DeadLetterRow {
    fn from(letter: &StoredDeadLetter) -> Self {
        Self {
            build: letter.build.clone(),
            stream: letter.stream.clone(),
            offset: letter.offset,
            event_type: letter.event_type.clone(),
            reason: letter.reason.clone(),
            message: letter.message.clone(),
        }
    }
}

/// Dead letters of all builds, or of the newest build of one projection; at most `limit`, 0 = all.
///
/// # Errors
/// For an unknown name, or what the server said.
pub async fn dead_letters(
    settings: &Settings,
    registry: &Registry,
    projection: Option<&str>,
    limit: i64,
) -> Result<Vec<StoredDeadLetter>> {
    let store = Store::connect(settings, registry.layout()).await?;
    let Some(name) = projection else { return store.builds().failed_streams(None, limit).await };
    let name = registry.get(name)?.spec().name().to_owned();
    match store.builds().records(Some(&name)).await?.first() {
        Some(newest) => store.builds().failed_streams(Some(&newest.id), limit).await,
        None => Ok(Vec::new()),
    }
}

/// The dead letters of one stream, each with the commit it is about.
///
/// # Errors
/// What the server said.
pub async fn dead_letter(
    settings: &Settings,
    registry: &Registry,
    stream: &str,
) -> Result<Vec<DeadLetterDetails>> {
    let store = Store::connect(settings, registry.layout()).await?;
    let mut details = Vec::new();
    for letter in store.builds().failed_streams_of(stream).await? {
        let commit = store.builds().commit_with(stream, letter.offset).await?;
        details.push(DeadLetterDetails { letter, commit });
    }
    Ok(details)
}
