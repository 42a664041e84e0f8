//! References: which ids are found, in which order, and which snapshots they depend on.

use bson::{Binary, Bson, Document, doc, spec::BinarySubtype};
use serde_json::{Value, json};
use statefold_projections::testing::Given;

use crate::support::{all, app, component, created, field, schema};

fn found(given: &Given) -> Vec<String> {
    let document = all(given);
    document.get_array("rf").unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

fn with_fields(data: Value, fields: &[Document]) -> Given {
    created("Draft", data)
        .other("States_Apps", &app(&["en"]))
        .other("States_Schemas", &schema("posts", fields))
}

#[test]
fn ids_come_in_the_order_of_the_fields_and_once() {
    let data = json!({
        "b": { "en": ["3", "1"], "de": ["3", "4", 5, null, ["6"]] },
        "a": { "iv": ["1", "2", "1"] },
        "c": { "iv": ["no"] }, "d": { "iv": "no" }, "e": null,
    });
    let fields = [
        field("a", "AssetsField"),
        field("b", "References"),
        field("c", "TagsField"),
        field("d", "ReferencesField"),
        field("e", "ReferencesField"),
        field("f", "ReferencesField"),
    ];
    // `json!` sorts its keys, and so the languages.
    assert_eq!(found(&with_fields(data, &fields)), ["1", "2", "3", "4"]);
    let many: Vec<String> = (0..100).map(|at| (at * 7 % 40).to_string()).collect();
    let unique: Vec<String> = (0..40).map(|at| (at * 7 % 40).to_string()).collect();
    let given = with_fields(json!({ "a": { "iv": many } }), &[field("a", "AssetsField")]);
    assert_eq!(found(&given), unique);
}

#[test]
fn arrays_have_nested_fields() {
    let mut array = field("a", "ArrayField");
    array.insert("children", [field("x", "ReferencesField"), field("y", "StringField")]);
    let items = json!([{ "y": ["no"], "x": ["1"] }, { "x": ["2"] }, 7, null, { "x": { "iv": ["no"] } }]);
    assert_eq!(found(&with_fields(json!({ "a": { "iv": items } }), &[array.clone()])), ["1", "2"]);
    let object = json!({ "a": { "iv": { "x": ["no"] } } });
    assert_eq!(found(&with_fields(object, &[array])), [""; 0]);
}

#[test]
fn components_have_the_schemas_that_are_allowed_somewhere() {
    let part = |id: &str, fields: &[Document]| schema(id, fields);
    let fields =
        [component("c", "ComponentField", &["p1"]), component("cs", "ComponentsField", &["p1", "gone"])];
    let data = json!({
        "c": { "iv": {
            "schemaId": "p1", "r": ["1"],
            "inner": { "schemaId": "p2", "r": ["2"], "inner": { "schemaId": "posts", "cs": [
                { "schemaId": "p1", "r": ["3"] },
            ] } },
        } },
        "cs": { "iv": [
            { "r": ["no"] }, { "schemaId": "p3", "r": ["no"] }, { "schemaId": "gone", "r": ["no"] },
            { "schemaId": 1, "r": ["no"] }, 1, { "r": ["4"], "schemaId": "p2" },
        ] },
    });
    let given = with_fields(data, &fields)
        .other(
            "States_Schemas",
            &part("p1", &[field("r", "ReferencesField"), component("inner", "ComponentField", &["p2"])]),
        )
        .other(
            "States_Schemas",
            &part("p2", &[field("r", "ReferencesField"), component("inner", "ComponentField", &["posts"])]),
        )
        .other("States_Schemas", &part("p3", &[field("r", "ReferencesField")]));
    assert_eq!(found(&given), ["1", "2", "3", "4"]);
    let mut gone = part("gone", &[field("r", "ReferencesField")]);
    gone.insert("_dl", true);
    assert_eq!(found(&given.other("States_Schemas", &gone)), ["1", "2", "3", "4"]);
}

#[test]
fn a_snapshot_may_be_a_document_or_text_or_bytes() {
    let data = json!({ "a": { "iv": ["1"] }, "l": { "de": 1 } });
    let mut localized = field("l", "StringField");
    localized.insert("partitioning", "language");
    let document =
        schema("posts", &[component("c", "Component", &["p"]), field("a", "AssetsField"), localized]);
    let text =
        |document: &Document| serde_json::to_string(document.get("Doc").unwrap()).unwrap().replace('§', "$");
    let forms = |document: &Document| -> Vec<Document> {
        let (mut string, mut binary) = (document.clone(), document.clone());
        string.insert("Doc", text(document));
        let bytes = text(document).into_bytes();
        binary.insert("Doc", Binary { subtype: BinarySubtype::Generic, bytes });
        vec![document.clone(), string, binary]
    };
    for (app, schema) in forms(&app(&["en", "de"])).iter().zip(&forms(&document)) {
        let given = created("Draft", data.clone()).other("States_Apps", app).other("States_Schemas", schema);
        assert_eq!(found(&given), ["1"]);
        assert_eq!(all(&given).get_document("ts").unwrap(), &doc! { "en": 0, "de": 100 });
    }
    for broken in [Bson::Null, Bson::from("{"), Bson::from("{}"), Bson::from(doc! { "fields": 1 })] {
        let mut schema = document.clone();
        schema.insert("Doc", broken);
        let given = created("Draft", data.clone()).other("States_Apps", &app(&["en"]));
        given.other("States_Schemas", &schema).then_fails("refused");
    }
}

#[test]
fn deleted_or_unknown_apps_and_schemas_leave_nothing() {
    let data = json!({ "a": { "iv": ["1"] } });
    let (app, schema) = (app(&["en"]), schema("posts", &[field("a", "AssetsField")]));
    let deleted = |document: &Document| {
        let mut document = document.clone();
        document.insert("_dl", true);
        document
    };
    let given = |app: Option<&Document>, schema: Option<&Document>| {
        let given = created("Draft", data.clone());
        let given = app.iter().fold(given, |given, app| given.other("States_Apps", app));
        schema.iter().fold(given, |given, schema| given.other("States_Schemas", schema))
    };
    assert_eq!(found(&given(Some(&app), Some(&schema))), ["1"]);
    for given in [
        given(None, Some(&schema)),
        given(Some(&app), None),
        given(Some(&deleted(&app)), Some(&schema)),
        given(Some(&app), Some(&deleted(&schema))),
    ] {
        assert_eq!(found(&given), [""; 0]);
        assert!(!all(&given).contains_key("ts"));
    }
    // Null has neither references nor languages.
    let null = crate::support::content()
        .event("ContentCreatedEventV2", crate::support::payload(json!({})))
        .other("States_Apps", &app)
        .other("States_Schemas", &schema);
    null.then_fails("refused");
}
