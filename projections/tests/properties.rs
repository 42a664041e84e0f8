//! What holds for every sequence of events, sensible or not.
#![expect(clippy::unwrap_used, reason = "tests")]

use bson::{RawDocument, RawDocumentBuf, doc};
use proptest::prelude::*;
use serde_json::{Value, json};
use statefold_projections::testing::fold_stream;
use statefold_projections::{FoldFailure, NoLookup, Registered, Snapshots, squidex};

/// Every type the projections know, in some case, and some they don't.
const TYPES: [&str; 16] = [
    "AssetCreatedEventV2",
    "AssetUpdatedEventV2",
    "AssetAnnotatedEvent",
    "AssetMovedEvent",
    "AssetDeletedEvent",
    "assetcreatedevent",
    "AssetUpdated",
    "AssetRenamedEvent",
    "ASSETTAGGEDEVENT",
    "AssetFolderCreatedEvent",
    "AssetFolderRenamedEvent",
    "AssetFolderMovedEvent",
    "AssetFolderDeletedEvent",
    "AssetSomethingNewEvent",
    "ContentCreatedEventV2",
    "",
];

/// Every property the payloads have, in some case, and some they don't.
const PROPERTIES: [&str; 22] = [
    "parentId",
    "fileName",
    "FileHash",
    "mimeType",
    "slug",
    "fileVersion",
    "fileSize",
    "type",
    "metadata",
    "tags",
    "assetId",
    "assetFolderId",
    "appId",
    "actor",
    "fromRule",
    "folderName",
    "isProtected",
    "isImage",
    "pixelWidth",
    "pixelHeight",
    "x",
    "",
];

#[derive(Debug, Clone)]
struct Given {
    event_type: String,
    payload: String,
    timestamp: String,
}

fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "a", "A", "b", "ä", "ß", "", "app,hotels", "subject:x", "client:y:z", " : ", "Image", "1", "12.0",
            "00000000-0000-0000-0000-000000000000", "4827F8CB-ec10-4b38-930a-7c5ac722a12f", "\0", "😀",
        ])
        .prop_map(str::to_owned),
        1 => ".{0,8}",
    ]
}

fn odd_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        (0..3).prop_map(|number| json!(number)),
        odd_text().prop_map(Value::String),
    ];
    let key = prop_oneof![Just("$type".to_owned()), Just("a.b".to_owned()), odd_text()];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(key.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Properties of the right type more often than not.
fn payload() -> impl Strategy<Value = String> {
    let fitting = (
        prop::sample::select(vec!["a", "b", "A.png", "a.png"]),
        0_i64..3,
        prop::collection::btree_map("[ab.$]{1,2}", odd_json(), 0..3),
        prop::option::of(prop::collection::vec("[a-c]", 0..4)),
        prop::option::of(any::<bool>()),
    )
        .prop_map(|(text, number, metadata, tags, flag)| {
            json!({
                "appId": "app,hotels", "actor": "subject:x", "assetId": "1", "assetFolderId": "1",
                "parentId": text,
                "fileName": text, "folderName": text, "fileHash": number.to_string(), "fileSize": number,
                "metadata": metadata, "tags": tags, "isProtected": flag,
            })
        });
    let odd = prop::collection::vec((prop::sample::select(PROPERTIES.to_vec()), odd_json()), 0..8).prop_map(
        |pairs| {
            // By hand, so that a property can come twice.
            let pairs: Vec<String> =
                pairs.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", pairs.join(","))
        },
    );
    prop_oneof![
        8 => fitting.prop_map(|mut all| {
            let root = json!("00000000-0000-0000-0000-000000000000");
            all.as_object_mut().unwrap().insert("parentId".into(), root);
            all.to_string()
        }),
        2 => odd,
        1 => odd_json().prop_map(|value| value.to_string()),
    ]
}

/// Text that is JSON up to some place, or not at all.
fn broken(payload: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop_oneof![
        (payload, any::<prop::sample::Index>()).prop_map(|(text, at)| {
            let cut = at.index(text.chars().count() + 1);
            text.chars().take(cut).collect()
        }),
        ".{0,20}",
        (1_usize..2000).prop_map(|levels| format!("{{\"metadata\":{{\"a\":{}", "[".repeat(levels))),
        (1_usize..200).prop_map(|levels| {
            format!("{{\"metadata\":{{\"a\":{}{}}}}}", "[".repeat(levels), "]".repeat(levels))
        }),
    ]
}

fn event(payload: impl Strategy<Value = String>) -> impl Strategy<Value = Given> {
    let event_type =
        prop_oneof![9 => prop::sample::select(TYPES.to_vec()).prop_map(str::to_owned), 1 => ".{0,20}"];
    let timestamp = prop_oneof![
        3 => (0_u32..60).prop_map(|second| format!("2023-05-01T10:00:{second:02}.5Z")),
        1 => ".{0,30}",
    ];
    (event_type, payload, timestamp).prop_map(|(event_type, payload, timestamp)| Given {
        event_type,
        payload,
        timestamp,
    })
}

/// Streams that fold now and then, and streams that hardly ever do.
fn events() -> impl Strategy<Value = Vec<Given>> {
    let readable = || event(payload());
    prop_oneof![
        3 => prop::collection::vec(readable(), 0..12),
        1 => {
            let one = prop_oneof![6 => readable().boxed(), 1 => event(broken(payload())).boxed()];
            prop::collection::vec(one, 0..8)
        },
    ]
}

/// The events as commits that end where `ends` says.
fn commits(events: &[Given], ends: &[bool]) -> Vec<RawDocumentBuf> {
    let mut commits: Vec<Vec<bson::Document>> = Vec::new();
    let mut apart = true;
    for (at, event) in events.iter().enumerate() {
        let document = doc! {
            "Type": &event.event_type, "Payload": &event.payload,
            "Metadata": { "Timestamp": &event.timestamp },
        };
        match commits.last_mut().filter(|_| !apart) {
            Some(last) => last.push(document),
            None => commits.push(vec![document]),
        }
        apart = ends.get(at).copied().unwrap_or(true);
    }
    let mut offset = -1_i64;
    let commit = |events: Vec<bson::Document>| {
        let count = i64::try_from(events.len()).unwrap();
        offset += count;
        doc! {
            "Events": events, "EventStreamOffset": offset - count, "EventsCount": count, "EventStream": "s",
        }
    };
    commits.into_iter().map(commit).map(|document| RawDocumentBuf::try_from(document).unwrap()).collect()
}

fn fold(projection: &Registered, commits: &[RawDocumentBuf]) -> Result<Vec<u8>, FoldFailure> {
    let stream = format!("{}app--1", projection.spec().stream_filter().first());
    let registry = squidex::registry();
    let mut states = projection.states();
    let mut once = || fold_stream(projection, &mut *states, commits, registry.layout(), &stream, &NoLookup);
    let (first, second) = (once().map(only), once().map(only));
    assert_eq!(first, second, "the bytes differ from one fold to the next");
    first
}

fn only(snapshots: Snapshots) -> Vec<u8> {
    assert!(snapshots.len() <= 1);
    snapshots.targets().first().unwrap().documents().next().unwrap_or_default().to_vec()
}

/// The elements of a snapshot in the order of the format; those in brackets may be absent.
fn order(projection: &Registered) -> &'static str {
    match projection.spec().name() {
        "Assets" => "_id id mt mb ct cb vs ai dl (pi) fn fh fs fv (pt) md mm sl td ts at _ai",
        _ => "_id id mt mb ct cb vs ai dl (pi) fn _ai",
    }
}

