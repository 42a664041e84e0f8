//! The rules of schemas, one test a rule.

use bson::{Bson, doc};
use serde_json::{Value, json};
use statefold_projections::testing::Given;

use crate::support::{at, created, field, inside, payload, schema, snapshot, version};

/// A schema with the fields `a` and `b`, and the array `c` with `d` and `e`.
fn places() -> Given {
    let mut array = field(3, "c", "ArrayField");
    let children = json!([field(4, "d", "StringField"), field(5, "e", "NumberField")]);
    array.as_object_mut().unwrap().insert("children".into(), children);
    created(json!([field(1, "a", "StringField"), field(2, "b", "BooleanField"), array]))
}

fn after(event_type: &str, own: Value) -> Given {
    places().event(event_type, payload(own))
}

/// Names of the root fields.
pub(crate) fn names(given: &Given) -> String {
    let Bson::Array(fields) = inside(given, "fields") else { panic!("no fields") };
    let name = |field: &Bson| field.as_document().unwrap().get_str("name").unwrap().to_owned();
    fields.iter().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_created_schema_has_every_member_in_order() {
    let own = json!({ "schema": { "name": "places", "fields": [field(7, "a", "UIField")] } });
    schema().event("SchemaCreatedEventV2", payload(own)).then_snapshot(doc! {
        "_id": "app--one",
        "Doc": {
            "type": "Default", "name": "places", "category": null, "isPublished": false,
            "fields": [{
                "id": 7.0, "name": "a", "partitioning": "invariant", "isHidden": false, "isLocked": false,
                "isDisabled": false,
                "properties": {
                    "§type": "UIField", "editor": "Separator", "isRequired": false,
                    "isRequiredOnPublish": false, "isHalfWidth": false, "isCreateOnly": false,
                    "placeholder": null, "editorUrl": null, "tags": null, "label": null, "hints": null,
                },
                "children": null,
            }],
            "fieldRules": [], "fieldsInLists": [], "fieldsInReferences": [],
            "scripts": {
                "change": null, "create": null, "update": null, "delete": null, "query": null,
                "queryPre": null,
            },
            "properties": {
                "tags": null, "searchFields": null, "contentsSidebarUrl": null, "contentSidebarUrl": null,
                "contentEditorUrl": null, "contentsListUrl": null, "validateOnPublish": false,
                "label": null, "hints": null,
            },
            "previewUrls": {}, "schemaFieldsTotal": 7.0, "appId": "app,hotels", "isDeleted": false,
            "id": "one", "createdBy": "subject:ann", "lastModifiedBy": "subject:ann",
            "created": "1970-01-01T00:00:01Z", "lastModified": "1970-01-01T00:00:01Z", "version": 0.0,
        },
        "Version": 0_i64, "_ai": "app", "_si": "one", "_sn": "places", "_dl": false,
        "_ct": bson::DateTime::from_millis(1000),
    });
}

#[test]
fn properties_are_typed_whatever_was_stored() {
    let properties = |stored: Value| {
        let given = after("FieldUpdatedEvent", json!({ "fieldId": "1,a", "properties": stored }));
        inside(&given, "fields/0/properties").as_document().unwrap().clone()
    };
    let stored = json!({
        "Hints": "h", "UNKNOWN": [1], "maxlength": "5", "minLength": 2, "editor": "textarea",
        "contentType": 2, "$type": "string", "tags": null,
    });
    let read = properties(stored);
    assert_eq!(read.keys().next().map(String::as_str), Some("§type"));
    let text = |name: &str| read.get_str(name).unwrap();
    assert_eq!((text("§type"), text("hints")), ("StringField", "h"));
    assert_eq!((text("editor"), text("contentType")), ("TextArea", "Markdown"));
    let number = |name: &str| read.get_f64(name).unwrap();
    assert_eq!((number("minLength"), number("maxLength")), (2.0, 5.0));
    assert_eq!((read.get("tags"), read.len()), (Some(&Bson::Null), 30));
    let numbered = properties(json!({ "$type": "StringField", "editor": 77 }));
    assert_eq!(numbered.get_f64("editor").ok(), Some(77.0));
    for unreadable in [
        json!({}),
        json!([]),
        json!({ "$type": "HoloField" }),
        json!({ "$type": 1 }),
        json!({ "$Type": "StringField" }),
        json!({ "$type": "StringField", "editor": "Crayon" }),
        json!({ "$type": "StringField", "minLength": 1.5 }),
        json!({ "$type": "StringField", "minLength": "x" }),
        json!({ "$type": "StringField", "isRequired": null }),
        json!({ "$type": "StringField", "label": 1 }),
        json!({ "$type": "StringField", "tags": "a" }),
    ] {
        let own = json!({ "fieldId": "1,a", "properties": unreadable });
        after("FieldUpdatedEvent", own).then_fails("payload");
    }
}

#[test]
fn properties_that_set_each_other_do_so_in_the_order_in_which_they_are_stored() {
    let properties = |kind: &str, stored: &str| {
        let text = format!("{{\"$type\":\"{kind}\",{stored}}}");
        let stored: Value = serde_json::from_str(&text).unwrap();
        let given = after("FieldAddedEvent", json!({ "fieldId": "9,x", "name": "x", "properties": stored }));
        inside(&given, "fields/3/properties").as_document().unwrap().clone()
    };
    let ids = |stored: &str| {
        let read = properties("ReferencesField", stored);
        (read.get_str("schemaId").unwrap().to_owned(), read.get("schemaIds").unwrap().to_string())
    };
    let none = "00000000-0000-0000-0000-000000000000";
    assert_eq!(ids(r#""schemaId":"a""#), ("a".into(), r#"["a"]"#.into()));
    assert_eq!(ids(r#""schemaIds":["b","c"]"#), ("b".into(), r#"["b", "c"]"#.into()));
    assert_eq!(ids(r#""schemaId":"a","schemaIds":["b","c"]"#), ("b".into(), r#"["b", "c"]"#.into()));
    assert_eq!(ids(r#""schemaIds":["b","c"],"schemaId":"a""#), ("a".into(), r#"["a"]"#.into()));
    assert_eq!(ids(r#""schemaIds":["b","c"],"schemaId":null"#), (none.into(), "null".into()));
    assert_eq!(ids(r#""schemaId":"a","schemaIds":[]"#), (none.into(), "[]".into()));
    assert_eq!(ids(r#""label":"x""#), (none.into(), "null".into()));
    let asset = |stored: &str| {
        let read = properties("AssetsField", stored);
        assert!(!read.contains_key("mustBeImage") && !read.contains_key("resolveImage"));
        (read.get("expectedType").unwrap().to_string(), read.get_bool("resolveFirst").unwrap())
    };
    assert_eq!(asset(r#""mustBeImage":true,"resolveImage":true"#), ("\"Image\"".into(), true));
    assert_eq!(asset(r#""mustBeImage":true,"expectedType":"Video""#), ("\"Video\"".into(), false));
    assert_eq!(asset(r#""expectedType":"video","mustBeImage":false"#), ("\"Video\"".into(), false));
    assert_eq!(asset(r#""resolveFirst":true,"resolveImage":false"#), ("null".into(), false));
}

#[test]
fn a_field_is_added_at_the_end_and_counts() {
    let own = json!({ "fieldId": "9,x", "name": "x", "partitioning": "LANGUAGE" });
    let with = |more: Value| {
        let mut own = own.clone();
        own.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        after("FieldAddedEvent", own)
    };
    let added = with(json!({ "properties": { "$type": "Tags" } }));
    assert_eq!((names(&added), version(&added)), ("a b c x".into(), 1.0));
    assert_eq!(inside(&added, "schemaFieldsTotal"), Bson::Double(9.0));
    assert_eq!(inside(&added, "fields/3/partitioning"), Bson::from("language"));
    let nested = with(json!({ "properties": { "$type": "Tags" }, "parentFieldId": "3,c" }));
    assert_eq!(inside(&nested, "fields/2/children/2/name"), Bson::from("x"));
    assert_eq!(inside(&nested, "fields/2/children/2/partitioning"), Bson::Null);
    // To an array that isn't there, nothing is added: but it counts as a change.
    let nowhere = with(json!({ "properties": { "$type": "Tags" }, "parentFieldId": "8,c" }));
    assert_eq!((version(&nowhere), inside(&nowhere, "schemaFieldsTotal")), (1.0, Bson::Double(5.0)));
    with(json!({ "properties": { "$type": "Tags" }, "parentFieldId": "1,a" })).then_fails("refused");
    with(json!({ "properties": { "$type": "Array" }, "parentFieldId": "3,c" })).then_fails("refused");
    with(json!({ "properties": null })).then_fails("refused");
    with(json!({ "properties": { "$type": "Tags" }, "name": "a" })).then_fails("refused");
    with(json!({ "properties": { "$type": "Tags" }, "name": null })).then_fails("refused");
    with(json!({ "properties": { "$type": "Tags" }, "fieldId": null })).then_fails("refused");
    for broken in ["x,x", "9", "9,", ",x", "9.0,x"] {
        with(json!({ "properties": { "$type": "Tags" }, "fieldId": broken })).then_fails("payload");
    }
}

#[test]
fn a_field_that_is_added_again_takes_the_place_of_the_former_one() {
    let own = json!({ "fieldId": "1,x", "name": "x", "properties": { "$type": "Tags" } });
    let added = after("FieldAddedEvent", own);
    assert_eq!(names(&added), "b c x");
    assert_eq!(inside(&added, "fieldsInLists").to_string(), r#"["b"]"#);
    assert_eq!(inside(&added, "fieldsInReferences").to_string(), "[]");
}

#[test]
fn a_deleted_field_leaves_the_lists_of_names_but_not_the_count() {
    let deleted = after("FieldDeletedEvent", json!({ "fieldId": "3,c" }));
    assert_eq!((names(&deleted), version(&deleted)), ("a b".into(), 1.0));
    assert_eq!(inside(&deleted, "schemaFieldsTotal"), Bson::Double(5.0));
    let deleted = after("FieldDeletedEvent", json!({ "fieldId": "1,whatever" }));
    assert_eq!(inside(&deleted, "fieldsInLists").to_string(), r#"["b"]"#);
    let nested = after("FieldDeletedEvent", json!({ "fieldId": "4,d", "parentFieldId": "3,c" }));
    assert_eq!(inside(&nested, "fields/2/children/0/name"), Bson::from("e"));
    for nothing in [
        json!({ "fieldId": "4,d" }),
        json!({ "fieldId": "9,d", "parentFieldId": "3,c" }),
        json!({ "fieldId": "4,d", "parentFieldId": "1,a" }),
        json!({ "fieldId": "4,d", "parentFieldId": "9,x" }),
    ] {
        assert_eq!(version(&after("FieldDeletedEvent", nothing)), 0.0);
    }
}

#[test]
fn flags_are_set_once() {
    let both = |event_type: &str, opposite: Option<&str>, flag: &str| {
        for (own, path) in [
            (json!({ "fieldId": "2,b" }), "fields/1"),
            (json!({ "fieldId": "5,e", "parentFieldId": "3,c" }), "fields/2/children/1"),
        ] {
            let path = format!("{path}/{flag}");
            let set = after(event_type, own.clone()).event(event_type, payload(own.clone()));
            assert_eq!((inside(&set, &path), version(&set)), (Bson::Boolean(true), 1.0));
            if let Some(opposite) = opposite {
                let unset = set.event(opposite, payload(own.clone())).event(opposite, payload(own));
                assert_eq!((inside(&unset, &path), version(&unset)), (Bson::Boolean(false), 2.0));
            }
        }
    };
    both("FieldHiddenEvent", Some("FieldShownEvent"), "isHidden");
    both("fielddisabledevent", Some("FieldEnabledEvent"), "isDisabled");
    both("FieldLockedEvent", None, "isLocked");
}

#[test]
fn an_order_covers_all_fields() {
    let reordered = after("SchemaFieldsReorderedEvent", json!({ "fieldIds": [3, "1", 2] }));
    assert_eq!((names(&reordered), version(&reordered)), ("c a b".into(), 1.0));
    let same = after("SchemaFieldsReorderedEvent", json!({ "fieldIds": [1, 2, 3] }));
    assert_eq!(version(&same), 0.0);
    let nested = after("SchemaFieldsReorderedEvent", json!({ "fieldIds": [5, 4], "parentFieldId": "3,c" }));
    assert_eq!(inside(&nested, "fields/2/children/0/name"), Bson::from("e"));
    let twice = after("SchemaFieldsReorderedEvent", json!({ "fieldIds": [3, 1, 1] }));
    assert_eq!(names(&twice), "b c a");
    for refused in [json!([1, 2]), json!([1, 2, 9]), json!([1, 2, 3, 3]), Value::Null] {
        after("SchemaFieldsReorderedEvent", json!({ "fieldIds": refused })).then_fails("refused");
    }
}

#[test]
fn what_is_equal_is_no_change() {
    let equal = [
        ("SchemaUpdatedEvent", json!({ "properties": {} })),
        ("SchemaUnpublishedEvent", json!({})),
        ("SchemaCategoryChangedEvent", json!({ "name": null })),
        ("SchemaScriptsConfiguredEvent", json!({ "scripts": null })),
        ("SchemaScriptsConfiguredEvent", json!({ "scripts": { "unknown": 1 } })),
        ("ScriptsConfiguredEvent", json!({ "scriptQuery": " ", "scriptChange": null })),
        ("SchemaPreviewUrlsConfiguredEvent", json!({ "previewUrls": null })),
        ("SchemaFieldRulesConfiguredEvent", json!({})),
        ("SchemaUIFieldsConfiguredEvent", json!({ "fieldsInLists": ["b", "a"] })),
        ("FieldUpdatedEvent", json!({ "fieldId": "1,a", "properties": { "$type": "StringField" } })),
        ("FieldUpdatedEvent", json!({ "fieldId": "9,x", "properties": null })),
        ("WebhookDeletedEvent", json!({ "id": "4827f8cb-ec10-4b38-930a-7c5ac722a12f" })),
        ("NoopEvent", json!({})),
    ];
    for (event_type, own) in equal {
        let given = after(event_type, own.clone());
        assert_eq!(version(&given), 0.0, "{event_type} {own}");
        assert_eq!(snapshot(&given).get_i64("Version").ok(), Some(1), "{event_type}");
        assert_eq!(inside(&given, "lastModified"), Bson::from("1970-01-01T00:00:01Z"));
    }
    let given = after("SchemaPreviewUrlsConfiguredEvent", json!({ "previewUrls": { "a": "1", "b": "2" } }))
        .event("SchemaPreviewUrlsConfiguredEvent", payload(json!({ "previewUrls": { "b": "2", "a": "1" } })));
    assert_eq!(version(&given), 1.0);
}

#[test]
fn what_differs_replaces_the_former() {
    let scripts = json!({ "scriptQuery": "q", "scriptChange": "c", "scriptUpdate": "" });
    let given = after("ScriptsConfiguredEvent", scripts);
    let expected = doc! {
        "change": "c", "create": null, "update": null, "delete": null, "query": "q", "queryPre": null,
    };
    assert_eq!(inside(&given, "scripts").to_string(), Bson::from(expected).to_string());
    let given = given
        .event("SchemaScriptsConfiguredEvent", payload(json!({ "scripts": null })))
        .event("SchemaUpdatedEvent", payload(json!({ "properties": { "label": "l" } })))
        .event("SchemaPublishedEvent", payload(json!({})))
        .event("SchemaUIFieldsConfiguredEvent", payload(json!({ "fieldsInReferences": [] })))
        .headers(at(9))
        .event("SchemaCategoryChangedEvent", payload(json!({ "name": "c", "actor": "client:x" })));
    assert_eq!(inside(&given, "scripts/change"), Bson::Null);
    assert_eq!(inside(&given, "properties/label"), Bson::from("l"));
    assert_eq!(inside(&given, "isPublished"), Bson::Boolean(true));
    assert_eq!(inside(&given, "fieldsInReferences").to_string(), "[]");
    assert_eq!(inside(&given, "category"), Bson::from("c"));
    assert_eq!((version(&given), inside(&given, "lastModifiedBy")), (6.0, Bson::from("client:x")));
    assert_eq!(inside(&given, "lastModified"), Bson::from("1970-01-01T00:00:09Z"));
    after("SchemaUpdatedEvent", json!({ "properties": null })).then_fails("refused");
    after("FieldUpdatedEvent", json!({ "fieldId": "1,a" })).then_fails("refused");
    let other = json!({ "fieldId": "1,a", "properties": { "$type": "Number" } });
    after("FieldUpdatedEvent", other).then_fails("refused");
}

#[test]
fn a_delete_is_the_end() {
    let given = after("SchemaDeletedEvent", json!({ "permanent": true }))
        .event("SchemaPublishedEvent", payload(json!({})))
        .event("SchemaCreatedEventV2", payload(json!({ "schema": { "name": "x" } })));
    let document = snapshot(&given);
    assert_eq!((version(&given), document.get_i64("Version").ok()), (1.0, Some(3)));
    assert_eq!(document.get_bool("_dl").ok(), Some(true));
    given.event_text("SchemaPublishedEvent", "{").then_fails("payload");
}

#[test]
fn the_payload_of_every_known_type_is_read() {
    for event_type in [
        "SchemaCreatedEventV2",
        "SchemaCreatedEvent",
        "SchemaUpdatedEvent",
        "SchemaDeletedEvent",
        "SchemaPublishedEvent",
        "SchemaUnpublishedEvent",
        "SchemaCategoryChangedEvent",
        "SchemaScriptsConfiguredEvent",
        "ScriptsConfiguredEvent",
        "SchemaPreviewUrlsConfiguredEvent",
        "SchemaFieldRulesConfiguredEvent",
        "SchemaUIFieldsConfiguredEvent",
        "SchemaFieldsReorderedEvent",
        "FieldAddedEvent",
        "FieldUpdatedEvent",
        "FieldDeletedEvent",
        "FieldLockedEvent",
        "FieldHiddenEvent",
        "FieldShownEvent",
        "FieldDisabledEvent",
        "FieldEnabledEvent",
        "WebhookAddedEvent",
        "WebhookDeletedEvent",
        "NoopEvent",
    ] {
        places().event_text(event_type, "{").then_fails("payload");
    }
    assert_eq!(version(&places().event_text("FieldRenamedEvent", "{")), 0.0);
}
