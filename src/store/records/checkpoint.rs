//! A finished partition, as it is recorded.

use serde::{Deserialize, Serialize};

use crate::fold::{Digest, FoldCounts};

/// Checkpoint of a partition. Each partition has one from the beginning, so that a takeover of the build
/// raises the token of all of them, and no process with an older token can finish a partition any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Checkpoint {
    #[serde(rename = "_id")]
    pub(crate) id: String,
    pub(crate) format: i32,
    pub(crate) build: String,
    pub(crate) partition: u32,
    pub(crate) token: i64,
    pub(crate) done: bool,
    #[serde(default)]
    pub(crate) counts: Counts,
    #[serde(default)]
    pub(crate) digest: String,
    /// Number of bits: the recorded heads are in 2^bits documents, by the first bits of their hashes.
    #[serde(default)]
    pub(crate) head_bits: u32,
    /// Grows with every change of the folded data: data read at one revision is stale at the next.
    #[serde(default)]
    pub(crate) revision: i64,
}

impl Checkpoint {
    /// Digest of the partition's snapshots; `None` if it can't be read.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.digest.parse().ok()
    }
}

/// Counts of what a build folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Counts {
    /// Commits.
    pub commits: i64,
    /// Events.
    pub events: i64,
    /// Bytes of the commits.
    pub bytes: i64,
    /// Streams.
    pub streams: i64,
    /// Snapshots.
    pub snapshots: i64,
    /// Streams that could not be folded.
    #[serde(rename = "DeadLetters")]
    pub failed_streams: i64,
    /// Streams that the projection remarked on when they were first folded.
    #[serde(default)]
    pub remarks: i64,
}

impl From<FoldCounts> for Counts {
    fn from(counts: FoldCounts) -> Self {
        // BSON has no unsigned numbers; none of these comes near the end of i64.
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            commits: signed(counts.commits),
            events: signed(counts.events),
            bytes: signed(counts.bytes),
            streams: signed(counts.streams),
            snapshots: signed(counts.snapshots),
            failed_streams: signed(counts.failed_streams),
            remarks: signed(counts.remarks),
        }
    }
}
