//! The fields in which two documents differ, for people to read.

use bson::{Bson, Document};
use serde::Serialize;

/// Most fields that are shown of one document.
const FIELDS_MAX: usize = 12;
/// Most characters that are shown of a value.
const VALUE_MAX: usize = 120;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldDifference {
    /// Its path: `do.mm.width`, `ts.2`; empty for the document as a whole.
    pub path: String,
    /// The value that the events give, as canonical extended JSON; none if the field shouldn't be there.
    pub expected: Option<String>,
    /// The value that is stored; none if the field isn't there.
    pub found: Option<String>,
    /// What is stored and what the events give, in words: `5 (int32) ≠ 5 (int64)`.
    pub words: String,
}

/// The first fields in which the stored document differs from the expected one. The order of fields doesn't
/// count, the types of numbers do.
#[must_use]
pub(crate) fn field_differences(expected: &Document, found: &Document) -> Vec<FieldDifference> {
    let mut differences = Vec::new();
    documents("", expected, found, &mut differences);
    differences
}

/// A document without the fields of these paths, as `sj._id`.
#[must_use]
pub(crate) fn without_fields(document: &Document, paths: &[String]) -> Document {
    let mut document = document.clone();
    for path in paths {
        remove(&mut document, path);
    }
    document
}

fn remove(document: &mut Document, path: &str) {
    match path.split_once('.') {
        None => _ = document.remove(path),
        Some((name, rest)) => {
            if let Ok(below) = document.get_document_mut(name) {
                remove(below, rest);
            }
        }
    }
}

fn documents(path: &str, expected: &Document, found: &Document, out: &mut Vec<FieldDifference>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, value) in expected {
        values(&below(name), Some(value), found.get(name), out);
    }
    for (name, value) in found.iter().filter(|(name, _)| !expected.contains_key(name)) {
        values(&below(name), None, Some(value), out);
    }
}

fn values(path: &str, expected: Option<&Bson>, found: Option<&Bson>, out: &mut Vec<FieldDifference>) {
    if out.len() >= FIELDS_MAX {
        return;
    }
    match (expected, found) {
        (Some(Bson::Document(expected)), Some(Bson::Document(found))) => {
            documents(path, expected, found, out);
        }
        (Some(Bson::Array(expected)), Some(Bson::Array(found))) => {
            for at in 0..expected.len().max(found.len()) {
                values(&format!("{path}.{at}"), expected.get(at), found.get(at), out);
            }
        }
        (expected, found) if expected == found => {}
        (expected, found) => out.push(FieldDifference {
            path: path.to_owned(),
            expected: expected.map(shown),
            found: found.map(shown),
            words: format!("{} ≠ {}", in_words(found), in_words(expected)),
        }),
    }
}

/// A value in one short line.
fn shown(value: &Bson) -> String {
    short(&value.clone().into_canonical_extjson().to_string())
}

/// A value as people write it, with its type where that can't be seen.
fn in_words(value: Option<&Bson>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let (text, kind) = match value {
        Bson::Int32(number) => (number.to_string(), "int32"),
        Bson::Int64(number) => (number.to_string(), "int64"),
        Bson::Double(number) => (number.to_string(), "double"),
        Bson::Decimal128(number) => (number.to_string(), "decimal"),
        Bson::DateTime(time) => match time.try_to_rfc3339_string() {
            Ok(text) => (text, "date"),
            Err(_) => (time.timestamp_millis().to_string(), "date, in milliseconds"),
        },
        Bson::ObjectId(id) => (id.to_hex(), "ObjectId"),
        Bson::Binary(binary) => (format!("{} bytes", binary.bytes.len()), "binary"),
        other => return short(&other.clone().into_relaxed_extjson().to_string()),
    };
    format!("{text} ({kind})")
}

fn short(text: &str) -> String {
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn lines(expected: &Document, found: &Document) -> Vec<String> {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let line = |field: FieldDifference| {
            format!("{} {} {}", field.path, shown(field.expected), shown(field.found))
        };
        field_differences(expected, found).into_iter().map(line).collect()
    }

    #[test]
    fn the_fields_that_differ_are_named_with_both_values() {
        let expected = doc! { "_id": "a", "n": 1_i64, "d": { "w": 3, "h": 4 }, "t": ["x", "y"] };
        let found = doc! { "_id": "a", "n": 1_i32, "d": { "h": 5, "w": 3, "k": true }, "t": ["x"] };
        assert_eq!(
            lines(&expected, &found),
            [
                r#"n {"$numberLong":"1"} {"$numberInt":"1"}"#,
                r#"d.h {"$numberInt":"4"} {"$numberInt":"5"}"#,
                "d.k - true",
                r#"t.1 "y" -"#
            ]
        );
    }

    #[test]
    fn both_values_are_said_in_words_with_their_types() {
        let expected = doc! { "n": 5_i64, "t": "b", "x": 1.5, "d": bson::DateTime::from_millis(0) };
        let found = doc! { "n": 5_i32, "t": "a", "d": "1970" };
        let words: Vec<String> =
            field_differences(&expected, &found).into_iter().map(|field| field.words).collect();
        assert_eq!(
            words,
            [
                "5 (int32) ≠ 5 (int64)",
                "\"a\" ≠ \"b\"",
                "nothing ≠ 1.5 (double)",
                "\"1970\" ≠ 1970-01-01T00:00:00Z (date)"
            ]
        );
    }

    #[test]
    fn a_field_is_left_out_by_its_path() {
        let document = doc! { "_id": "a", "sj": { "_id": "x", "n": 1 }, "rf": ["b"] };
        let left = without_fields(&document, &["sj._id", "rf", "n", "_id.x"].map(str::to_owned));
        assert_eq!(left, doc! { "_id": "a", "sj": { "n": 1 } });
    }

    #[test]
    fn the_order_of_fields_is_no_difference_and_long_values_are_cut() {
        assert!(
            lines(&doc! { "a": 1, "b": { "c": 2, "d": 3 } }, &doc! { "b": { "d": 3, "c": 2 }, "a": 1 })
                .is_empty()
        );
        let long = lines(&doc! { "a": "é".repeat(500) }, &Document::new());
        assert!(long.iter().all(|line| line.chars().count() < VALUE_MAX + 10), "{long:?}");
        let many: Document = (0..100).map(|at| (at.to_string(), Bson::Null)).collect();
        assert_eq!(lines(&many, &Document::new()).len(), FIELDS_MAX);
    }
}
