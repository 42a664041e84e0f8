//! Creations of schemas, in today's form and in the first one.

use bson::Bson;
use serde_json::{Value, json};
use statefold_projections::testing::Given;

use crate::schemas::names;
use crate::support::{created, field, inside, payload, schema, version};

#[test]
fn the_first_form_numbers_fields_and_loses_properties() {
    let own = json!({
        "name": "old", "singleton": true, "publish": true, "properties": { "label": "lost" },
        "fields": [
            {
                "name": "a", "partitioning": "language", "isHidden": true, "properties": { "$type": "Array" },
                "nested": [
                    { "name": "n", "isDisabled": true, "properties": { "$type": "Json" } },
                    { "name": "m", "properties": { "$type": "Json" } },
                ],
            },
            { "name": "b", "isLocked": true, "properties": { "$type": "Json" }, "nested": [] },
        ],
    });
    let given = schema().event("SchemaCreatedEvent", payload(own));
    assert_eq!((names(&given), inside(&given, "type")), ("a b".into(), Bson::from("Singleton")));
    assert_eq!(inside(&given, "isPublished"), Bson::Boolean(true));
    assert_eq!(inside(&given, "fields/0/children/1/id"), Bson::Double(3.0));
    assert_eq!(inside(&given, "fields/0/children/0/isDisabled"), Bson::Boolean(true));
    assert_eq!(
        (inside(&given, "fields/1/id"), inside(&given, "fields/1/children")),
        (Bson::Double(4.0), Bson::Null)
    );
    assert_eq!(inside(&given, "schemaFieldsTotal"), Bson::Double(4.0));
    assert_eq!(inside(&given, "properties/label"), Bson::Null);
    let fieldless = schema().event("SchemaCreatedEvent", payload(json!({ "name": "old", "fields": null })));
    assert_eq!(inside(&fieldless, "fields").to_string(), "[]");
    let null = json!({ "fields": [{ "name": "a", "properties": null }] });
    schema().event("SchemaCreatedEvent", payload(null)).then_fails("refused");
}

#[test]
fn a_schema_is_created_whole_or_not_at_all() {
    for refused in [
        json!({ "schema": null }),
        json!({ "schema": { "name": "a", "fields": null } }),
        json!({ "schema": { "name": "a" }, "schemaId": null }),
    ] {
        schema().event("SchemaCreatedEventV2", payload(refused)).then_fails("refused");
    }
    for unreadable in [
        json!({ "schema": { "fields": [null] } }),
        json!({ "schema": { "fields": [{ "id": 1 }] } }),
        json!({ "schema": { "fields": [{ "id": 1.5, "properties": { "$type": "Json" } }] } }),
        json!({ "schema": { "type": null } }),
        json!({ "schema": { "fieldRules": [{ "action": "Hide", "field": "" }] } }),
        json!({ "schema": { "fieldRules": [{ "action": 9, "field": "a" }] } }),
        json!({ "schema": {}, "schemaId": "one" }),
        json!({ "schema": [] }),
    ] {
        schema().event("SchemaCreatedEventV2", payload(unreadable)).then_fails("payload");
    }
    let appless = payload(json!({ "schema": {}, "appId": null }));
    schema().event("SchemaCreatedEventV2", appless).then_fails("missing_field");
    // A member that is null can't be compared with a new one.
    let null = schema().event("SchemaCreatedEventV2", payload(json!({ "schema": { "scripts": null } })));
    assert_eq!(inside(&null, "scripts"), Bson::Null);
    null.event("SchemaScriptsConfiguredEvent", payload(json!({ "scripts": {} }))).then_fails("refused");
}

#[test]
fn fields_twice_are_found_out_when_one_is_looked_for() {
    let ids = || created(json!([field(1, "a", "JsonField"), field(1, "b", "JsonField")]));
    assert_eq!(names(&ids()), "a b");
    ids().event("FieldHiddenEvent", payload(json!({ "fieldId": "1,a" }))).then_fails("refused");
    let names_twice = || created(json!([field(1, "a", "JsonField"), field(2, "a", "JsonField")]));
    let hidden = names_twice().event("FieldHiddenEvent", payload(json!({ "fieldId": "2,a" })));
    assert_eq!(version(&hidden), 1.0);
    let added = json!({ "fieldId": "3,c", "name": "c", "properties": { "$type": "Json" } });
    names_twice().event("FieldAddedEvent", payload(added)).then_fails("refused");
}

#[test]
fn a_schema_may_say_itself_when_and_by_whom_it_was_created() {
    let with = |more: Value| {
        let mut schema = json!({ "name": "places", "fields": [field(1, "a", "JsonField")] });
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        schema_created(schema)
    };
    let by = |given: &Given| (inside(given, "createdBy"), inside(given, "created"));
    let of_event = (Bson::from("subject:ann"), Bson::from("1970-01-01T00:00:01Z"));
    assert_eq!(by(&with(json!({ "createdBy": null, "created": "1970-01-01T00:00:00Z" }))), of_event);
    let given = with(json!({ "createdBy": "bob", "Created": "2020-01-01T00:00:00.5Z", "isDeleted": true }));
    assert_eq!(by(&given), (Bson::from("subject:bob"), Bson::from("2020-01-01T00:00:00.5Z")));
    assert_eq!(inside(&given, "lastModifiedBy"), Bson::from("subject:ann"));
    assert_eq!(version(&given.event("SchemaPublishedEvent", payload(json!({})))), 0.0);
    let inner = json!({ "name": "inner", "fields": [] });
    let given = schema_created(json!({ "name": "outer", "schemaDef": inner, "createdBy": "bob" }));
    assert_eq!((inside(&given, "name"), inside(&given, "createdBy")), ("inner".into(), "subject:bob".into()));
    for unreadable in [json!({ "created": "yesterday" }), json!({ "isDeleted": null })] {
        with(unreadable).then_fails("payload");
    }
}

fn schema_created(whole: Value) -> Given {
    schema().event("SchemaCreatedEventV2", payload(json!({ "schema": whole })))
}
