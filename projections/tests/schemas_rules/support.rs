//! Events of schemas and rules, as Squidex's own writer would write them.

use bson::{Bson, Document, doc};
use serde_json::{Value, json};
use statefold_projections::squidex::{Rules, Schemas};
use statefold_projections::testing::{Given, given};

/// These properties, and those of every event of the schema `app--one` or the rule `app--one`.
pub(crate) fn payload(own: Value) -> Value {
    let mut all = json!({ "appId": "app,hotels", "actor": "subject:ann", "fromRule": false });
    if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
        all.insert("schemaId".into(), "one,places".into());
        all.insert("ruleId".into(), "one".into());
        all.extend(own);
    }
    all
}

/// Headers of an event in this second after the epoch, the epoch itself being "not set".
pub(crate) fn at(second: u32) -> Document {
    doc! { "Timestamp": format!("1970-01-01T00:00:{second:02}Z") }
}

/// The snapshot, in the order of its elements.
pub(crate) fn snapshot(given: &Given) -> Document {
    let outcome = given.outcome().unwrap_or_else(|failure| panic!("the stream doesn't fold: {failure}"));
    outcome.into_values().next().unwrap_or_else(|| panic!("the stream has no snapshot"))
}

/// A value inside of `Doc`, its names and positions parted by slashes.
pub(crate) fn inside(given: &Given, path: &str) -> Bson {
    let mut value = snapshot(given).remove("Doc").unwrap();
    for step in path.split('/') {
        value = match value {
            Bson::Document(mut document) => document.remove(step).unwrap_or_else(|| panic!("no {step}")),
            Bson::Array(mut items) => items.remove(step.parse().unwrap()),
            other => panic!("{other} has no {step}"),
        };
    }
    value
}

/// Version of the state: the number of effective events, less one.
pub(crate) fn version(given: &Given) -> f64 {
    inside(given, "version").as_f64().unwrap()
}

/// A stream of a schema without events.
pub(crate) fn schema() -> Given {
    given(Schemas::new()).stream("schema-app--one").headers(at(1))
}

/// A field of a new schema.
pub(crate) fn field(id: i64, name: &str, kind: &str) -> Value {
    json!({ "id": id, "name": name, "partitioning": "invariant", "properties": { "$type": kind } })
}

/// A stream with a new schema of these fields.
pub(crate) fn created(fields: Value) -> Given {
    let names = json!(["b", "a"]);
    let schema = json!({
        "type": "Default", "name": "places", "fields": fields, "fieldsInLists": names,
        "fieldsInReferences": ["a"],
    });
    self::schema().event("SchemaCreatedEventV2", payload(json!({ "schema": schema }))).headers(at(2))
}

/// A stream of a rule without events.
pub(crate) fn rule() -> Given {
    given(Rules::new()).stream("rule-app--one").headers(at(1))
}