fn check_snapshot(projection: &Registered, bytes: &[u8], events: usize) {
    let raw = RawDocument::from_bytes(bytes).unwrap();
    // Reading everything is the check of the bytes.
    let document = bson::Document::try_from(raw).unwrap();
    let expected: Vec<&str> = order(projection)
        .split(' ')
        .filter(|name| !name.starts_with('(') || document.contains_key(name.trim_matches(['(', ')'])))
        .map(|name| name.trim_matches(['(', ')']))
        .collect();
    let keys: Vec<&str> = document.keys().map(String::as_str).collect();
    assert_eq!(keys, expected);
    let version = document.get_i64("vs").unwrap();
    assert!(0 <= version && version < i64::try_from(events).unwrap(), "version {version} of {events} events");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_of_events_folds_to_a_valid_snapshot_or_fails_alike(
        events in events(),
        ends in prop::collection::vec(any::<bool>(), 0..12),
    ) {
        for projection in squidex::registry().projections() {
            let apart = fold(projection, &commits(&events, &[]));
            prop_assert_eq!(&apart, &fold(projection, &commits(&events, &[false; 12])));
            prop_assert_eq!(&apart, &fold(projection, &commits(&events, &ends)));
            if let Ok(bytes) = apart && !bytes.is_empty() {
                check_snapshot(projection, &bytes, events.len());
            }
        }
    }

    #[test]
    fn any_metadata_come_back_from_bson(metadata in odd_json().prop_filter("an object", Value::is_object)) {
        let payload = json!({ "appId": "app,hotels", "metadata": metadata });
        let payload = payload.to_string();
        let event_type = "AssetCreatedEventV2".to_owned();
        let events = [Given { event_type, payload, timestamp: String::new() }];
        let registry = squidex::registry();
        match fold(registry.get("Assets").unwrap(), &commits(&events, &[])) {
            Ok(bytes) => {
                let raw = RawDocument::from_bytes(&bytes).unwrap();
                let stored = raw.get_document("md").unwrap().iter().count();
                prop_assert_eq!(stored, metadata.as_object().unwrap().len());
            }
            Err(failure) => prop_assert_eq!(failure.error.code(), "element_name"),
        }
    }
}

#[test]
fn the_events_made_up_here_reach_snapshots_often_enough() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let registry = squidex::registry();
    let assets = registry.get("Assets").unwrap();
    let (mut snapshots, mut failures) = (0, 0);
    for _ in 0..200 {
        let events = events().new_tree(&mut runner).unwrap().current();
        match fold(assets, &commits(&events, &[])) {
            Ok(bytes) => snapshots += u32::from(!bytes.is_empty()),
            Err(_) => failures += 1,
        }
    }
    assert!(snapshots > 40 && failures > 40, "{snapshots} snapshots, {failures} failures of 200");
}
