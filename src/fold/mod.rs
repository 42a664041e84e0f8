//! Turns commits into snapshots, heads and dead letters. Pure and synchronous.
//!
//! Invariant: the result of a stream depends on its commits alone, not on batches or threads.

mod arrived;
mod batch;
mod digest;
mod names;
mod route;
mod shard;
mod spill;
mod stream_order;

pub(crate) use arrived::{Arrived, Sorted};
pub(crate) use batch::{Documents, Place};
pub use digest::Digest;
pub(crate) use route::{Route, Router};
pub(crate) use shard::Shard;
pub use spill::{BrokenFrame, decode_frame, documents, encode_frame};
pub use stream_order::{DeadLetter, FoldCounts, Folded, StreamFold};
