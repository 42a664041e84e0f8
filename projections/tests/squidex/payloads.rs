//! How payloads are read, whatever the event does with them.

use bson::{RawDocument, RawDocumentBuf, doc};
use serde_json::{Value, json};
use statefold_projections::testing::fold_stream;
use statefold_projections::{Commit, NoLookup, squidex};

use crate::support::{STREAM, assert_unchanged, asset, created, created_asset, payload, snapshot};

#[test]
fn names_of_types_and_properties_match_in_any_case() {
    let text = concat!(
        r#"{"APPID":"app,hotels","Actor":"subject:ann","ASSETID":"one","filename":"x","FileName":"y","#,
        r#""TYPE":"vIDEO","FileSize":"7"}"#
    );
    let document = snapshot(&asset().event_text("assetCREATEDeventv2", text));
    assert_eq!(document.get_str("fn").ok(), Some("y"));
    assert_eq!(document.get_i32("at").ok(), Some(3));
    assert_eq!(document.get_i64("fs").ok(), Some(7));
}

#[test]
fn unknown_and_foreign_types_cost_no_look_at_the_payload() {
    let mut given = created_asset();
    for event_type in [
        "",
        "Asset",
        "AssetCreated",
        "AssetUpdatedEvent",
        "AssetCreatedEventV3",
        "AssetFolderMovedEvent",
        "ContentCreatedEventV2",
        "NoopEvent",
        "AssetMovedEvenT\u{131}",
        "ÄssetMovedEvent",
        "assetmoveeeeee\u{fe0f}",
    ] {
        given = given.event_text(event_type, "{ not JSON");
    }
    assert_unchanged(&given);
}

#[test]
fn what_is_skipped_has_no_more_levels_than_what_is_read() {
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        let own = format!(r#"{{"unknown":{{"a":"[\\\"[","b":{open}1{close}}},"c":[{{}}],"fileName":"y","#);
        created_asset()
            .event_text("AssetAnnotatedEvent", &format!(r#"{own}"assetId":"one","appId":"app,hotels"}}"#))
    };
    assert_eq!(snapshot(&nested(62)).get_str("fn").ok(), Some("y"));
    nested(63).then_fails("payload");
}

#[test]
fn a_payload_that_cannot_be_read_makes_the_stream_a_failed_stream() {
    for broken in [
        "",
        "null",
        "[]",
        "{",
        "{}x",
        r#"{"fileSize":12.0}"#,
        r#"{"fileSize":null}"#,
        r#"{"fromRule":null}"#,
        r#"{"type":null}"#,
        r#"{"type":"Picture"}"#,
        r#"{"type":1.5}"#,
        r#"{"type":2147483648}"#,
        r#"{"appId":"app"}"#,
        r#"{"appId":",name"}"#,
        r#"{"actor":1}"#,
        r#"{"tags":["a",1]}"#,
        r#"{"tags":{}}"#,
        r#"{"metadata":[]}"#,
        r#"{"metadata":{"a":1e999}}"#,
        r#"{"fileName":"\ud800"}"#,
        r#"{"assetId":5}"#,
        "{\"fileName\":\"a\nb\"}",
        r#"{"fileSize":1,}"#,
        "{/**/}",
    ] {
        created_asset().event_text("AssetCreatedEventV2", broken).then_fails("payload");
    }
    // Also what an event has but its fold doesn't use.
    for broken in [r#"{"deletedSize":"x"}"#, r#"{"oldTags":"a"}"#, r#"{"assetId":1}"#, r#"{"appId":"x"}"#] {
        created_asset().event_text("AssetDeletedEvent", broken).then_fails("payload");
    }
}

#[test]
fn a_known_event_is_read_even_after_the_delete() {
    let deleted = || created_asset().event("AssetDeletedEvent", payload(json!({})));
    deleted().event_text("AssetMovedEvent", "{").then_fails("payload");
    deleted().event("AssetMovedEvent", json!({ "actor": " : " })).then_fails("refused");
}

#[test]
fn numbers_of_types_need_no_name() {
    for (kind, number) in [
        (json!("image"), 1),
        (json!("AUDIO"), 2),
        (json!(3), 3),
        (json!("2"), 2),
        (json!(77), 77),
        (json!(-1), -1),
    ] {
        let given = asset().event("AssetCreatedEventV2", created(json!({ "type": kind })));
        assert_eq!(snapshot(&given).get_i32("at").ok(), Some(number));
    }
}

#[test]
fn the_memory_of_a_state_is_what_it_holds() {
    let registry = squidex::registry();
    let bytes = |payload: Value| {
        let event = doc! { "Type": "AssetCreatedEventV2", "Payload": payload.to_string() };
        let commit = doc! { "EventStream": STREAM, "EventStreamOffset": -1, "Events": [event] };
        let commit = RawDocumentBuf::try_from(commit).unwrap();
        let mut states = registry.get("Assets").unwrap().states();
        let slot = states.open();
        states.apply(slot, &Commit::decode(&commit, registry.layout()).unwrap()).unwrap();
        states.bytes(slot)
    };
    let base = bytes(created(json!({})));
    let long = "x".repeat(10_000);
    for longer in [
        json!({ "fileName": long }),
        json!({ "fileHash": long }),
        json!({ "mimeType": long }),
        json!({ "slug": long }),
        json!({ "parentId": long }),
        json!({ "assetId": long }),
        json!({ "appId": format!("app,{long}") }),
        json!({ "actor": long }),
        json!({ "tags": [long] }),
        json!({ "metadata": { "a": [{ "b": long }] } }),
        json!({ "metadata": { (long.as_str()): 1 } }),
    ] {
        let more = bytes(created(longer.clone())) - base;
        assert!((9_900..10_300).contains(&more), "{more} bytes more");
    }
}

#[test]
fn a_payload_may_be_a_document_too() {
    let payload = doc! {
        "AppId": "app,hotels", "actor": "subject:ann", "assetId": "one", "fileSize": 5, "fileVersion": "1",
        "type": "Image", "metadata": { "a": 1, "b": [true, null, "x", 1.5] }, "tags": ["b", "b"],
    };
    let json = asset().event("AssetCreatedEventV2", serde_json::to_value(&payload).unwrap());
    let event = doc! { "Type": "AssetCreatedEventV2", "Payload": payload };
    let commit = doc! { "EventStream": STREAM, "EventStreamOffset": -1, "Events": [event] };
    let commits = [RawDocumentBuf::try_from(commit).unwrap()];
    let registry = squidex::registry();
    let assets = registry.get("Assets").unwrap();
    let mut states = assets.states();
    let found = fold_stream(assets, &mut *states, &commits, registry.layout(), STREAM, &NoLookup).unwrap();
    let bytes = found.targets().first().unwrap().documents().next().unwrap();
    assert_eq!(RawDocument::from_bytes(bytes).unwrap(), &*RawDocumentBuf::try_from(snapshot(&json)).unwrap());
}
