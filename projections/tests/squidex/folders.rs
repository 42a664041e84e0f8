//! The rules of asset folders, one test a rule.

use crate::support::{FOLDER_STREAM, ROOT, at, payload, snapshot};
use bson::{Bson, doc};
use serde_json::{Value, json};
use statefold_projections::squidex::{self, AssetFolders};
use statefold_projections::testing::{Given, given};

fn created_folder() -> Given {
    let own = json!({ "parentId": "p", "folderName": "Fotos", "assetFolderId": "one" });
    given(AssetFolders::new())
        .stream(FOLDER_STREAM)
        .headers(at(1))
        .event("AssetFolderCreatedEvent", payload(own))
        .headers(at(2))
}

fn renamed(name: Value) -> Given {
    created_folder().event("AssetFolderRenamedEvent", payload(json!({ "folderName": name })))
}

#[test]
fn a_created_folder_has_every_element_in_order() {
    let ms = bson::DateTime::from_millis(1000);
    created_folder().then_snapshot(doc! {
        "_id": "app--one", "id": "one", "mt": ms, "mb": "subject:ann", "ct": ms,
        "cb": "subject:ann", "vs": 0_i64,
        "ai": { "_id": "app", "Name": "hotels" }, "dl": false, "pi": "p", "fn": "Fotos", "_ai": "app",
    });
}

#[test]
fn names_compare_with_case() {
    let given = renamed(json!("fotos"));
    let document = snapshot(&given);
    assert_eq!((document.get_str("fn").ok(), document.get_i64("vs").ok()), (Some("fotos"), Some(1)));
    assert_eq!(document.get_datetime("mt").unwrap().timestamp_millis(), 2000);
    assert_eq!(snapshot(&renamed(json!("Fotos"))).to_string(), snapshot(&created_folder()).to_string());
}

#[test]
fn a_name_cannot_become_null() {
    renamed(Value::Null).then_fails("refused");
    let nameless = created_folder().event("AssetFolderCreatedEvent", payload(json!({})));
    assert_eq!(snapshot(&nameless).get("fn"), Some(&Bson::Null));
    let deleted = created_folder().event("AssetFolderDeletedEvent", payload(json!({})));
    assert!(deleted.event("AssetFolderRenamedEvent", payload(json!({}))).outcome().is_ok());
}

#[test]
fn a_move_to_the_root_folder_takes_the_parent_away() {
    let moved =
        |id: &str| created_folder().event("AssetFolderMovedEvent", payload(json!({ "parentId": id })));
    assert!(!snapshot(&moved(ROOT)).contains_key("pi"));
    assert_eq!(snapshot(&moved("p")).get_i64("vs").ok(), Some(0));
    assert_eq!(snapshot(&moved("P")).get_str("pi").ok(), Some("P"));
}

#[test]
fn a_delete_is_the_end() {
    let own = json!({ "folderName": "New", "assetFolderId": "one" });
    let given = created_folder()
        .event("AssetFolderDeletedEvent", payload(json!({})))
        .event("AssetFolderCreatedEvent", payload(own))
        .event("AssetFolderDeletedEvent", payload(json!({})));
    let document = snapshot(&given);
    assert_eq!((document.get_bool("dl").ok(), document.get_str("fn").ok()), (Some(true), Some("Fotos")));
    assert_eq!(document.get_i64("vs").ok(), Some(1));
}

#[test]
fn a_second_creation_starts_again_as_long_as_there_was_no_delete() {
    let own = json!({ "folderName": "New", "assetFolderId": "two", "actor": "client:c" });
    let document = snapshot(&created_folder().event("AssetFolderCreatedEvent", payload(own)));
    assert_eq!(
        (document.get_str("id").ok(), document.get_str("cb").ok(), document.get_i64("vs").ok()),
        (Some("two"), Some("client:c"), Some(1))
    );
    assert!(!document.contains_key("pi"));
}

#[test]
fn events_of_assets_are_foreign_and_names_match_in_any_case() {
    let given = created_folder()
        .event_text("AssetDeletedEvent", "{")
        .event_text("AssetCreatedEventV2", "{")
        .event_text("ASSETFOLDERMOVEDEVENT", r#"{"PARENTID":"q"}"#);
    let document = snapshot(&given);
    assert_eq!((document.get_str("pi").ok(), document.get_i64("vs").ok()), (Some("q"), Some(1)));
}

#[test]
fn a_folder_that_was_never_created_lacks_the_app() {
    let stream = || given(AssetFolders::new()).stream(FOLDER_STREAM);
    stream().event("AssetFolderDeletedEvent", payload(json!({}))).then_fails("missing_field");
    stream().event("AssetFolderMovedEvent", payload(json!({}))).then_nothing();
    created_folder().event("AssetFolderMovedEvent", json!({ "assetFolderId": 1 })).then_fails("payload");
}

#[test]
fn streams_targets_and_indexes_are_those_of_the_format() {
    let registry = squidex::registry();
    let names = |name: &str| -> Vec<String> {
        let target = registry.get(name).unwrap().spec().targets().first().unwrap().clone();
        let mut names = vec![target.generation(registry.get(name).unwrap().spec().first())];
        names.extend(target.indexes().iter().map(|index| index.name()));
        names
    };
    let assets =
        ["States_Assets3", "mt_-1_id_1__ai_1_dl_1_pi_1_td_1", "_ai_1_sl_1", "_ai_1_fh_1", "id_1_dl_1"];
    assert_eq!(names("assets"), assets);
    assert_eq!(names("AssetFolders"), ["States_AssetFolders3", "_ai_1_pi_1_dl_1"]);
    let matches = |name: &str, stream| registry.get(name).unwrap().spec().stream_filter().matches(stream);
    assert!(matches("Assets", "asset-a--b") && !matches("Assets", "asset-a--b--deleted"));
    assert!(!matches("Assets", "assetFolder-a--b"));
    assert!(
        matches("AssetFolders", "assetFolder-a--b") && matches("AssetFolders", "assetFolder-a--b--deleted")
    );
}
