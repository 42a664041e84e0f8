//! Paths of fields in expressions: `a.b` goes through arrays, and gives an array then.

use std::borrow::Cow;

use bson::Bson;

use super::members::Members;
use super::value::Value;

/// The value at a path of an object; a copy of the object itself if the path is empty.
pub(super) fn in_members<'a>(members: &'a dyn Members, path: &[String]) -> Value<'a> {
    let Some((first, rest)) = path.split_first() else {
        return Some(Cow::Owned(Bson::Document(members.copy())));
    };
    in_value(members.get(first)?, rest)
}

/// The value at a path of a value; the value itself if the path is empty.
pub(super) fn in_value<'a>(value: &'a Bson, path: &[String]) -> Value<'a> {
    match value {
        Bson::Undefined => None,
        value if path.is_empty() => Some(Cow::Borrowed(value)),
        Bson::Document(document) => in_members(document, path),
        Bson::Array(items) => {
            let documents = items.iter().filter_map(Bson::as_document);
            let found = documents.filter_map(|item| in_members(item, path).map(Cow::into_owned));
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
