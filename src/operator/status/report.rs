//! What a status tells.

use serde::Serialize;

use crate::lifecycle::{BuildState, CutOverMode};
use crate::next_step::NextStep;
use crate::observe::{InstanceRow, Leader, WorkerRow};
use crate::operator::status::lag::Lag;
use crate::store::Fence;

/// State of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Standing {
    /// The active generation has the registered version.
    UpToDate,
    /// The active generation has an older version, or there is none.
    Behind,
    /// The active generation has a newer version than this program.
    Ahead,
    /// The pointer names a collection that doesn't exist.
    Broken,
    /// There is no event store.
    NoEventStore,
}

impl Standing {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UpToDate => "up to date",
            Self::Behind => "behind",
            Self::Ahead => "newer than this program",
            Self::Broken => "its collection is missing",
            Self::NoEventStore => "no event store",
        }
    }
}

/// Status of a database.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StatusReport {
    /// Name of the database.
    pub database: String,
    /// Version of the server.
    pub server_version: String,
    /// Whether there is an event store.
    pub has_event_store: bool,
    /// If not: the databases that have one, as far as they can be listed.
    pub databases_with_events: Vec<String>,
    /// The application's migration lock.
    pub lock: LockStatus,
    /// Whether the event store takes events: no fence of ours stands.
    pub can_write: bool,
    /// The fence around the event store, if one of ours stands.
    pub fence: Option<Fence>,
    /// Who leads, if somebody does.
    pub leader: Option<Leader>,
    /// Whether that process is at work, as far as can be told: a leader that died keeps the lease for a
    /// while.
    pub is_led: bool,
    /// Who follows: keeps active generations current, if somebody does.
    pub follower: Option<Leader>,
    /// Whether that process is at work, as far as can be told.
    pub is_followed: bool,
    /// The servers that run.
    pub instances: Vec<InstanceRow>,
    /// The processes that take part in builds, or wait for one.
    pub workers: Vec<WorkerRow>,
    /// The registered projections.
    pub projections: Vec<ProjectionStatus>,
    /// What to do next. Not serialized: how a step is typed or called is said by whoever shows it.
    #[serde(skip)]
    pub next_steps: Vec<NextStep>,
}

/// State of the application's migration lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LockStatus {
    /// Whether it is held.
    pub held: bool,
    /// Who holds it, in words.
    pub holder: Option<String>,
}

/// Status of a projection.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProjectionStatus {
    /// Name of the projection.
    pub projection: String,
    /// Registered version.
    pub projection_version: u32,
    /// Its state.
    pub state: Standing,
    /// The active generation.
    pub active_generation: Option<u32>,
    /// Version it was built with.
    pub active_version: Option<u32>,
    /// Whether it was built with another definition of that version than this program has, or with other
    /// settings.
    pub redefined: bool,
    /// Its collections.
    pub collections: Vec<String>,
    /// How readers find it.
    pub mode: Option<CutOverMode>,
    /// Views that should show it and don't, in words: the next rebuild or cut-over puts them right.
    pub views_elsewhere: Vec<String>,
    /// Snapshots in it, from the server's statistics.
    pub snapshots: Option<u64>,
    /// Digest when it was built.
    pub digest: Option<String>,
    /// Streams missing in it because they could not be folded.
    pub failed_streams: u64,
    /// Whether a cut-over without a fence died before everything was folded into the active generation: the
    /// next start does it. `lag` has the number of streams.
    pub undrained: bool,
    /// Events that statefold didn't fold into the active generation; absent if a short look can't tell.
    pub lag: Option<Lag>,
    /// Generations that were active before.
    pub previous_generations: Vec<u32>,
    /// The unfinished build, if there is one.
    pub building: Option<BuildingStatus>,
}

/// An unfinished build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BuildingStatus {
    /// Its id.
    pub build: String,
    /// Version of the projection it is built with.
    pub projection_version: u32,
    /// Its state.
    pub state: BuildState,
    /// Finished partitions.
    pub partitions_done: usize,
    /// All partitions.
    pub partitions: usize,
    /// Streams that could not be folded.
    pub failed_streams: u64,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// The same as a short name: [`crate::Error::code`].
    pub failure_code: Option<String>,
    /// How readers are to find it, if that was asked for when its cut-over was postponed.
    pub mode: Option<CutOverMode>,
    /// By whom it is paused, since when and why, if it is.
    pub paused: Option<String>,
    /// Whether it is complete and verified, so that `cutover` can make it active.
    pub can_cut_over: bool,
    /// Servers that run and can't read its version: a cut-over by `rename` or `view` waits for them.
    pub older_servers: Vec<String>,
}

impl StatusReport {
    /// Whether a projection needs a rebuild.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.projections.iter().any(|status| matches!(status.state, Standing::Behind | Standing::Broken))
    }
}
