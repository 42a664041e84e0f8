//! Paths of fields in expressions: `a.b` goes through arrays, and gives an array then.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::value::Value;

/// The value at a path of a document.
pub(super) fn in_document<'a>(document: &'a Document, path: &[String]) -> Value<'a> {
    let (first, rest) = path.split_first()?;
    let value = document.get(first)?;
    match (rest.is_empty(), value) {
        (_, Bson::Undefined) => None,
        (true, value) => Some(Cow::Borrowed(value)),
        (false, value) => in_value(value, rest),
    }
}

/// The value at a path of a value; the value itself if the path is empty.
pub(super) fn in_value<'a>(value: &'a Bson, path: &[String]) -> Value<'a> {
    match value {
        Bson::Undefined => None,
        value if path.is_empty() => Some(Cow::Borrowed(value)),
        Bson::Document(document) => in_document(document, path),
        Bson::Array(items) => {
            let documents = items.iter().filter_map(Bson::as_document);
            let found = documents.filter_map(|item| in_document(item, path).map(Cow::into_owned));
            Some(Cow::Owned(Bson::Array(found.collect())))
        }
        _ => None,
    }
}

/// The value at a path of a value that may be gone when the result is used.
pub(super) fn of_value<'a>(value: &Value<'a>, path: &[String]) -> Value<'a> {
    match value {
        Some(Cow::Borrowed(value)) => in_value(value, path),
        Some(Cow::Owned(value)) => in_value(value, path).map(|found| Cow::Owned(found.into_owned())),
        None => None,
    }
}

/// Divides a path at its dots and checks the names.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(path: &str) -> Result<Vec<String>, String> {
    path.split('.').map(|name| check_name(name).map(|()| name.to_owned())).collect()
}

/// Checks one name of a path.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    match name {
        "" => Err("a path has an empty name".to_owned()),
        _ if name.starts_with('$') => Err(format!("the name `{name}` in a path begins with `$`")),
        _ if name.contains('\0') => Err("a name has a NUL character".to_owned()),
        _ => Ok(()),
    }
}
