//! Any stream of events gives the same valid documents, however it was split into commits.

use bson::{RawDocument, RawDocumentBuf, doc};
use proptest::prelude::*;
use statefold_projections::squidex::Contents;
use statefold_projections::testing::fold_stream;
use statefold_projections::{FoldFailure, Layout, Lookup, Registered};

use crate::support::{app, component, field, schema};

const TYPES: [&str; 20] = [
    "ContentCreatedEventV2",
    "ContentUpdatedEvent",
    "ContentUpdatedEvent",
    "ContentUpdatedEvent",
    "ContentDraftCreatedEvent",
    "ContentDraftCreatedEvent",
    "ContentDraftDeletedEvent",
    "ContentStatusChangedEventV2",
    "contentstatuschangedeventv2",
    "ContentStatusScheduledEvent",
    "ContentSchedulingCancelledEvent",
    "ContentDeletedEvent",
    "ContentCreatedEvent",
    "ContentStatusChangedEvent",
    "ContentUpdateProposedEvent",
    "ContentChangesPublishedEvent",
    "ContentChangesDiscardedEvent",
    "ContentPublishedEvent",
    "AssetCreatedEventV2",
    "",
];

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "r", "schemaId", "$x", "x.y", ""])
}

fn object(
    key: impl Strategy<Value = &'static str>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    prop::collection::vec((key, value), 0..4).prop_map(|pairs| {
        let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", pairs.join(","))
    })
}

/// A value; few ones are different, so that many are equal.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["null", "0", "-0.0", "1", "true", "\"p\"", "\"q\"", "1e400"]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            object(key(), inner),
        ]
    })
}

fn data() -> impl Strategy<Value = String> {
    let partition = prop::sample::select(vec!["iv", "en", "EN", "de", "Xx", "xX"]);
    let field = prop_oneof![8 => object(partition, value()), 1 => Just("null".to_owned()), 1 => value()];
    let name = prop::sample::select(vec!["r", "c", "t", "x.y"]);
    prop_oneof![30 => object(name, field), 1 => Just("null".to_owned())]
}

#[derive(Debug, Clone)]
struct Given {
    event_type: &'static str,
    payload: String,
}

fn event() -> impl Strategy<Value = Given> {
    let status = prop::sample::select(vec!["Published", "Draft", "published"]);
    let property = prop::sample::select(vec!["data", "migratedData", "Data", "x"]);
    let payload = (status, property, data(), data()).prop_map(|(status, property, first, second)| {
        format!(
            r#"{{"status":"{status}","data":{first},"{property}":{second},"dueTime":"2023-05-01T10:00:00Z",
            "contentId":"1","schemaId":"posts,blog","appId":"app,hotels","actor":"subject:a"}}"#
        )
    });
    (prop::sample::select(TYPES.to_vec()), payload)
        .prop_map(|(event_type, payload)| Given { event_type, payload })
}

/// Streams that begin with a creation more often than not.
fn events() -> impl Strategy<Value = Vec<Given>> {
    (any::<bool>(), prop::collection::vec(event(), 0..10)).prop_map(|(is_created, mut events)| {
        if let Some(first) = events.first_mut().filter(|_| is_created) {
            first.event_type = "ContentCreatedEventV2";
        }
        events
    })
}

/// The events as commits that end where `ends` says.
fn commits(events: &[Given], ends: &[bool]) -> Vec<RawDocumentBuf> {
    let (mut commits, mut open) = (Vec::new(), Vec::new());
    let mut offset = -1_i64;
    for (at, event) in events.iter().enumerate() {
        open.push(doc! {
            "Type": event.event_type, "Payload": &event.payload,
            "Metadata": { "Timestamp": format!("2023-05-01T10:00:{:02}Z", at % 60) },
        });
        if at + 1 == events.len() || ends.get(at).copied().unwrap_or(true) {
            let count = i64::try_from(open.len()).unwrap();
            let commit = doc! {
                "Events": std::mem::take(&mut open), "EventStreamOffset": offset, "EventsCount": count,
                "EventStream": "content-app--1",
            };
            commits.push(RawDocumentBuf::try_from(&commit).unwrap());
            offset += count;
        }
    }
    commits
}

struct Snapshots([RawDocumentBuf; 3]);

impl Lookup for Snapshots {
    fn snapshot(&self, target: &str, id: &str) -> Option<&RawDocument> {
        let [app, posts, part] = &self.0;
        match (target, id) {
            ("States_Apps", "app") => Some(app),
            ("States_Schemas", "app--posts") => Some(posts),
            ("States_Schemas", "app--p") => Some(part),
            _ => None,
        }
    }
}

fn others() -> Snapshots {
    let mut text = field("t", "StringField");
    text.insert("partitioning", "language");
    let fields = [component("c", "ComponentsField", &["p", "q"]), field("r", "ReferencesField"), text];
    let documents = [app(&["en", "xx"]), schema("posts", &fields), schema("p", &[field("r", "References")])];
    Snapshots(documents.map(|document| RawDocumentBuf::try_from(&document).unwrap()))
}

fn fold(commits: &[RawDocumentBuf]) -> Result<Vec<Vec<u8>>, FoldFailure> {
    let projection = Registered::new(Contents::new());
    let mut states = projection.states();
    let (layout, stream) = (Layout::default(), "content-app--1");
    let mut once = || {
        let snapshots = fold_stream(&projection, &mut *states, commits, &layout, stream, &others())?;
        Ok(snapshots.targets().iter().flat_map(|target| target.documents().map(<[u8]>::to_vec)).collect())
    };
    let (first, second) = (once(), once());
    assert_eq!(first, second, "the bytes differ from one fold to the next");
    first
}

fn check(bytes: &[u8]) {
    // Reading everything is the check of the bytes.
    let document = bson::Document::try_from(RawDocument::from_bytes(bytes).unwrap()).unwrap();
    let optional = ["do", "ns", "sj", "sa", "dd", "ts", "is"];
    let expected: Vec<&str> = "_id id mt mb ct cb vs ai dl si do ns ss sj _ai _si rf sa dd ts is"
        .split(' ')
        .filter(|name| !optional.contains(name) || document.contains_key(*name))
        .collect();
    let keys: Vec<&str> = document.keys().map(String::as_str).collect();
    assert_eq!(keys, expected);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn any_split_into_commits_gives_the_same_bytes(
        events in events(),
        ends in prop::collection::vec(any::<bool>(), 0..10),
    ) {
        let apart = fold(&commits(&events, &[]));
        prop_assert_eq!(&apart, &fold(&commits(&events, &[false; 10])));
        prop_assert_eq!(&apart, &fold(&commits(&events, &ends)));
        if let Ok(documents) = apart {
            prop_assert!(documents.len() <= 2);
            documents.iter().for_each(|document| check(document));
        }
    }
}

#[test]
fn the_events_made_up_here_reach_documents_often_enough() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut all, mut published, mut failures) = (0, 0, 0);
    for _ in 0..300 {
        let events = events().new_tree(&mut runner).unwrap().current();
        match fold(&commits(&events, &[])).map(|documents| documents.len()) {
            Ok(count) => {
                all += u32::from(count > 0);
                published += u32::from(count > 1);
            }
            Err(_) => failures += 1,
        }
    }
    assert!(all > 40 && published > 15 && failures > 40, "{all}, {published}, {failures} of 300");
}
