//! How many events of contents one core folds in a second: run it alone and in release mode, with
//! `cargo test --release -p statefold-projections --test contents speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use bson::{Document, RawDocumentBuf, doc};
use serde_json::json;
use statefold_projections::squidex::Contents;
use statefold_projections::{Commit, Layout, Lookup, Registered, Snapshots};

use crate::support::{app, component, field, payload, schema};

struct Others([RawDocumentBuf; 2]);

impl Lookup for Others {
    fn snapshot(&self, target: &str, _id: &str) -> Option<&bson::RawDocument> {
        let [app, schema] = &self.0;
        Some(if target == "States_Apps" { app } else { schema })
    }
}

/// A schema with texts in three languages, references, components, and fields of other types.
fn others() -> Others {
    let localized = |name: String| {
        let mut field = field(&name, "StringField");
        field.insert("partitioning", "language");
        field
    };
    let mut fields: Vec<Document> = (0..8).map(|at| localized(format!("text{at}"))).collect();
    fields.extend((0..8).map(|at| field(&format!("number{at}"), "NumberField")));
    fields.push(field("references", "ReferencesField"));
    fields.push(component("blocks", "ComponentsField", &["posts"]));
    let app = app(&["en", "de", "fr"]);
    Others([app, schema("posts", &fields)].map(|document| RawDocumentBuf::try_from(&document).unwrap()))
}

/// Data of about two kilobytes.
fn data(version: usize) -> serde_json::Value {
    let mut data = serde_json::Map::new();
    for at in 0..8 {
        let text = |language| {
            format!("Das ist ein Text in {language}, \"Nummer\" {at}, der Version {version} von vielen.")
        };
        data.insert(format!("text{at}"), json!({ "en": text("en"), "de": text("de"), "fr": text("fr") }));
        data.insert(format!("number{at}"), json!({ "iv": at * 7 }));
    }
    data.insert(
        "references".into(),
        json!({ "iv": ["63761585e06d5466c71521b3", "83761585e06d5466c71521b3"] }),
    );
    let block = json!({ "schemaId": "posts", "references": ["93761585e06d5466c71521b3"], "number1": 1 });
    data.insert("blocks".into(), json!({ "iv": [block, block] }));
    data.into()
}

fn commits() -> Vec<RawDocumentBuf> {
    let change = |event_type: &str, own: serde_json::Value| (event_type.to_owned(), payload(own).to_string());
    let events = [
        change("ContentCreatedEventV2", json!({ "status": "Draft", "data": data(0) })),
        change("ContentUpdatedEvent", json!({ "data": data(1) })),
        change("ContentStatusChangedEventV2", json!({ "change": "Published", "status": "Published" })),
        change("ContentUpdatedEvent", json!({ "data": data(2) })),
    ];
    let commit = |(at, (event_type, payload)): (usize, (String, String))| {
        let metadata =
            doc! { "EventId": "e", "Timestamp": "2023-05-01T10:00:00Z", "AggregateId": "app--one" };
        let event = doc! { "Type": event_type, "Payload": payload, "Metadata": metadata };
        let offset = i64::try_from(at).unwrap() - 1;
        let commit = doc! {
            "Events": [event], "EventStreamOffset": offset, "EventsCount": 1_i64,
            "EventStream": "content-app--one",
        };
        RawDocumentBuf::try_from(&commit).unwrap()
    };
    events.into_iter().enumerate().map(commit).collect()
}

#[test]
#[ignore = "a measurement"]
fn events_a_second() {
    let projection = Registered::new(Contents::new());
    let (commits, layout, others) = (commits(), Layout::default(), others());
    let key = projection.spec().stream_filter().key("content-app--one").unwrap();
    let mut states = projection.states();
    let mut snapshots = Snapshots::new(2);
    let (mut streams, mut bytes, mut folding, mut writing) = (0_u32, 0, Duration::ZERO, Duration::ZERO);
    while folding + writing < Duration::from_secs(4) {
        let begin = Instant::now();
        let slot = states.open();
        for commit in &commits {
            states.apply(slot, &Commit::decode(commit, &layout).unwrap()).unwrap();
        }
        let folded = Instant::now();
        bytes = states.bytes(slot);
        snapshots.undo();
        states.emit(slot, &key, &others, &mut snapshots).unwrap();
        states.close(slot);
        folding += folded - begin;
        writing += folded.elapsed();
        streams += 1;
    }
    let payloads: usize = commits.iter().map(|commit| commit.as_bytes().len()).sum();
    let rate = |time: Duration, count: f64| count * f64::from(streams) / time.as_secs_f64();
    let events = 4.0;
    #[expect(clippy::print_stderr, reason = "the result of the measurement")]
    {
        eprintln!(
            "{:.0} events a second with their documents ({:.0} without), {:.0} contents a second written; \
             {payloads} bytes of 4 commits, {bytes} bytes a state, {} bytes of 2 documents",
            rate(folding + writing, events),
            rate(folding, events),
            rate(writing, 1.0),
            snapshots.byte_len(),
        );
    }
}
