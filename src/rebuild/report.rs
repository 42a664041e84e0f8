//! What a rebuild says when it is done.

use serde::Serialize;

use crate::plan::Strategy;
use crate::rebuild::cut_over::CutOver;

/// Result of a rebuild.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RebuildReport {
    /// The published generations; empty if there was no event store.
    pub projections: Vec<Built>,
    /// How the event store was read, and how that compares with the plan; absent if nothing was to be
    /// read any more.
    pub pass: Option<PassReport>,
    /// Whether the generations are complete, but not active: [`crate::rebuild::cutover`] makes them so.
    pub postponed: bool,
    /// The cut-overs: one for all projections, or one for each in a migration.
    pub cut_over: Vec<CutOver>,
    /// If there was no event store: the databases that have one, as far as they can be listed.
    pub databases_with_events: Vec<String>,
    /// What is weaker on this deployment, if anything.
    pub weakness: Option<String>,
}

impl RebuildReport {
    pub(super) fn nothing_to_do(databases_with_events: Vec<String>) -> Self {
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

/// The pass over the event store: plan and reality.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PassReport {
    /// How the event store was read.
    pub strategy: Strategy,
    /// Why.
    pub reason: String,
    /// How it was divided; absent in stream order.
    pub divided_by: Option<String>,
    /// Time that was expected for reading, folding and writing, in seconds.
    pub planned_seconds: f64,
    /// Time it took.
    pub seconds: f64,
    /// Time of that until everything was read (and folded, or spilled); 0 in stream order.
    pub read_seconds: f64,
    /// Memory the states were expected to need together, in bytes; 0 where there are only a few at a
    /// time.
    pub planned_memory_bytes: u64,
    /// The most that states and waiting commits needed together, as counted; 0 in stream order.
    pub memory_bytes: u64,
    /// Size of the spill file, in bytes.
    pub spilled_bytes: u64,
    /// Snapshots that were expected.
    pub planned_snapshots: u64,
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
