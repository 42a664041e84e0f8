//! The report of a rebuild.

use serde::Serialize;

use crate::engine::pass::PassReport;
use crate::engine::run::build::Build;
use crate::lifecycle::{Fencing, FencingReason};

/// Result of a rebuild.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RebuildReport {
    /// The published generations; empty if there was no event store.
    pub projections: Vec<Built>,
    /// How the event store was read, and how that compares with the plan; absent if nothing had to be read.
    pub pass: Option<PassReport>,
    /// Whether the generations are complete, but not active: [`crate::cutover`] makes them active.
    pub postponed: bool,
    /// The cut-overs: a single one for all projections, or in a migration one for each.
    pub cut_over: Vec<CutOver>,
    /// If there was no event store: the databases that have one, as far as they can be listed.
    pub databases_with_events: Vec<String>,
    /// Guarantee that is weaker on this deployment, if any.
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
    /// Number of commits folded.
    pub commits: u64,
    /// Number of events folded.
    pub events: u64,
    /// Number of streams, including failed ones.
    pub streams: u64,
    /// Number of snapshots written.
    pub snapshots: u64,
    /// Number of streams that could not be folded.
    pub failed_streams: u64,
    /// Streams that the projection remarks on; absent if there are none.
    pub remark: Option<Remark>,
    /// Number of streams that were refolded because they changed meanwhile.
    pub streams_refolded: u64,
    /// Digest of the snapshots.
    pub digest: String,
    /// Number of partitions kept from an earlier run.
    pub partitions_resumed: usize,
    /// Number of all partitions.
    pub partitions: usize,
    /// Time until all its snapshots were written, in seconds, from the beginning of the pass that read the
    /// event store for it and other projections.
    pub build_seconds: f64,
    /// Time for the indexes, in seconds.
    pub index_seconds: f64,
    /// Time for comparing the heads of all streams with the event store, in seconds.
    pub check_seconds: f64,
    /// Time for verifying, in seconds; much of it is beside the index builds. 0 if only heads were compared.
    pub verify_seconds: f64,
    /// How it was verified in this run: `proof`, `full` or `heads`; absent if it was verified before.
    pub verified: Option<String>,
    /// Number of streams that a proof folded once more.
    pub streams_sampled: u64,
}

/// Streams of which the projection has something to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Remark {
    /// Number of them when they were first folded.
    pub streams: u64,
    /// What there is to say, as `with a step of an unknown plugin, kept as it stands`.
    pub what: String,
}

/// How a cut-over went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CutOver {
    /// Whether the event store refused events for it.
    pub fence: Fencing,
    /// Why it did, or didn't.
    pub reason: FencingReason,
    /// Whether the event store was fenced.
    pub fenced: bool,
    /// Whether read-only mode was on all along: its fence served, and was neither raised nor lifted.
    pub read_only: bool,
    /// How long the event store refused inserts, in milliseconds.
    pub fence_ms: f64,
    /// Number of attempts until it succeeded.
    pub tries: u32,
    /// Number of streams refolded behind the fence.
    pub refolded_fenced: u64,
    /// Number of streams refolded after the flip: without a fence those that changed right before it, else
    /// those that changed in spite of it.
    pub refolded_after: u64,
    /// Without a fence: time from the beginning of the flip until the new generation had every event that was
    /// acknowledged before it, in milliseconds. For so long, at most, a reader could see the past.
    pub drain_ms: f64,
}

/// Reports on a build at the end of a run.
pub(super) fn built(build: &Build) -> Built {
    let record = build.record();
    Built {
        projection: record.projection.clone(),
        generation: record.generation,
        collections: build.collections(),
        projection_version: record.projection_version,
        commits: build.counts.commits,
        events: build.counts.events,
        streams: build.counts.streams,
        snapshots: build.counts.snapshots,
        failed_streams: build.counts.failed_streams,
        remark: remark(build),
        streams_refolded: build.refolded,
        digest: build.digest.to_string(),
        partitions_resumed: record.ranges.len() - build.todo.len(),
        partitions: record.ranges.len(),
        build_seconds: seconds(build.timings.build_ms),
        index_seconds: seconds(build.timings.index_ms),
        check_seconds: seconds(build.timings.check_ms),
        verify_seconds: seconds(build.timings.verify_ms),
        verified: build.verified.map(str::to_owned),
        streams_sampled: build.proof.sampled,
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds shown in seconds")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn remark(build: &Build) -> Option<Remark> {
    let streams = build.counts.remarks;
    let what = build.job.projection.spec().remark().filter(|_| streams > 0)?;
    Some(Remark { streams, what: what.to_owned() })
}
