//! What a rebuild says when it is done.

use serde::Serialize;

use crate::engine::pass::PassReport;

/// Result of a rebuild.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RebuildReport {
    /// The published generations; empty if there was no event store.
    pub projections: Vec<Built>,
    /// How the event store was read, and how that compares with the plan; absent if nothing was to be
    /// read any more.
    pub pass: Option<PassReport>,
    /// Whether the generations are complete, but not active: [`crate::operator::cutover`] makes them so.
    pub postponed: bool,
    /// The cut-overs: one for all projections, or one for each in a migration.
    pub cut_over: Vec<CutOver>,
    /// If there was no event store: the databases that have one, as far as they can be listed.
    pub databases_with_events: Vec<String>,
    /// What is weaker on this deployment, if anything.
    pub weakness: Option<String>,
}

impl RebuildReport {
    pub(crate) fn nothing_to_do(databases_with_events: Vec<String>) -> Self {
        Self {
            projections: Vec::new(),
            pass: None,
            postponed: false,
            cut_over: Vec::new(),
            databases_with_events,
            weakness: None,
        }
    }
}

/// One published generation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
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
    /// Streams, failed streams among them.
    pub streams: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// Streams that could not be folded.
    pub failed_streams: u64,
    /// Streams that were folded again because they changed meanwhile.
    pub streams_refolded: u64,
    /// Digest of the snapshots.
    pub digest: String,
    /// Partitions kept of an earlier run.
    pub partitions_resumed: usize,
    /// All partitions.
    pub partitions: usize,
    /// Time until all its snapshots were written, in seconds, from when the event store began to be
    /// read for it and the projections that were read with it.
    pub build_seconds: f64,
    /// Time for the indexes, in seconds.
    pub index_seconds: f64,
    /// Time for comparing the heads of all streams with the event store, in seconds.
    pub check_seconds: f64,
    /// Time for verifying, in seconds: every stream, or a share, folded once more and compared; those of
    /// projections that were built together are verified together. 0 if only heads were compared.
    pub verify_seconds: f64,
}

/// How a cut-over went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CutOver {
    /// Whether the event store was fenced.
    pub fenced: bool,
    /// Whether it was read-only all along: then that is the fence, which is neither raised nor lifted here.
    pub read_only: bool,
    /// How long the event store refused inserts, in milliseconds.
    pub fence_ms: f64,
    /// Tries until it succeeded.
    pub tries: u32,
    /// Streams refolded behind the fence.
    pub refolded_fenced: u64,
    /// Streams refolded after the flip, because something came past the fence.
    pub refolded_after: u64,
}
