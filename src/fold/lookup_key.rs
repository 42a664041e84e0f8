//! Keys of looked up snapshots, and what tells their versions apart.

use std::sync::Arc;

use bson::RawDocument;
use xxhash_rust::xxh3::xxh3_64;

/// Names a snapshot of another projection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LookupKey {
    /// Target of the other projection, without the number of a generation.
    pub(crate) target: String,
    /// Its `_id`.
    pub(crate) id: String,
}

/// A snapshot that was looked up, and the [print](print_of) of what was found.
pub(crate) type LookedUp = (Arc<LookupKey>, u64);

/// Tells two versions of a snapshot apart: XXH3, 64 bits, over its bytes; 0 if there is none.
pub(crate) fn print_of(snapshot: Option<&RawDocument>) -> u64 {
    snapshot.map_or(0, |snapshot| xxh3_64(snapshot.as_bytes()).max(1))
}
