//! What values are, and what objects have: the tables that a value is read by.

use serde_json::{Map, Value};

use crate::squidex::id::EMPTY_ID;

/// What a value is. Text, lists, maps and objects may be null, and are by default.
#[derive(Debug, Clone, Copy)]
pub(in crate::squidex) enum Kind {
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
    Moment,
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
    /// What this function makes of the stored value, whose numbers are as they were stored, but of null;
    /// an error says what is expected instead.
    Custom(fn(Value) -> Result<Value, String>),
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub(in crate::squidex) struct Member {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether an absent member is empty instead of null.
    is_empty: bool,
}

impl Member {
    /// A member of this name and kind.
    pub(in crate::squidex) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_empty: false }
    }

    /// The same member, which is an empty list, map or object when it is absent.
    pub(in crate::squidex) const fn or_empty(self) -> Self {
        Self { is_empty: true, ..self }
    }

    pub(super) fn default_value(&self) -> Value {
        match self.kind {
            Kind::List(_) if self.is_empty => Value::Array(Vec::new()),
            Kind::Map(_) | Kind::GuidMap(_) if self.is_empty => Value::Object(Map::new()),
            Kind::Object(table) if self.is_empty => empty(table),
            kind => kind.default_value(),
        }
    }

    /// A text.
    pub(in crate::squidex) const fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }

    /// True or false.
    pub(in crate::squidex) const fn bool(name: &'static str) -> Self {
        Self::new(name, Kind::Bool)
    }
}

impl Kind {
    /// The value of an absent member.
    pub(in crate::squidex) fn default_value(&self) -> Value {
        match self {
            Self::Bool => false.into(),
            Self::Int32 | Self::Int64 => 0.into(),
            Self::Double => 0.0.into(),
            Self::Enum(names) => names.first().copied().into(),
            Self::Id | Self::Guid => EMPTY_ID.into(),
            Self::Status => "Unknown".into(),
            Self::Moment => "1970-01-01T00:00:00Z".into(),
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
}

/// An object of these members with their defaults.
pub(in crate::squidex) fn empty(table: &'static [Member]) -> Value {
    let default = |member: &Member| (member.name.to_owned(), member.default_value());
    Value::Object(table.iter().map(default).collect())
}
