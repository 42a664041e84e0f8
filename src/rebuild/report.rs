//! What a rebuild says when it is done.

use serde::Serialize;

/// Result of a rebuild.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RebuildReport {
    /// The published generations; empty if there was no event store.
    pub projections: Vec<Built>,
    /// If there was no event store: the databases that have one, as far as they can be listed.
    pub databases_with_events: Vec<String>,
    /// What is weaker on this deployment, if anything.
    pub weakness: Option<String>,
}

impl RebuildReport {
    pub(super) fn nothing_to_do(databases_with_events: Vec<String>) -> Self {
        Self { projections: Vec::new(), databases_with_events, weakness: None }
    }
}

/// One published generation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Built {
    /// Name of the projection.
    pub projection: String,
    /// Number of the generation.
    pub generation: u32,
    /// Its collections.
    pub collections: Vec<String>,
    /// Version of the projection.
    pub projection_version: u32,
    /// Commits folded.
    pub commits: u64,
    /// Events folded.
    pub events: u64,
    /// Streams, dead letters among them.
    pub streams: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// Streams that could not be folded.
    pub dead_letters: u64,
    /// Digest of the snapshots.
    pub digest: String,
    /// Partitions kept of an earlier run.
    pub partitions_resumed: usize,
    /// All partitions.
    pub partitions: usize,
    /// Time for reading, folding and writing, in seconds.
    pub build_seconds: f64,
    /// Time for the indexes, in seconds.
    pub index_seconds: f64,
    /// Time for comparing with the event store, in seconds.
    pub check_seconds: f64,
}
