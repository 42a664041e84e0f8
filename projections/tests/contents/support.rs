//! Contents, apps and schemas, as Squidex writes them.

use bson::{Document, doc};
use serde_json::{Value, json};
use statefold_projections::squidex::Contents;
use statefold_projections::testing::{Given, Outcome, given};

pub(crate) const ALL: &str = "States_Contents_All";
pub(crate) const PUBLISHED: &str = "States_Contents_Published";

/// Headers of an event in this second after the epoch, the epoch itself being "not set".
pub(crate) fn at(second: u32) -> Document {
    doc! { "EventId": format!("event-{second}"), "Timestamp": format!("1970-01-01T00:00:{second:02}Z") }
}

/// The payload with what every event of a content has.
pub(crate) fn payload(own: Value) -> Value {
    let mut all = json!({
        "contentId": "one", "schemaId": "posts,blog", "appId": "app,hotels", "actor": "subject:ann",
        "fromRule": false,
    });
    if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
        all.extend(own);
    }
    all
}

/// A stream without events.
pub(crate) fn content() -> Given {
    given(Contents::new()).stream("content-app--one")
}

/// A stream with a content of this status and these data.
pub(crate) fn created(status: &str, data: Value) -> Given {
    content()
        .headers(at(1))
        .event("ContentCreatedEventV2", payload(json!({ "status": status, "data": data })))
        .headers(at(2))
}

/// A stream with a content that was published with these data, as text.
pub(crate) fn with_data(data: &str) -> Given {
    content().headers(at(1)).event_text("ContentCreatedEventV2", &text("data", data)).headers(at(2))
}

/// A payload with data, as text.
pub(crate) fn text(property: &str, data: &str) -> String {
    format!(
        r#"{{"status":"Published","{property}":{data},"contentId":"one","schemaId":"posts,blog",
        "appId":"app,hotels"}}"#
    )
}

pub(crate) fn outcome(given: &Given) -> Outcome {
    given.outcome()
}

/// The document in `States_Contents_All`.
pub(crate) fn all(given: &Given) -> Document {
    let mut outcome = outcome(given).unwrap_or_else(|failure| panic!("the stream doesn't fold: {failure}"));
    outcome.remove(ALL).unwrap_or_else(|| panic!("the stream has no snapshot"))
}

/// The document in `States_Contents_Published`, if there is one.
pub(crate) fn published(given: &Given) -> Option<Document> {
    outcome(given).unwrap_or_else(|failure| panic!("the stream doesn't fold: {failure}")).remove(PUBLISHED)
}

/// The names of a document's elements, in order.
pub(crate) fn names(document: &Document) -> String {
    document.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The data of a document, in order.
pub(crate) fn data(document: &Document) -> String {
    document.get("do").map(ToString::to_string).unwrap_or_default()
}

/// The snapshot of an app with these languages.
pub(crate) fn app(languages: &[&str]) -> Document {
    let languages: Document =
        languages.iter().map(|code| ((*code).to_owned(), doc! { "fallback": [] }.into())).collect();
    doc! {
        "_id": "app", "Doc": { "name": "hotels", "languages": { "languages": languages, "master": "en" } },
        "_dl": false,
    }
}

/// The snapshot of a schema with these fields.
pub(crate) fn schema(id: &str, fields: &[Document]) -> Document {
    doc! { "_id": format!("app--{id}"), "Doc": { "type": "Default", "fields": fields }, "_dl": false }
}

/// A field of this type.
pub(crate) fn field(name: &str, kind: &str) -> Document {
    doc! {
        "id": 1.0, "name": name, "partitioning": "invariant", "properties": { "§type": kind },
        "children": null,
    }
}

/// A field of components of these schemas.
pub(crate) fn component(name: &str, kind: &str, schema_ids: &[&str]) -> Document {
    let mut field = field(name, kind);
    field.insert("properties", doc! { "§type": kind, "schemaIds": schema_ids });
    field
}
