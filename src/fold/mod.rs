//! Turns commits into snapshots, heads and failed streams. Pure and synchronous.
//!
//! In stream order a [`StreamFold`] needs one state; in any order a shard keeps one for each stream,
//! with a [`Router`] in front of the shards, or spill frames in between.
//!
//! Invariant: the result of a stream depends on its commits alone, not on batches, order or threads.

mod arrived;
mod batch;
mod difference;
mod digest;
mod frame;
mod names;
mod route;
mod shard;
mod stored;
mod stream_order;

pub(crate) use arrived::{FoldedStreams, Sorted};
pub(crate) use batch::Documents;
pub(crate) use batch::Place;
pub use difference::FieldDifference;
pub(crate) use difference::field_differences;
pub(crate) use digest::Digest;
pub(crate) use frame::documents;
pub use frame::{decode_frame, encode_frame};
pub use route::{Route, Router};
pub(crate) use shard::Shard;
pub(crate) use stored::{Compared, DocumentHashes};
pub use stream_order::StreamFold;
pub(crate) use stream_order::{FailedStream, FoldCounts, Folded};
