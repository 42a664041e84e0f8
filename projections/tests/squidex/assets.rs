//! The rules of assets, one test a rule.

use crate::support::{ROOT, assert_unchanged, asset, at, created, created_asset, payload, snapshot, updated};
use bson::{Bson, doc};
use serde_json::{Value, json};
use statefold_projections::testing::Given;

fn annotated(own: Value) -> Given {
    created_asset().headers(at(2)).event("AssetAnnotatedEvent", payload(own))
}

fn version(given: &Given) -> i64 {
    snapshot(given).get_i64("vs").unwrap()
}

fn modified_ms(given: &Given) -> i64 {
    snapshot(given).get_datetime("mt").unwrap().timestamp_millis()
}

#[test]
fn a_created_asset_has_every_element_in_order() {
    let ms = |ms| bson::DateTime::from_millis(ms);
    created_asset().then_snapshot(doc! {
        "_id": "app--one", "id": "one", "mt": ms(1000), "mb": "subject:ann", "ct": ms(1000),
        "cb": "subject:ann",
        "vs": 0_i64, "ai": { "_id": "app", "Name": "hotels" }, "dl": false,
        "fn": "a.png", "fh": "h1", "fs": 100_i64, "fv": 0_i64, "md": { "pixelWidth": 8.0 }, "mm": "image/png",
        "sl": "a.png", "td": ["t"], "ts": 100_i64, "at": 1, "_ai": "app",
    });
}

#[test]
fn elements_that_may_be_absent_appear_with_a_value_only() {
    let given = asset()
        .event("AssetCreatedEventV2", created(json!({ "parentId": "p" })))
        .event("AssetAnnotatedEvent", payload(json!({ "isProtected": true })));
    let keys: Vec<String> = snapshot(&given).keys().cloned().collect();
    let expected = "_id id mt mb ct cb vs ai dl pi fn fh fs fv pt md mm sl td ts at _ai";
    assert_eq!(keys.join(" "), expected);
}

#[test]
fn what_is_missing_has_its_default_and_what_is_null_is_null() {
    let ms = bson::DateTime::from_millis(0);
    asset().event("AssetCreatedEventV2", json!({ "appId": "app,hotels" })).then_snapshot(doc! {
        "_id": "app--one", "id": ROOT, "mt": ms, "mb": null, "ct": ms, "cb": null, "vs": 0_i64,
        "ai": { "_id": "app", "Name": "hotels" }, "dl": false, "fn": null, "fh": null,
        "fs": 0_i64, "fv": 0_i64,
        "md": {}, "mm": null, "sl": null, "td": [], "ts": 0_i64, "at": 0, "_ai": "app",
    });
}

#[test]
fn no_effective_event_is_no_object() {
    asset().then_nothing();
    asset().event("Unknown", json!({})).then_nothing();
    // The first has no hash, the second isn't protected, the third is in the root folder.
    asset()
        .event("AssetUpdatedEventV2", payload(json!({ "fileSize": 5 })))
        .event("AssetAnnotatedEvent", payload(json!({ "isProtected": false, "tags": [], "metadata": {} })))
        .event("AssetMovedEvent", payload(json!({ "parentId": ROOT })))
        .then_nothing();
}

#[test]
fn a_stream_that_does_not_begin_with_its_creation_lacks_the_app() {
    asset().event("AssetMovedEvent", payload(json!({ "parentId": "p" }))).then_fails("missing_field");
    asset().event("AssetDeletedEvent", payload(json!({}))).then_fails("missing_field");
    asset().event("AssetCreatedEventV2", created(json!({ "appId": null }))).then_fails("missing_field");
    // An update sets the app, but not the id.
    let document = snapshot(&asset().event("AssetUpdatedEventV2", updated("h1", 5)));
    assert_eq!((document.get_str("id").ok(), document.get_str("_ai").ok()), (Some(ROOT), Some("app")));
    assert_eq!(document.get("fn"), Some(&Bson::Null));
}

#[test]
fn only_effective_events_count() {
    let given = created_asset()
        .event("Unknown", json!({}))
        .event("AssetUpdatedEventV2", updated("h1", 5))
        .event("AssetMovedEvent", payload(json!({ "parentId": ROOT })))
        .headers(at(9))
        .event("AssetMovedEvent", payload(json!({ "parentId": "p", "actor": "client:c:d" })));
    let document = snapshot(&given);
    assert_eq!((version(&given), modified_ms(&given)), (1, 9000));
    assert_eq!(
        (document.get_str("mb").ok(), document.get_str("cb").ok()),
        (Some("client:c:d"), Some("subject:ann"))
    );
    assert_eq!(document.get_datetime("ct").unwrap().timestamp_millis(), 1000);
}

