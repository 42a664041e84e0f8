//! Pure steps, for the benchmarks and fuzz targets of this workspace only; they may change at any time.

use bson::{Document, Timestamp};
use statefold_projections::StreamFilter;

use crate::lifecycle::{Change, Dirty, Unnamed};

pub use crate::fold::{Route, Router, StreamFold, decode_frame, encode_frame};

/// Number of streams that a change makes dirty, and whether certainly no others are. `stream`: the field with
/// the name of a commit's stream.
#[must_use]
pub fn marked_by(change: &Document, stream: &str, filter: &StreamFilter) -> (usize, bool) {
    let mut dirty = Dirty::new(1 << 20);
    let read = Change::read(change, stream);
    read.mark(filter, &mut dirty, read.at.unwrap_or(Timestamp { time: 0, increment: 0 }));
    let marked = dirty.len();
    (marked, dirty.take().unnamed == Unnamed::Clean)
}
