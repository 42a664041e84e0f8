//! Values as expressions see them: a BSON value, or none where a field is missing.

use std::borrow::Cow;

use bson::Bson;

use super::decimal::Decimal;
use super::error::{Fault, wrong};

/// A value, borrowed where it can be; `None` is missing.
pub(super) type Value<'a> = Option<Cow<'a, Bson>>;

/// What an operator returns; `None` is missing.
pub(super) type Outcome = Result<Option<Bson>, Fault>;

/// The values of an operator's arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Args<'a> {
    values: &'a [Value<'a>],
    given: u32,
}

impl<'a> Args<'a> {
    /// The values, and a bit for each argument that was written.
    pub(super) fn new(values: &'a [Value<'a>], given: u32) -> Self {
        Self { values, given }
    }

    /// Number of arguments.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The value of one argument.
    pub(super) fn get(&self, at: usize) -> Option<&'a Bson> {
        self.values.get(at).and_then(|value| value.as_deref())
    }

    /// Whether a named argument was written.
    pub(super) fn is_given(&self, at: usize) -> bool {
        at < self.values.len()
            && self.given.checked_shr(u32::try_from(at).unwrap_or(32)).unwrap_or(0) & 1 == 1
    }

    /// Whether one argument is null or missing.
    pub(super) fn is_nullish(&self, at: usize) -> bool {
        is_nullish(self.get(at))
    }

    /// All values.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&'a Bson>> {
        self.values.iter().map(|value| value.as_deref())
    }

    /// An argument that must be a string.
    pub(super) fn text(&self, at: usize) -> Result<&'a str, Fault> {
        match self.get(at) {
            Some(Bson::String(text)) => Ok(text),
            other => expected("a string", other),
        }
    }

    /// An argument that must be an array.
    pub(super) fn array(&self, at: usize) -> Result<&'a [Bson], Fault> {
        match self.get(at) {
            Some(Bson::Array(items)) => Ok(items),
            other => expected("an array", other),
        }
    }
}

/// Fails on a value of another type.
pub(super) fn expected<T>(what: &str, found: Option<&Bson>) -> Result<T, Fault> {
    wrong(format!("expected {what}, found {}", type_name(found)))
}

/// Whether it is null, undefined or missing.
pub(super) fn is_nullish(value: Option<&Bson>) -> bool {
    matches!(value, None | Some(Bson::Null | Bson::Undefined))
}

/// Whether it counts as true.
pub(super) fn is_true(value: Option<&Bson>) -> bool {
    match value {
        None | Some(Bson::Null | Bson::Undefined) => false,
        Some(Bson::Boolean(value)) => *value,
        Some(Bson::Int32(value)) => *value != 0,
        Some(Bson::Int64(value)) => *value != 0,
        Some(Bson::Double(value)) => *value != 0.0,
        Some(Bson::Decimal128(value)) => !Decimal::read(value).is_zero(),
        Some(_) => true,
    }
}

/// The name of a type, as `$type` has it.
pub(super) fn type_name(value: Option<&Bson>) -> &'static str {
    let Some(value) = value else { return "missing" };
    match value {
        Bson::Double(_) => "double",
        Bson::String(_) => "string",
        Bson::Array(_) => "array",
        Bson::Document(_) => "object",
        Bson::Boolean(_) => "bool",
        Bson::Null => "null",
        Bson::RegularExpression(_) => "regex",
        Bson::JavaScriptCode(_) => "javascript",
        Bson::JavaScriptCodeWithScope(_) => "javascriptWithScope",
        Bson::Int32(_) => "int",
        Bson::Int64(_) => "long",
        Bson::Timestamp(_) => "timestamp",
        Bson::Binary(_) => "binData",
        Bson::ObjectId(_) => "objectId",
        Bson::DateTime(_) => "date",
        Bson::Symbol(_) => "symbol",
        Bson::Decimal128(_) => "decimal",
        Bson::Undefined => "undefined",
        Bson::MaxKey => "maxKey",
        Bson::MinKey => "minKey",
        Bson::DbPointer(_) => "dbPointer",
    }
}
