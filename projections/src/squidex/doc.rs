//! The element `Doc` of apps, teams, schemas and rules: a whole state as one JSON value, stored in one of
//! three ways.

mod text;

use serde_json::{Map, Value};

use super::value::escape;
use crate::{DocumentWriter, Spec};

/// How `Doc` is stored: Squidex's setting `store:mongoDb:valueRepresentation`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum ValueRepresentation {
    /// As an embedded document, the default of Squidex.
    #[default]
    Document,
    /// As JSON text.
    Text,
    /// As the bytes of that text.
    Binary,
}

impl ValueRepresentation {
    /// The specification of a projection whose documents are stored in this form.
    pub(super) fn of(self, spec: Spec) -> Spec {
        match self {
            Self::Document => spec,
            Self::Text => spec.variant("values=string"),
            Self::Binary => spec.variant("values=binary"),
        }
    }
}

/// Writes the element `Doc`.
pub(super) fn write_doc(document: &mut DocumentWriter<'_>, representation: ValueRepresentation, doc: &Value) {
    match representation {
        ValueRepresentation::Document => write(document, "Doc", doc),
        ValueRepresentation::Text => document.str("Doc", &text::of(doc)),
        ValueRepresentation::Binary => document.binary("Doc", text::of(doc).as_bytes()),
    }
}

/// Writes a value: every number is a double, and keys are escaped at every level.
fn write(document: &mut DocumentWriter<'_>, name: &str, value: &Value) {
    match value {
        Value::Null => document.null(name),
        Value::Bool(value) => document.bool(name, *value),
        // Without arbitrary precision, every number of serde_json is one.
        Value::Number(number) => document.f64(name, number.as_f64().unwrap_or_default()),
        Value::String(value) => document.str(name, value),
        Value::Array(items) => document.array(name, |array| {
            for item in items {
                array.push(|document, name| write(document, name, item));
            }
        }),
        Value::Object(members) => document.document(name, |inner| {
            for (key, value) in members {
                write(inner, &escape(key), value);
            }
        }),
    }
}

/// Heap memory of a value, in bytes: about, for it depends on the allocator.
pub(super) fn heap_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.capacity(),
        Value::Array(items) => {
            items.capacity() * size_of::<Value>() + items.iter().map(heap_bytes).sum::<usize>()
        }
        Value::Object(members) => heap_bytes_of(members),
    }
}

/// As [`heap_bytes`], of an object's members.
pub(super) fn heap_bytes_of(members: &Map<String, Value>) -> usize {
    /// An entry beside its key and value: its hash, and its place in the table.
    const ENTRY_BYTES: usize = 24;
    let entry = |(key, value): (&String, &Value)| {
        ENTRY_BYTES + size_of::<String>() + key.capacity() + size_of::<Value>() + heap_bytes(value)
    };
    members.iter().map(entry).sum()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bson::{RawDocument, doc, spec::BinarySubtype};
    use serde_json::json;

    use super::*;
    use crate::Snapshots;

    fn written(representation: ValueRepresentation, value: &Value) -> bson::Document {
        let mut snapshots = Snapshots::new(1);
        let write = |document: &mut DocumentWriter<'_>| write_doc(document, representation, value);
        snapshots.of_stream("k", |sink| sink.put(0, write)).unwrap();
        let bytes = snapshots.targets().first().unwrap().documents().next().unwrap();
        bson::Document::try_from(RawDocument::from_bytes(bytes).unwrap()).unwrap()
    }

    #[test]
    fn a_value_is_stored_as_document_text_or_bytes() {
        let value = json!({ "$type": "a", "b.c": [1, -2.5, { "": null }], "d": { "$e": true } });
        let inner = doc! { "§type": "a", "b_§§_c": [1.0, -2.5, { "§empty": null }], "d": { "§e": true } };
        let expected = doc! { "_id": "k", "Doc": inner };
        assert_eq!(written(ValueRepresentation::Document, &value).to_string(), expected.to_string());
        let text = r#"{"$type":"a","b.c":[1,-2.5,{"":null}],"d":{"$e":true}}"#;
        assert_eq!(written(ValueRepresentation::Text, &value), doc! { "_id": "k", "Doc": text });
        let bytes = bson::Binary { subtype: BinarySubtype::Generic, bytes: text.into() };
        assert_eq!(written(ValueRepresentation::Binary, &value), doc! { "_id": "k", "Doc": bytes });
    }
}
