//! The bytes are the same however events are split into commits.

use bson::{RawDocument, RawDocumentBuf, doc};
use proptest::prelude::*;
use serde_json::{Value, json};
use statefold_projections::squidex::{Rules, Schemas};
use statefold_projections::testing::fold_stream;
use statefold_projections::{FoldFailure, Layout, NoLookup, Registered};

use crate::support::payload;

/// The events as commits that end where `ends` says.
fn commits(events: &[(String, String)], ends: &[bool]) -> Vec<RawDocumentBuf> {
    let (mut commits, mut open) = (Vec::new(), Vec::new());
    let mut offset = -1_i64;
    for (at, (event_type, payload)) in events.iter().enumerate() {
        let timestamp = format!("2023-05-01T10:00:{at:02}Z");
        open.push(doc! { "Type": event_type, "Payload": payload, "Metadata": { "Timestamp": timestamp } });
        if at + 1 == events.len() || ends.get(at).copied().unwrap_or(true) {
            let count = i64::try_from(open.len()).unwrap();
            let events = std::mem::take(&mut open);
            let commit = doc! {
                "Events": events, "EventStreamOffset": offset, "EventsCount": count, "EventStream": "s",
            };
            commits.push(RawDocumentBuf::try_from(&commit).unwrap());
            offset += count;
        }
    }
    commits
}

fn field_properties() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec!["String", "NumberField", "Array", "References", "UIField", "Holo"]);
    (kind, prop::option::of("[a-b]"), any::<bool>(), 0..3_i32).prop_map(|(kind, label, flag, number)| {
        json!({
            "label": label, "isRequired": flag, "minItems": number, "editor": number, "$type": kind,
            "schemaIds": ["x"],
        })
    })
}

/// Events of a schema with few fields, so that many of them meet a field that is there.
fn schema_event() -> impl Strategy<Value = (String, String)> {
    let types = prop::sample::select(vec![
        "SchemaCreatedEventV2",
        "SchemaCreatedEvent",
        "SchemaUpdatedEvent",
        "SchemaPublishedEvent",
        "SchemaCategoryChangedEvent",
        "SchemaUIFieldsConfiguredEvent",
        "SchemaFieldsReorderedEvent",
        "SchemaPreviewUrlsConfiguredEvent",
        "FieldAddedEvent",
        "FieldUpdatedEvent",
        "FieldDeletedEvent",
        "FieldHiddenEvent",
        "FieldShownEvent",
        "FieldLockedEvent",
        "SchemaDeletedEvent",
        "SomethingNew",
    ]);
    let text = prop::option::of(prop::sample::select(vec!["a", "b", "language", "ü\0"]));
    (types, 1..4_i64, prop::option::of(1..4_i64), text, field_properties()).prop_map(
        |(event_type, id, parent, text, properties)| {
            let is_field = event_type.starts_with("Field");
            let field = json!({ "id": id, "name": "a", "partitioning": text, "properties": properties });
            let own = json!({
                "schema": { "name": text, "category": text, "fields": [field] }, "fields": [field],
                "name": if is_field { Some(format!("f{id}")) } else { text.map(str::to_owned) },
                "partitioning": text, "fieldId": format!("{id},x"),
                "parentFieldId": parent.map(|parent| format!("{parent},y")),
                "properties": if is_field { properties } else { json!({ "label": text }) },
                "previewUrls": { "a.b": text }, "fieldIds": [id], "fieldsInLists": [text],
            });
            (event_type.to_owned(), payload(own).to_string())
        },
    )
}

fn rule_event() -> impl Strategy<Value = (String, String)> {
    let types = prop::sample::select(vec![
        "RuleCreatedEventV2",
        "RuleCreatedEvent",
        "RuleUpdatedEventV2",
        "RuleUpdatedEvent",
        "RuleEnabledEvent",
        "RuleDisabledEvent",
        "RuleDeletedEvent",
        "RuleManuallyTriggered",
        "Noop",
    ]);
    let kind = || prop::sample::select(vec!["Webhook", "Script", "Kafka", "delay"]);
    let trigger = prop::sample::select(vec!["ManualTrigger", "CommentTrigger", "MoonTrigger"]);
    (types, prop::option::of(trigger), kind(), any::<bool>()).prop_map(|(event_type, trigger, kind, flag)| {
        let step = json!({ "script": "s", "url": "http://A", "stepType": kind, "delayInSec": 5 });
        let own = json!({
            "trigger": trigger.map(|kind| json!({ "triggerType": kind, "condition": kind })),
            "flow": { "steps": { "33333333-3333-4333-8333-333333333333": { "step": step } } },
            "action": { "actionType": kind, "url": "http://A" }, "isEnabled": flag, "name": kind,
        });
        (event_type.to_owned(), payload(own).to_string())
    })
}

fn fold(
    projection: &Registered,
    stream: &str,
    commits: &[RawDocumentBuf],
) -> Result<Option<Vec<u8>>, FoldFailure> {
    let mut states = projection.states();
    let snapshots = fold_stream(projection, &mut *states, commits, &Layout::default(), stream, &NoLookup)?;
    Ok(snapshots.targets().first().unwrap().documents().next().map(<[u8]>::to_vec))
}

fn check(projection: &Registered, prefix: &str, events: &[(String, String)], ends: &[bool]) {
    let stream = format!("{prefix}app--1");
    let of = |ends: &[bool]| fold(projection, &stream, &commits(events, ends));
    let (apart, together, split) = (of(&[]), of(&[false; 16]), of(ends));
    assert_eq!(apart, together);
    assert_eq!(apart, split);
    if let Ok(Some(bytes)) = apart {
        // Reading everything is the check of the bytes.
        let document = bson::Document::try_from(RawDocument::from_bytes(&bytes).unwrap()).unwrap();
        let last = i64::try_from(events.len()).unwrap() - 1;
        assert_eq!(document.get_i64("Version").unwrap(), last);
        #[expect(clippy::cast_precision_loss, reason = "few events")]
        let last = last as f64;
        assert!(document.get_document("Doc").unwrap().get_f64("version").unwrap() <= last);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn schemas(
        events in prop::collection::vec(schema_event(), 0..12),
        ends in prop::collection::vec(any::<bool>(), 0..12),
    ) {
        check(&Registered::new(Schemas::new()), "schema-", &events, &ends);
    }

    #[test]
    fn rules(
        events in prop::collection::vec(rule_event(), 0..12),
        ends in prop::collection::vec(any::<bool>(), 0..12),
    ) {
        check(&Registered::new(Rules::new()), "rule-", &events, &ends);
    }
}
