//! Turns commits into snapshots, heads and dead letters. Pure and synchronous.
//!
//! Invariant: the result of a stream depends on its commits alone, not on batches or threads.

mod digest;
mod stream_order;

pub use digest::Digest;
pub use stream_order::{DeadLetter, FoldCounts, Folded, StreamFold};
