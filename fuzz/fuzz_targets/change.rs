//! Any bytes as a change of the event store: nothing panics, and it makes at most two streams dirty.
#![no_main]

use bson::{Document, RawDocument};
use libfuzzer_sys::fuzz_target;
use statefold::bench::marked_by;
use statefold::projections::StreamFilter;

fuzz_target!(|bytes: &[u8]| {
    let Some(change) = RawDocument::from_bytes(bytes).ok().and_then(|raw| Document::try_from(raw).ok()) else {
        return;
    };
    let filter = StreamFilter::prefix("a").without_suffix("--deleted");
    let (marked, _) = marked_by(&change, "EventStream", &filter);
    assert!(marked <= 2);
});
