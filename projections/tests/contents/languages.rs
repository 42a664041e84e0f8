//! The status of translation.

use bson::{Document, doc};
use serde_json::{Value, json};

use crate::support::{all, app, created, field, payload, published, schema};

fn localized(name: &str) -> Document {
    let mut field = field(name, "StringField");
    field.insert("partitioning", "language");
    field
}

fn translation(data: Value, languages: &[&str], fields: &[Document]) -> String {
    let given = created("Draft", data)
        .other("States_Apps", &app(languages))
        .other("States_Schemas", &schema("posts", fields));
    all(&given).get_document("ts").unwrap().to_string()
}

#[test]
fn each_language_has_the_percentage_of_fields_with_a_value() {
    let fields: Vec<Document> =
        ["a", "b", "c"].into_iter().map(localized).chain([field("d", "String")]).collect();
    let data = json!({
        "a": { "de": 0, "en": null, "EN-us": false }, "b": { "iv": 1, "de": "" }, "c": null, "d": { "en": 1 },
    });
    assert_eq!(
        translation(data, &["en", "de", "en-US"], &fields),
        doc! { "en": 0, "de": 67, "en-US": 33 }.to_string()
    );
    assert_eq!(translation(json!({}), &["fr", "en"], &fields), doc! { "fr": 0, "en": 0 }.to_string());
}

#[test]
fn without_translated_fields_everything_is_translated() {
    assert_eq!(translation(json!({}), &["en"], &[field("a", "String")]), doc! { "en": 100 }.to_string());
    assert_eq!(translation(json!({}), &[], &[localized("a")]), doc! {}.to_string());
}

#[test]
fn a_code_in_another_case_is_the_same_language() {
    let fields = [localized("a")];
    assert_eq!(translation(json!({ "a": { "XX": 1 } }), &["xx"], &fields), doc! { "xx": 100 }.to_string());
}

#[test]
fn each_document_has_the_translation_of_its_own_data() {
    let given = created("Published", json!({ "a": { "en": 1 } }))
        .event("ContentDraftCreatedEvent", payload(json!({ "migratedData": { "a": { "de": 1 } } })))
        .other("States_Apps", &app(&["en", "de"]))
        .other("States_Schemas", &schema("posts", &[localized("a")]));
    assert_eq!(all(&given).get_document("ts").unwrap(), &doc! { "en": 0, "de": 100 });
    assert_eq!(published(&given).unwrap().get_document("ts").unwrap(), &doc! { "en": 100, "de": 0 });
}