#[test]
fn an_update_with_the_same_hash_changes_nothing() {
    assert_unchanged(&created_asset().headers(at(2)).event("AssetUpdatedEventV2", updated("h1", 5)));
    // The comparison is ordinal, and null is a value.
    assert_eq!(version(&created_asset().event("AssetUpdatedEventV2", updated("H1", 5))), 1);
    assert_eq!(version(&created_asset().event("AssetUpdatedEventV2", payload(json!({})))), 1);
}

#[test]
fn an_update_adds_to_the_size_of_the_file_before_only() {
    let given = created_asset()
        .event("AssetUpdatedEventV2", updated("h2", 20))
        .event("AssetUpdatedEventV2", updated("h3", 3));
    let document = snapshot(&given);
    assert_eq!((document.get_i64("fs").ok(), document.get_i64("ts").ok()), (Some(3), Some(23)));
    assert_eq!((document.get_i64("fv").ok(), document.get_i32("at").ok()), (Some(1), Some(0)));
    assert_eq!(
        (document.get_str("mm").ok(), document.get_str("sl").ok()),
        (Some("text/plain"), Some("a.png"))
    );
    assert_eq!(document.get_document("md").ok(), Some(&doc! {}));
    assert_eq!(document.get_array("td").unwrap().len(), 1);
}

#[test]
fn sizes_wrap_around_as_they_do_in_squidex() {
    let given = asset()
        .event("AssetCreatedEventV2", created(json!({ "fileSize": i64::MAX })))
        .event("AssetUpdatedEventV2", updated("h2", 1));
    assert_eq!(snapshot(&given).get_i64("ts").ok(), Some(i64::MIN));
}

#[test]
fn an_update_replaces_the_app_too() {
    let other = |app: Value| {
        created_asset().event("AssetUpdatedEventV2", payload(json!({ "fileHash": "h2", "appId": app })))
    };
    assert_eq!(
        snapshot(&other(json!("b,x,y"))).get_document("ai").ok(),
        Some(&doc! { "_id": "b", "Name": "x,y" })
    );
    other(Value::Null).then_fails("missing_field");
}

#[test]
fn names_that_differ_in_case_only_are_equal() {
    assert_unchanged(&annotated(json!({ "fileName": "A.PNG", "slug": "A.png" })));
    let given = annotated(json!({ "fileName": "A.PNG", "slug": "b" }));
    let document = snapshot(&given);
    assert_eq!(
        (document.get_str("fn").ok(), document.get_str("sl").ok(), version(&given)),
        (Some("a.png"), Some("b"), 1)
    );
    let umlaut = |name: &str, other: &str| {
        asset()
            .event("AssetCreatedEventV2", created(json!({ "fileName": name })))
            .event("AssetAnnotatedEvent", payload(json!({ "fileName": other })))
    };
    assert_eq!(version(&umlaut("Über", "üBER")), 0);
    assert_eq!(version(&umlaut("Straße", "STRASSE")), 1);
    assert_eq!(version(&umlaut("file", "f\u{131}le")), 1);
    assert_eq!(snapshot(&annotated(json!({ "fileName": "" }))).get_str("fn").ok(), Some(""));
}

#[test]
fn protection_changes_if_it_differs() {
    assert_unchanged(&annotated(json!({ "isProtected": false })));
    let on_and_off = annotated(json!({ "isProtected": true }))
        .event("AssetAnnotatedEvent", payload(json!({ "isProtected": true })))
        .event("AssetAnnotatedEvent", payload(json!({ "isProtected": false })));
    assert_eq!(version(&on_and_off), 2);
    assert!(!snapshot(&on_and_off).contains_key("pt"));
}

#[test]
fn tags_are_a_set_in_the_order_of_the_event_that_changed_them() {
    let given = annotated(json!({ "tags": ["b", "a", "b"] }))
        .event("AssetAnnotatedEvent", payload(json!({ "tags": ["a", "b", "a", "a"] })));
    assert_eq!(version(&given), 1);
    assert_eq!(snapshot(&given).get_array("td").unwrap(), &vec![Bson::from("b"), Bson::from("a")]);
    assert_eq!(version(&annotated(json!({ "tags": ["T"] }))), 1);
    assert_eq!(snapshot(&annotated(json!({ "tags": [] }))).get_array("td").unwrap(), &Vec::new());
    let many: Vec<String> = (0..40).map(|at| at.to_string()).collect();
    let reversed: Vec<&String> = many.iter().rev().collect();
    let mut other = many.clone();
    other.pop();
    other.push("x".into());
    let given = annotated(json!({ "tags": many }))
        .event("AssetAnnotatedEvent", payload(json!({ "tags": reversed })))
        .event("AssetAnnotatedEvent", payload(json!({ "tags": other })));
    assert_eq!(version(&given), 2);
}

