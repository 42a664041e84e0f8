//! Whole and broken commits; the quick reader compared with the careful one.
#![expect(clippy::unwrap_used, reason = "tests")]

use bson::{Bson, RawDocumentBuf, doc};
use proptest::prelude::*;

use super::*;

fn raw(document: bson::Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

#[test]
fn numbers_follow_from_the_offset_and_the_place_in_the_commit() {
    let layout = Layout::default();
    let document = raw(doc! {
        "_id": "x",
        "Events": [
            {"Type": "A", "Payload": "{}", "Metadata": {"h": "v"}},
            {"Type": "B", "Payload": {"n": 1}},
        ],
        "EventStreamOffset": 4_i64, "EventsCount": 2_i64, "EventStream": "s",
    });
    let commit = Commit::decode(&document, &layout).unwrap();
    assert_eq!((commit.first_number, commit.count, commit.next_number()), (5, 2, 7));
    let events: Vec<_> = commit.events().map(Result::unwrap).collect();
    assert_eq!(
        events.iter().map(|event| (event.number, event.event_type)).collect::<Vec<_>>(),
        [(5, "A"), (6, "B")]
    );
    assert_eq!(events.first().unwrap().header_str("h"), Some("v"));
    assert!(events.last().unwrap().metadata.is_none());
}

#[test]
fn what_is_not_a_commit_is_named() {
    let layout = Layout::default();
    let cases = [
        (doc! {"Events": [], "EventStreamOffset": 0}, "the commit has no `EventStream`"),
        (doc! {"EventStream": 1}, "`EventStream` of the commit is a Int32, expected string"),
        (
            doc! {"EventStream": "s", "Events": [], "EventStreamOffset": 0, "EventsCount": 3},
            "the commit says it has 3 events, but holds 0",
        ),
    ];
    for (document, message) in cases {
        assert_eq!(Commit::decode(&raw(document), &layout).unwrap_err().to_string(), message);
    }
}

#[test]
fn an_event_without_a_type_fails_alone() {
    let layout = Layout::default();
    let document = raw(doc! {
        "Events": [{"Payload": "{}"}, 7, {"Type": "T", "Payload": "{}"}],
        "EventStreamOffset": -1, "EventStream": "s",
    });
    let commit = Commit::decode(&document, &layout).unwrap();
    let events: Vec<_> = commit.events().collect();
    assert!(events.first().unwrap().is_err() && events.get(1).unwrap().is_err());
    assert_eq!(events.get(2).unwrap().as_ref().unwrap().number, 2);
}

fn field() -> impl Strategy<Value = (String, Bson)> {
    let name = prop::sample::select(vec![
        "_id",
        "Events",
        "EventStream",
        "EventStreamOffset",
        "EventsCount",
        "Timestamp",
        "Ünknown",
    ]);
    let value = prop_oneof![
        Just(Bson::Null),
        Just(Bson::Undefined),
        ".{0,4}".prop_map(Bson::String),
        (-1..3_i32).prop_map(Bson::Int32),
        (-1..3_i64).prop_map(Bson::Int64),
        (-1..3_i32).prop_map(|number| Bson::Double(number.into())),
        Just(Bson::Array(vec![])),
        Just(Bson::Document(doc! {"Type": "T", "Payload": "{}"})),
    ];
    (name.prop_map(str::to_owned), value)
}

fn event_field() -> impl Strategy<Value = (String, Bson)> {
    let name = prop::sample::select(vec!["Type", "Payload", "Metadata", "Other", "Ünknown"]);
    let value = prop_oneof![
        4 => ".{0,4}".prop_map(Bson::String), 1 => Just(Bson::Int32(1)), 1 => Just(Bson::Symbol("s".into())),
        2 => Just(Bson::Document(doc! {"Timestamp": "t"})),
    ];
    (name.prop_map(str::to_owned), value)
}

/// Commits with an extra, a missing or a mistyped field; some of them truncated or changed.
fn commits() -> impl Strategy<Value = RawDocumentBuf> {
    let plain = doc! {"Type": "A", "Payload": "{}", "Metadata": {"Timestamp": "t"}};
    let event = prop_oneof![
        6 => Just(Bson::Document(plain)),
        2 => prop::collection::vec(event_field(), 0..5)
            .prop_map(|pairs| Bson::Document(pairs.into_iter().collect())),
        1 => Just(Bson::Int32(1)),
    ];
    let events = prop::collection::vec(event, 0..4);
    let extra = prop::collection::vec((any::<prop::sample::Index>(), field()), 0..3);
    let change = (any::<prop::sample::Index>(), prop_oneof![Just(0), 1_u8..20, any::<u8>()]);
    let changes = prop_oneof![Just(Vec::new()), prop::collection::vec(change, 1..3)];
    (events, any::<bool>(), extra, changes).prop_map(|(events, counted, extra, changes)| {
        let count = i32::try_from(events.len()).unwrap();
        let mut all: Vec<(String, Bson)> = vec![
            ("_id".into(), "x".into()),
            ("Events".into(), events.into()),
            ("EventStreamOffset".into(), (-1_i64).into()),
        ];
        all.extend(counted.then(|| ("EventsCount".into(), count.into())));
        all.push(("EventStream".into(), "s".into()));
        for (at, field) in extra {
            all.insert(at.index(all.len() + 1), field);
        }
        let mut document = RawDocumentBuf::new();
        for (name, value) in all {
            document
                .append(bson::raw::CString::try_from(name).unwrap(), bson::RawBson::try_from(value).unwrap());
        }
        let mut bytes = document.into_bytes();
        let end = bytes.len() - 1;
        for (at, byte) in changes {
            *bytes.get_mut(4 + at.index(end - 4)).unwrap() = byte;
        }
        RawDocumentBuf::from_bytes(bytes).unwrap()
    })
}

/// The events as text: all of them, or those before the first unreadable one, and its error.
fn seen(commit: &Commit<'_>) -> Vec<String> {
    let header = |event: Event<'_>| (event.header_str("Timestamp").map(str::to_owned), format!("{event:?}"));
    commit.events().map(|event| format!("{:?}", event.map(header))).collect()
}

fn seen_carefully(commit: &Commit<'_>) -> Vec<String> {
    let get = |event: Event<'_>| {
        let header = event.metadata.and_then(|metadata| metadata.get("Timestamp").ok().flatten());
        (header.and_then(|value| value.as_str()).map(str::to_owned), format!("{event:?}"))
    };
    let mut events = Events {
        commit: *commit,
        number: commit.first_number,
        quick: Walk::over(commit.events),
        passed: 0,
        careful: None,
    };
    std::iter::from_fn(|| events.next_carefully()).map(|event| format!("{:?}", event.map(get))).collect()
}

