//! Any text as the payload of an event: what isn't JSON is never folded, and the quick reader and the careful
//! one fold the same.
#![no_main]

use std::sync::Arc;

use bson::rawdoc;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use statefold::bench::StreamFold;
use statefold::projections::Layout;

const TYPES: [&str; 4] = ["AssetCreatedEventV2", "AssetUpdatedEventV2", "AssetAnnotatedEvent", "AssetCreatedEvent"];

fn folded(kind: &str, payload: &str) -> (usize, Vec<Vec<u8>>) {
    let registry = statefold::squidex::registry();
    let assets = registry.get("Assets").unwrap();
    let mut fold = StreamFold::new(assets, Arc::new(Layout::default()));
    let commit = rawdoc! {
        "_id": "c", "EventStream": "asset-a--b", "EventStreamOffset": -1_i64, "EventsCount": 1_i64,
        "Events": [ {
            "Type": kind, "Payload": payload, "Metadata": { "Timestamp": "2024-01-02T03:04:05Z" },
        } ],
    };
    fold.push(&commit);
    fold.finish();
    let done = fold.take();
    let documents = done.snapshots.targets().iter().flat_map(|target| target.documents().map(<[u8]>::to_vec));
    (done.failed_streams.len(), documents.collect())
}

/// The same object for the careful reader: the quick one leaves an unknown property with an object to it.
fn for_the_careful_reader(payload: &str) -> Option<String> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(payload).ok()?;
    let inside = payload.trim_ascii_end().strip_suffix('}')?;
    let comma = if object.is_empty() { "" } else { "," };
    Some(format!("{inside}{comma}\"unknown to all\":{{}}}}"))
}

fuzz_target!(|input: (u8, &str)| {
    let (kind, payload) = input;
    let kind = TYPES[usize::from(kind) % TYPES.len()];
    let first = folded(kind, payload);
    if let Some(other) = for_the_careful_reader(payload) {
        assert_eq!(first, folded(kind, &other));
    }
    if serde_json::from_str::<IgnoredAny>(payload).is_err() {
        assert_eq!(first.0, 1, "{payload:?} isn't JSON");
    }
    for document in &first.1 {
        assert!(bson::Document::from_reader(&document[..]).is_ok());
    }
});
