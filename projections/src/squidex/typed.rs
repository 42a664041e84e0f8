//! Typed JSON: a value is read into the form that Squidex writes, whatever form it was stored in.
//!
//! A [`Kind`] says what a value is; a table of [`Member`]s what an object has, in Squidex's order. Names of
//! members match in any case, the last of several counts, unknown ones are dropped, absent ones get their
//! default. Invariant: a value that is read is of its kind, and reading it again gives the same value.

mod reader;
mod tree;

use std::marker::PhantomData;

use serde::de::DeserializeSeed;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::id::EMPTY_ID;
use super::quick::{NotPlain, Plain, Reader};
use super::value::DEPTH_MAX;

/// What a value is. Text, lists, maps and objects may be null, and are by default.
#[allow(dead_code, reason = "apps and teams don't need all kinds; schemas and rules do")]
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// True or false.
    Bool,
    /// A whole number, also as text.
    Int32,
    /// As [`Int32`](Self::Int32).
    Int64,
    /// A number, also as text.
    Double,
    /// One of these names in any case, or a number: 0 is the first name. The first one is the default. A
    /// number without a name stays a number.
    Enum(&'static [&'static str]),
    /// The id of a domain object; null and the default are the empty id.
    Id,
    /// A GUID, in lower case.
    Guid,
    /// The status of a content.
    Status,
    /// An instant, in Squidex's format.
    Instant,
    /// The code of a language, also null.
    Language,
    /// Any JSON value; every number becomes a double.
    Json,
    /// Null, or of this kind.
    Optional(&'static Kind),
    /// An array.
    List(&'static Kind),
    /// An object whose keys are data: each at its first place with its last value.
    Map(&'static Kind),
    /// As [`Map`](Self::Map), its keys GUIDs.
    GuidMap(&'static Kind),
    /// An object with these members.
    Object(&'static [Member]),
    /// This text, whatever is stored: the name of an object's type.
    Constant(&'static str),
    /// What this function makes of the stored value, whose numbers are as they were stored, but of null;
    /// an error says what is expected instead.
    Custom(fn(Value) -> Result<Value, String>),
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    name: &'static str,
    kind: Kind,
    /// Whether an absent member is empty instead of null.
    is_empty: bool,
}

impl Member {
    /// A member of this name and kind.
    pub(super) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_empty: false }
    }

    /// The same member, which is an empty list, map or object when it is absent.
    pub(super) const fn or_empty(self) -> Self {
        Self { is_empty: true, ..self }
    }

    fn default_value(&self) -> Value {
        match self.kind {
            Kind::List(_) if self.is_empty => Value::Array(Vec::new()),
            Kind::Map(_) | Kind::GuidMap(_) if self.is_empty => Value::Object(Map::new()),
            Kind::Object(table) if self.is_empty => empty(table),
            kind => kind.default_value(),
        }
    }

    /// A text.
    pub(super) const fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }

    /// True or false.
    pub(super) const fn bool(name: &'static str) -> Self {
        Self::new(name, Kind::Bool)
    }
}

impl Kind {
    /// The value of an absent member.
    pub(super) fn default_value(&self) -> Value {
        match self {
            Self::Bool => false.into(),
            Self::Int32 | Self::Int64 => 0.into(),
            Self::Double => 0.0.into(),
            Self::Enum(names) => names.first().copied().into(),
            Self::Id | Self::Guid => EMPTY_ID.into(),
            Self::Status => "Unknown".into(),
            Self::Instant => "1970-01-01T00:00:00Z".into(),
            Self::Constant(text) => (*text).into(),
            Self::Text
            | Self::Language
            | Self::Json
            | Self::Optional(_)
            | Self::List(_)
            | Self::Map(_)
            | Self::GuidMap(_)
            | Self::Object(_)
            | Self::Custom(_) => Value::Null,
        }
    }

    /// Reads a tree as a value of this kind.
    ///
    /// # Errors
    /// Says what was expected, if Squidex couldn't read it.
    pub(super) fn read(&'static self, tree: &Value) -> Result<Value, String> {
        let seed = reader::Seed { kind: self, levels: DEPTH_MAX - 1 };
        seed.deserialize(tree).map_err(|error| error.to_string())
    }
}

/// An object of these members with their defaults.
pub(super) fn empty(table: &'static [Member]) -> Value {
    let default = |member: &Member| (member.name.to_owned(), member.default_value());
    Value::Object(table.iter().map(default).collect())
}

/// The member of this name, in any case, the last of several.
pub(super) fn member<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    object.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Gives a property of a payload its kind.
pub(super) trait Shape {
    /// The kind.
    const KIND: &'static Kind;
}

/// The value of a property, in the form in which Squidex writes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Typed<S>(pub(super) Value, PhantomData<S>);

impl<S: Shape> Default for Typed<S> {
    fn default() -> Self {
        Self(S::KIND.default_value(), PhantomData)
    }
}

impl<'de, S: Shape> Deserialize<'de> for Typed<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The payload's own object is the first level.
        let seed = reader::Seed { kind: S::KIND, levels: DEPTH_MAX - 1 };
        Ok(Self(seed.deserialize(deserializer)?, PhantomData))
    }
}

/// The quick reader leaves typed values to serde.
impl<'de, S: Shape> Plain<'de> for Typed<S> {
    fn read(_reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        Err(NotPlain)
    }
}

#[cfg(test)]
mod tests;
