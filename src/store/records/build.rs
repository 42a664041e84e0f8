//! `Statefold_Builds`: one document per generation that is or was being built.

use bson::{DateTime, Timestamp};
use serde::{Deserialize, Serialize};
use statefold_projections::Spec;

use crate::fold::FoldCounts;
use crate::lifecycle::BuildState;
use crate::plan::{Choice, Estimate, GenerationNames, Strategy, StreamRange};
use crate::store::connection::FORMAT;
use crate::store::records::checkpoint::Counts;
use crate::store::records::pause::PauseRecord;
use crate::store::records::swap::SwapRecord;

/// Collection of the build records.
pub(in crate::store) const BUILDS: &str = "Statefold_Builds";
/// Collection of the heads of each generation.
pub(in crate::store) const HEADS: &str = "Statefold_Heads";
/// Collection of the finished partitions of each build.
pub(in crate::store) const CHECKPOINTS: &str = "Statefold_Checkpoints";
/// Collection of the streams that could not be folded.
pub(in crate::store) const FAILED_STREAMS: &str = "Statefold_DeadLetters";

/// Record of one build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BuildRecord {
    /// Projection and generation: `Assets3`.
    #[serde(rename = "_id")]
    pub id: String,
    /// Format of this document.
    pub format: i32,
    /// Name of the projection.
    pub projection: String,
    /// Number of the generation.
    pub generation: u32,
    /// Version of the projection it is built with.
    pub projection_version: u32,
    /// What it is built with: [`crate::lifecycle::fingerprint`].
    pub fingerprint: String,
    /// How far it is.
    pub state: BuildState,
    /// Token of the process that works on it.
    pub token: i64,
    /// Operation time before the first read; absent on a standalone server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t0: Option<Timestamp>,
    /// Its collections.
    pub targets: Vec<TargetRecord>,
    /// Its partitions.
    pub ranges: Vec<StreamRange>,
    /// Whether its collections were there already, built by an application.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// The names it is about to take from the active generation, one for each target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<Vec<SwapRecord>>,
    /// How the event store was to be read last, and what was expected of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRecord>,
    /// What was folded, once all partitions are done.
    pub counts: Counts,
    /// Digest of all snapshots, once all partitions are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How long it took.
    pub timings: Timings,
    /// Why it failed last, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Who paused it, if somebody did. Read only: it belongs to whoever pauses and resumes.
    #[serde(default, skip_serializing)]
    pub pause: Option<PauseRecord>,
    /// When it was planned.
    pub started_at: DateTime,
    /// When this record last changed.
    pub updated_at: DateTime,
}

impl BuildRecord {
    /// The record of a build that is planned, with this fingerprint and token.
    pub(crate) fn new(
        spec: &Spec,
        generation: u32,
        targets: Vec<TargetRecord>,
        ranges: Vec<StreamRange>,
        (fingerprint, token): (String, i64),
    ) -> Self {
        Self {
            id: format!("{}{generation}", spec.name()),
            format: FORMAT,
            projection: spec.name().to_owned(),
            generation,
            projection_version: spec.version(),
            fingerprint,
            state: BuildState::Planned,
            token,
            t0: None,
            targets,
            ranges,
            adopted: false,
            swap: None,
            plan: None,
            counts: Counts::default(),
            digest: None,
            timings: Timings::default(),
            failure: None,
            pause: None,
            started_at: DateTime::now(),
            updated_at: DateTime::now(),
        }
    }

    /// Notes where the collections are, one for each target; nothing, if that isn't known.
    pub(crate) fn name_collections(&mut self, collections: &[String]) {
        for (target, collection) in self.targets.iter_mut().zip(collections) {
            target.collection.clone_from(collection);
        }
    }
}

/// What was planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PlanRecord {
    /// In which order the event store is read.
    pub strategy: Strategy,
    /// Why.
    pub reason: String,
    /// Commits expected.
    pub commits: i64,
    /// Snapshots expected.
    pub snapshots: i64,
    /// Memory the states were expected to need, in bytes.
    pub state_bytes: i64,
    /// Time expected, in seconds, without indexes.
    pub seconds: f64,
}

impl PlanRecord {
    /// The record of a choice and what is expected of one projection.
    pub(crate) fn new(choice: &Choice, estimate: &Estimate) -> Self {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            strategy: choice.strategy,
            reason: choice.reason.clone(),
            commits: signed(estimate.commits),
            snapshots: signed(estimate.snapshots),
            state_bytes: signed(estimate.state_bytes),
            seconds: estimate.seconds,
        }
    }
}

/// The collections of one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TargetRecord {
    /// Name without a number.
    pub target: String,
    /// Where it is built.
    pub staging: String,
    /// What it is published as.
    pub collection: String,
    /// UUID of the collection, once it was decided that it goes: one that is made under its name later
    /// is another's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropping: Option<bson::Uuid>,
}

impl From<GenerationNames> for TargetRecord {
    fn from(names: GenerationNames) -> Self {
        Self { target: names.target, staging: names.staging, collection: names.collection, dropping: None }
    }
}

impl From<Counts> for FoldCounts {
    fn from(counts: Counts) -> Self {
        let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
        Self {
            commits: unsigned(counts.commits),
            events: unsigned(counts.events),
            bytes: unsigned(counts.bytes),
            streams: unsigned(counts.streams),
            snapshots: unsigned(counts.snapshots),
            failed_streams: unsigned(counts.failed_streams),
        }
    }
}

/// How long the phases of a build took, in milliseconds; of the last run, if it was resumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Timings {
    /// Reading, folding and writing.
    pub build_ms: i64,
    /// Building indexes.
    pub index_ms: i64,
    /// Comparing heads with the event store.
    pub check_ms: i64,
    /// Folding everything once more and comparing it.
    #[serde(default)]
    pub verify_ms: i64,
}

/// Why a build failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Failure {
    /// Stable short name: [`crate::error::Error::code`].
    pub code: String,
    /// In words.
    pub message: String,
}
