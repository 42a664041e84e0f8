//! `Statefold_Builds`: one document per generation that is or was being built.

use bson::{DateTime, Timestamp};
use serde::{Deserialize, Serialize};
use statefold_projections::{Spec, Target};

use crate::fold::FoldCounts;
use crate::lifecycle::{BuildState, CutOverMode};
use crate::plan::{Choice, Estimate, GenerationNames, Strategy, StreamRange};
use crate::store::connection::FORMAT;
use crate::store::records::checkpoint::Counts;
use crate::store::records::pause::PauseRecord;
use crate::store::records::swap::{AsideRecord, SwapRecord};

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
    /// Fingerprint of the definition it is built with: [`crate::lifecycle::fingerprint`].
    pub fingerprint: String,
    /// Its state.
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
    /// The shard that each partition is read from, in a sharded cluster; empty for one that is on several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<String>,
    /// Whether its partitions are open to all workers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// Where processes that read the event store in parts hand over what others fold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<ExchangeRecord>,
    /// Whether its collections were there already, built by an application.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// Whether it was complete and verified once: what is left since then is to catch up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub completed: bool,
    /// How readers are to find it, if that was asked for when its cut-over was postponed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CutOverMode>,
    /// The names it is about to take over from the active generation, one for each target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<Vec<SwapRecord>>,
    /// Copies of the collections that it replaces or has replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asides: Vec<AsideRecord>,
    /// The plan of its last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRecord>,
    /// Counts of what was folded, once all partitions are done.
    pub counts: Counts,
    /// Digest of all snapshots, once all partitions are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How long it took.
    pub timings: Timings,
    /// The last failure, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Its pause, if there is one. Never written with the record: it belongs to whoever pauses and resumes.
    #[serde(default, skip_serializing)]
    pub pause: Option<PauseRecord>,
    /// When it was planned.
    pub started_at: DateTime,
    /// When this record last changed.
    pub updated_at: DateTime,
}

/// An exchange of commits between the processes of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ExchangeRecord {
    /// The collection of the frames.
    pub collection: String,
    /// Number of parts that are read.
    pub parts: u32,
    /// Numbers of the partitions whose commits are handed over.
    pub partitions: Vec<u32>,
}

/// The definition a build is made with, and the process that makes it.
#[derive(Debug, Clone)]
pub(crate) struct BuildOrigin {
    /// Fingerprint of the definition: [`crate::lifecycle::fingerprint`].
    pub fingerprint: String,
    /// Token of the process.
    pub token: i64,
}

impl BuildRecord {
    /// The record of a planned build.
    pub(crate) fn new(
        spec: &Spec,
        generation: u32,
        targets: Vec<TargetRecord>,
        ranges: Vec<StreamRange>,
        BuildOrigin { fingerprint, token }: BuildOrigin,
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
            shards: Vec::new(),
            shared: false,
            exchange: None,
            adopted: false,
            completed: false,
            mode: None,
            swap: None,
            asides: Vec::new(),
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

    /// Whether a cut-over may begin from it: nothing is left to do but to catch up.
    pub(crate) fn can_cut_over(&self) -> bool {
        let is_finished = matches!(self.state, BuildState::Verified | BuildState::Published);
        is_finished || self.completed && self.state.is_resumable()
    }

    /// The collection with the snapshots of a target: staging, published, or with the name of another
    /// generation.
    pub(crate) fn collection_of(&self, target: usize) -> Option<&str> {
        if let Some(swap) = self.swap.as_ref().and_then(|all| all.get(target)) {
            return Some(if swap.done { &swap.into } else { &swap.from });
        }
        let found = self.targets.get(target)?;
        Some(if self.state.is_resumable() { &found.staging } else { &found.collection })
    }

    /// Sets the names of the collections, one for each target; does nothing for an empty list.
    pub(crate) fn name_collections(&mut self, collections: &[String]) {
        for (target, collection) in self.targets.iter_mut().zip(collections) {
            target.collection.clone_from(collection);
        }
    }
}

/// The plan of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PlanRecord {
    /// The order in which the event store is read.
    pub strategy: Strategy,
    /// The reason for the strategy.
    pub reason: String,
    /// Expected number of commits.
    pub commits: i64,
    /// Expected number of snapshots.
    pub snapshots: i64,
    /// Expected memory of the states, in bytes.
    pub state_bytes: i64,
    /// Expected time in seconds, without index builds.
    pub seconds: f64,
}

impl PlanRecord {
    /// The record of a strategy and the estimate of one projection.
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
    /// Name of the target, without a number.
    pub target: String,
    /// The staging collection.
    pub staging: String,
    /// The published collection.
    pub collection: String,
    /// UUID of the collection, once it is to be dropped: a collection created under its name later is another
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropping: Option<bson::Uuid>,
    /// Where its collections are; absent if that is the database of the event store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceRecord>,
}

/// The database of a target's collections, other than that of the event store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PlaceRecord {
    /// Name of the database.
    pub database: String,
    /// What the names have before the number; the rest of the target's name is behind it.
    pub stem: String,
}

impl PlaceRecord {
    /// The place of a target, unless it is in the database of this name.
    pub(crate) fn of(target: &Target, own: &str) -> Option<Self> {
        let database = target.database().filter(|name| *name != own)?;
        Some(Self { database: database.to_owned(), stem: target.parts().0.to_owned() })
    }
}

impl TargetRecord {
    /// Record of a target, in an event store's database of this name.
    pub(crate) fn new(target: &Target, names: GenerationNames, own: &str) -> Self {
        let GenerationNames { target: name, staging, collection } = names;
        Self { target: name, staging, collection, dropping: None, place: PlaceRecord::of(target, own) }
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
            remarks: unsigned(counts.remarks),
        }
    }
}

/// Durations of the phases of a build, in milliseconds; of the last run, if it was resumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Timings {
    /// Reading, folding and writing.
    pub build_ms: i64,
    /// Building indexes.
    pub index_ms: i64,
    /// Comparing heads with the event store.
    pub check_ms: i64,
    /// Refolding everything and comparing it.
    #[serde(default)]
    pub verify_ms: i64,
}

/// The failure of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Failure {
    /// Stable short name: [`crate::error::Error::code`].
    pub code: String,
    /// The reason in words.
    pub message: String,
}
