//! Turns commits into snapshots, heads and failed streams. Pure and synchronous.
//!
//! In stream order a [`StreamFold`] keeps one state. In any other order a shard keeps one state for each
//! stream, with a [`Router`] in front of the shards, or spill frames in between.
//!
//! Invariant: the result of a stream depends on its commits alone, not on batches, order or threads.

mod batch;
mod dependents;
mod difference;
mod digest;
mod document_hashes;
mod folded;
mod folded_streams;
mod frame;
mod lookup_key;
mod lookups;
mod names;
mod route;
mod shard;
mod sort;
mod stream_order;

pub(crate) use batch::Documents;
pub(crate) use dependents::Dependents;
pub use difference::FieldDifference;
pub(crate) use difference::{field_differences, without_fields};
pub(crate) use digest::Digest;
pub(crate) use document_hashes::{DocumentHashes, DocumentMatch};
pub(crate) use folded::{FailedStream, FoldCounts, Folded};
pub(crate) use folded_streams::{FoldedStreams, Sorted};
pub(crate) use frame::documents;
pub use frame::{decode_frame, encode_frame};
pub(crate) use lookup_key::{LookupKey, print_of};
pub(crate) use lookups::Lookups;
pub use route::{Route, Router};
pub(crate) use shard::Shard;
pub use stream_order::StreamFold;
