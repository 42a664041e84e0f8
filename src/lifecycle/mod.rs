//! The life of a build as values: states and legal moves, fingerprint, heads, error threshold.
//!
//! Nothing here waits or talks to a server; `store` makes each move conditional on the token.

mod fingerprint;
mod heads;
mod limit;
mod state;

pub use fingerprint::fingerprint;
pub use heads::{Heads, HeadsDifference, stream_hash};
pub use limit::ErrorLimit;
pub use state::BuildState;