/// Returns true if the bson crate can read all values, including those of unused fields.
fn is_readable(document: &RawDocument) -> bool {
    document.iter().all(|element| {
        element.is_ok_and(|(_, value)| match value {
            bson::RawBsonRef::Document(inner) => is_readable(inner),
            bson::RawBsonRef::Array(array) => {
                RawDocument::from_bytes(array.as_bytes()).is_ok_and(is_readable)
            }
            _ => true,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 5000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn the_quick_way_finds_what_the_careful_one_does_or_gives_up(document in commits()) {
        let layout = Layout::default();
        let quick = Commit::decode_quickly(&document, &layout);
        let careful = Commit::decode_carefully(&document, &layout);
        if let Ok(commit) = careful.as_ref() {
            prop_assert_eq!(Commit::stream_of(&document, &layout), Some(commit.stream));
            if is_readable(&document) {
                prop_assert_eq!(seen(commit), seen_carefully(commit));
            }
        }
        match (quick, careful) {
            (Ok(quick), Ok(careful)) => prop_assert_eq!(format!("{quick:?}"), format!("{careful:?}")),
            // An unused value may be broken.
            (Ok(_), Err(_)) => prop_assert!(!is_readable(&document)),
            (Err(Unsupported), _) => {}
        }
    }
}

#[test]
fn a_plain_commit_is_read_the_quick_way() {
    let layout = Layout::default();
    let document = raw(doc! {
        "_id": "x", "Timestamp": bson::Timestamp { time: 1, increment: 1 },
        "Events": [{"Type": "A", "Payload": "{}"}],
        "EventStreamOffset": -1_i64, "EventsCount": 1_i64, "EventStream": "s",
    });
    assert_eq!(Commit::decode_quickly(&document, &layout).unwrap().count, 1);
    assert_eq!(Commit::stream_of(&document, &layout), Some("s"));
    assert_eq!(Commit::stream_of(&raw(doc! {"EventStream": 1, "Events": 2}), &layout), None);
}

#[test]
fn of_several_fields_with_one_name_the_last_one_counts() {
    let layout = Layout::default();
    let mut document = raw(doc! {
        "EventStream": "first", "EventStreamOffset": 7_i64, "Events": [], "EventsCount": 0_i64,
    });
    document.append(bson::cstr!("EventStreamOffset"), 8_i32);
    document.append(bson::cstr!("EventStream"), "last");
    let commit = Commit::decode(&document, &layout).unwrap();
    assert_eq!((commit.stream, commit.offset), ("last", 8));
    assert_eq!(Commit::stream_of(&document, &layout), Some("last"));
    assert_eq!(Commit::offset_of(&document, &layout), Some(8));
}

#[test]
fn an_id_of_any_type_is_found_wherever_it_is() {
    for id in [bson::Bson::from("x"), bson::oid::ObjectId::new().into(), doc! { "a": 1 }.into(), 1.5.into()] {
        for document in [doc! { "_id": &id, "Events": [] }, doc! { "a": bson::Bson::MinKey, "_id": &id }] {
            let document = raw(document);
            assert_eq!(Commit::id_of(&document), document.get("_id").unwrap());
        }
    }
    assert_eq!(Commit::id_of(&raw(doc! { "a": 1 })), None);
}

#[test]
fn an_unused_value_that_is_no_text_hides_nothing() {
    let layout = Layout::default();
    let document = raw(doc! {
        "_id": "\u{1}", "Events": [], "EventStreamOffset": 8_i64, "EventsCount": 0_i64, "EventStream": "s",
    });
    // The server doesn't look whether a string is UTF-8.
    let mut bytes = document.into_bytes();
    let at = bytes.iter().position(|byte| *byte == 1).unwrap();
    *bytes.get_mut(at).unwrap() = 0xFF;
    let document = bson::RawDocumentBuf::from_bytes(bytes).unwrap();
    let commit = Commit::decode(&document, &layout).unwrap();
    assert_eq!((commit.stream, commit.offset), ("s", 8));
    assert_eq!(Commit::stream_of(&document, &layout), Some("s"));
    assert_eq!(Commit::offset_of(&document, &layout), Some(8));
    assert_eq!(Commit::id_of(&document), None);
    // Nor to the careful reader, which the rare type calls for.
    let mut document = document;
    document.append(bson::cstr!("Rare"), bson::RawBson::MinKey);
    assert_eq!(Commit::stream_of(&document, &layout), Some("s"));
    assert_eq!(Commit::offset_of(&document, &layout), Some(8));
}