#[test]
fn metadata_are_equal_whatever_the_order_of_their_keys() {
    let one = json!({ "a": [1, { "x": 1, "y": null }], "b": "c" });
    let annotate = |text: &str| {
        annotated(json!({ "metadata": one }))
            .event_text("AssetAnnotatedEvent", &format!("{{\"metadata\":{text}}}"))
    };
    assert_eq!(version(&annotate(r#"{"b":"c","a":[1.0,{"y":null,"x":1}]}"#)), 1);
    assert_eq!(version(&annotate(r#"{"b":"c","a":[{"y":null,"x":1},1]}"#)), 2);
    assert_eq!(version(&annotate(r#"{"B":"c","a":[1,{"x":1,"y":null}]}"#)), 2);
    assert_eq!(version(&annotate(r#"{"b":"c","a":[1,{"x":1}]}"#)), 2);
    assert_eq!(version(&annotate("null")), 1);
    assert_eq!(version(&annotate("{}")), 2);
}

#[test]
fn metadata_keys_are_escaped_inside_but_not_on_top() {
    let metadata = json!({ "a.b": 1, "$x": { "$type": 2, ".": { "": [{ "$": 3 }] } } });
    let given = asset().event("AssetCreatedEventV2", created(json!({ "metadata": metadata })));
    let expected = doc! { "$x": { "§type": 2.0, "_§§_": { "§empty": [{ "$": 3.0 }] } }, "a.b": 1.0 };
    assert_eq!(snapshot(&given).get_document("md").ok(), Some(&expected));
    let nul = asset().event("AssetCreatedEventV2", created(json!({ "metadata": { "a\0": 1 } })));
    nul.then_fails("element_name");
    let text = asset().event("AssetCreatedEventV2", created(json!({ "metadata": { "a": "\0" } })));
    assert_eq!(snapshot(&text).get_document("md").ok(), Some(&doc! { "a": "\0" }));
}

#[test]
fn a_delete_keeps_everything_and_ends_everything_but_a_creation() {
    let deleted = || created_asset().headers(at(2)).event("AssetDeletedEvent", payload(json!({})));
    let again = deleted()
        .headers(at(3))
        .event("AssetMovedEvent", payload(json!({ "parentId": "p" })))
        .event("AssetDeletedEvent", payload(json!({})))
        .event("AssetUpdatedEventV2", updated("h2", 1));
    let document = snapshot(&again);
    assert_eq!(
        (document.get_bool("dl").ok(), document.get_str("fn").ok(), version(&again)),
        (Some(true), Some("a.png"), 1)
    );
    assert_eq!(modified_ms(&again), 2000);
    let recreated = again
        .headers(at(4))
        .event("AssetCreatedEventV2", created(json!({ "fileName": "b", "tags": null, "actor": "client:c" })));
    let document = snapshot(&recreated);
    assert_eq!(
        (document.get_bool("dl").ok(), document.get_str("fn").ok(), version(&recreated)),
        (Some(false), Some("b"), 2)
    );
    assert_eq!(document.get_datetime("ct").unwrap().timestamp_millis(), 4000);
    assert_eq!(document.get_str("cb").ok(), Some("client:c"));
}

#[test]
fn a_second_creation_resets_everything_but_the_version() {
    let given = annotated(json!({ "isProtected": true, "tags": ["x"] }))
        .event("AssetMovedEvent", payload(json!({ "parentId": "p" })))
        .headers(at(5))
        .event("AssetCreatedEventV2", created(json!({ "actor": "client:c" })));
    let document = snapshot(&given);
    assert_eq!((version(&given), document.get_str("cb").ok()), (3, Some("client:c")));
    assert!(!document.contains_key("pt") && !document.contains_key("pi"));
    assert_eq!(document.get_datetime("ct").unwrap().timestamp_millis(), 5000);
}

#[test]
fn who_and_when_are_set_by_the_first_event_that_knows() {
    let given = asset()
        .event("AssetCreatedEventV2", created(json!({ "actor": null })))
        .headers(at(2))
        .event("AssetMovedEvent", payload(json!({ "parentId": "p", "actor": " Client:c: " })))
        .headers(doc! { "Timestamp": 5.0 })
        .event("AssetMovedEvent", payload(json!({ "parentId": "q", "actor": null })));
    let document = snapshot(&given);
    assert_eq!((document.get_str("cb").ok(), document.get("mb")), (Some("client:c"), Some(&Bson::Null)));
    assert_eq!((document.get_datetime("ct").unwrap().timestamp_millis(), modified_ms(&given)), (2000, 0));
    created_asset().event("AssetMovedEvent", payload(json!({ "actor": "::" }))).then_fails("refused");
}

#[test]
fn the_key_of_the_stream_is_the_id_whatever_a_header_says() {
    let given =
        asset().headers(doc! { "AggregateId": "other" }).event("AssetCreatedEventV2", created(json!({})));
    assert_eq!(snapshot(&given).get_str("_id").ok(), Some("app--one"));
}
