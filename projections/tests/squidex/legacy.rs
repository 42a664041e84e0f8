//! Events of former versions of Squidex, as they are read today.

use crate::support::{ROOT, STREAM, created, payload, snapshot};
use bson::doc;
use serde_json::{Value, json};
use statefold_projections::squidex::Assets;
use statefold_projections::testing::{Given, given};

fn old_asset(changed: Value) -> Given {
    let mut all = created(json!({ "isImage": true, "pixelWidth": 40, "pixelHeight": "30" }));
    all.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    given(Assets::new()).stream(STREAM).event("AssetCreatedEvent", all)
}

#[test]
fn an_image_with_both_sizes_keeps_them_as_metadata() {
    let document = snapshot(&old_asset(json!({ "type": "Video", "metadata": { "x": 1 } })));
    let expected = doc! { "pixelWidth": 40.0, "pixelHeight": 30.0 };
    assert_eq!(document.get_document("md").unwrap().to_string(), expected.to_string());
    assert_eq!(document.get_i32("at").ok(), Some(1));
    assert_eq!(document.get_array("td").unwrap().len(), 1);
}

#[test]
fn everything_else_is_a_file_of_unknown_type() {
    for changed in
        [json!({ "isImage": false }), json!({ "pixelWidth": null }), json!({ "pixelHeight": null })]
    {
        let document = snapshot(&old_asset(changed));
        assert_eq!(
            (document.get_document("md").ok(), document.get_i32("at").ok()),
            (Some(&doc! {}), Some(0))
        );
    }
}

#[test]
fn folders_were_guids() {
    let parent = |id: Value| old_asset(json!({ "parentId": id }));
    let upper = parent(json!("4827F8CB-EC10-4B38-930A-7C5AC722A12F"));
    assert_eq!(snapshot(&upper).get_str("pi").ok(), Some("4827f8cb-ec10-4b38-930a-7c5ac722a12f"));
    assert!(!snapshot(&parent(json!(ROOT))).contains_key("pi"));
    parent(json!("p")).then_fails("payload");
    parent(Value::Null).then_fails("payload");
    let none = given(Assets::new()).stream(STREAM).event("AssetCreatedEvent", json!({ "appId": "a,b" }));
    assert!(!snapshot(&none).contains_key("pi"));
}

#[test]
fn what_is_typed_in_the_old_form_is_checked_there() {
    for broken in [
        json!({ "isImage": null }),
        json!({ "pixelWidth": 40.0 }),
        json!({ "pixelWidth": 3_000_000_000_u32 }),
        json!({ "fileSize": null }),
    ] {
        old_asset(broken).then_fails("payload");
    }
    // The old form has neither a type nor metadata.
    assert!(old_asset(json!({ "type": "x", "metadata": 1 })).outcome().is_ok());
}

#[test]
fn an_old_update_has_the_rule_of_images_too() {
    let update = |own: Value| {
        let given = old_asset(json!({})).event("AssetUpdated", payload(own));
        snapshot(&given)
    };
    let image = update(
        json!({ "fileHash": "h2", "fileSize": 5, "isImage": true, "pixelWidth": 1, "pixelHeight": 2 }),
    );
    assert_eq!(image.get_document("md").ok(), Some(&doc! { "pixelWidth": 1.0, "pixelHeight": 2.0 }));
    assert_eq!((image.get_i32("at").ok(), image.get_i64("ts").ok()), (Some(1), Some(105)));
    let file = update(json!({ "fileHash": "h2", "fileSize": 5 }));
    assert_eq!((file.get_document("md").ok(), file.get_i32("at").ok()), (Some(&doc! {}), Some(0)));
    assert_eq!(update(json!({ "fileHash": "h1" })).get_i64("vs").ok(), Some(0));
}

#[test]
fn renaming_and_tagging_touch_nothing_else() {
    let given = old_asset(json!({}))
        .event("AssetRenamedEvent", payload(json!({ "fileName": "b", "tags": ["x"], "slug": "y" })))
        .event("AssetTaggedEvent", payload(json!({ "fileName": "c", "tags": ["z"] })))
        .event("AssetRenamedEvent", payload(json!({ "fileName": "B" })))
        .event("AssetTaggedEvent", payload(json!({ "tags": null })));
    let document = snapshot(&given);
    assert_eq!((document.get_str("fn").ok(), document.get_str("sl").ok()), (Some("b"), Some("a.png")));
    assert_eq!((document.get_array("td").unwrap().len(), document.get_i64("vs").ok()), (1, Some(2)));
}
