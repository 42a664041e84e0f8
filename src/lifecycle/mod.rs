//! The life of a build as values: states and legal moves, fingerprint, heads, error threshold;
//! the lease and the verdict at a server's start.
//!
//! Nothing here waits or talks to a server; `store` makes each move conditional on the token.

mod dirty;
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

pub use dirty::Dirty;
pub use fingerprint::fingerprint;
pub use heads::{Heads, HeadsDifference, stream_hash};
pub use hold::{PauseReason, Latencies, Member, Replication, ReplicationLag};
pub use lease::{Beat, Challenger, Claim, Tenure, jittered};
pub use limit::ErrorLimit;
pub use mode::{CutOverMode, aside_name};
pub use retention::{
    Droppable, KeepRules, Known, KnownBuild, KnownGeneration, KnownInstance, KnownPointer, KnownTarget,
};
pub use share::{Share, Verify};
pub use start::{Behind, ProjectionState, StartVerdict, judge_start};
pub use state::BuildState;
