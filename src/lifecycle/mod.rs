//! The life of a build as values: states and legal moves, fingerprint, heads, error threshold;
//! the lease and the verdict at a server's start.
//!
//! Nothing here waits or talks to a server; `store` makes each move conditional on the token.

mod change;
mod dirty;
mod fencing;
mod fingerprint;
mod heads;
mod hold;
mod lease;
mod limit;
mod mode;
mod retention;
mod share;
mod start;
mod state;

pub(crate) use change::{AFTER, BEFORE, Change, ChangeOf};
pub(crate) use dirty::{Dirty, Taken, Unnamed};
pub use fencing::{Fencing, FencingReason};
pub(crate) use fingerprint::{fingerprint, is_fingerprint_of};
pub(crate) use heads::{Head, Heads, HeadsDifference, identity, stream_hash};
pub(crate) use hold::{Latencies, Member, PauseReason, Replication, ReplicationLag};
pub(crate) use lease::{Beat, Challenger, Claim, Tenure, jittered};
pub use limit::ErrorLimit;
pub use mode::CutOverMode;
pub(crate) use mode::aside_name;
pub(crate) use retention::{
    Droppable, KeepRules, Known, KnownBuild, KnownGeneration, KnownInstance, KnownPointer, KnownTarget,
};
pub use share::{Share, Verify};
pub use start::Behind;
pub(crate) use start::{ProjectionState, StartVerdict, judge_start};
pub use state::BuildState;
