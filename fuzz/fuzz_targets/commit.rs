//! Any bytes as a commit: the quick reader and the careful one agree, and nothing panics.
#![no_main]

use bson::RawDocument;
use libfuzzer_sys::fuzz_target;
use statefold::projections::{Commit, Layout};

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = RawDocument::from_bytes(bytes) else { return };
    let layout = Layout::default();
    let name = Commit::stream_of(document, &layout);
    if let Ok(commit) = Commit::decode(document, &layout) {
        assert_eq!(name, Some(commit.stream));
        assert_eq!(Commit::offset_of(document, &layout), Some(commit.offset));
        let events: Vec<_> = commit.events().collect();
        assert_eq!(events.len() as i64, commit.count);
    }
});
