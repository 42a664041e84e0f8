//! What contents need of the snapshots of schemas and apps: which fields refer to something or are
//! translated, and the languages.
//!
//! Both are read from each form in which Squidex stores a state: a document, JSON text, or the bytes of such
//! text. Nothing else of a snapshot is kept.

use std::fmt;

use bson::{RawBsonRef, RawDocument};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::FoldError;
use crate::squidex::id::EMPTY_ID;

/// The fields of a schema.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Schema {
    pub(super) fields: Vec<Field>,
}

/// A field, of a schema or of another field.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "StoredField")]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Whether it has a value for each language.
    pub(super) is_localized: bool,
}

/// How the values of a field refer to something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An array of ids.
    Ids,
    /// An object of one of these schemas.
    Component(Vec<String>),
    /// An array of objects of these schemas.
    Components(Vec<String>),
    /// An array of objects with these fields.
    Array(Vec<Field>),
    /// Not at all.
    Other,
}

impl Kind {
    pub(super) fn can_refer(&self) -> bool {
        !matches!(self, Self::Other)
    }
}

#[derive(Deserialize)]
struct StoredField {
    name: String,
    partitioning: Option<String>,
    properties: Properties,
    children: Option<Vec<Field>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    // The second name is the escaped one, as it is stored in documents.
    #[serde(rename = "$type", alias = "§type")]
    kind: String,
    schema_ids: Option<Vec<String>>,
    /// The only allowed schema, in snapshots of former versions.
    schema_id: Option<String>,
}

impl Properties {
    fn schema_ids(self) -> Vec<String> {
        let only = || self.schema_id.filter(|id| id != EMPTY_ID).into_iter().collect();
        self.schema_ids.unwrap_or_else(only)
    }
}

impl From<StoredField> for Field {
    fn from(stored: StoredField) -> Self {
        let kind = match stored.properties.kind.trim_end_matches("Field") {
            "Assets" | "References" => Kind::Ids,
            "Component" => Kind::Component(stored.properties.schema_ids()),
            "Components" => Kind::Components(stored.properties.schema_ids()),
            "Array" => Kind::Array(stored.children.unwrap_or_default()),
            _ => Kind::Other,
        };
        Self { name: stored.name, kind, is_localized: stored.partitioning.as_deref() == Some("language") }
    }
}

/// The languages of an app, in their order.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "StoredApp")]
pub(super) struct App {
    pub(super) languages: Vec<String>,
}

#[derive(Deserialize)]
struct StoredApp {
    languages: StoredLanguages,
}

#[derive(Deserialize)]
struct StoredLanguages {
    languages: Codes,
}

struct Codes(Vec<String>);

impl From<StoredApp> for App {
    fn from(stored: StoredApp) -> Self {
        Self { languages: stored.languages.languages.0 }
    }
}

impl<'de> Deserialize<'de> for Codes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Codes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of languages")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Codes, A::Error> {
                let mut codes = Vec::new();
                while let Some((code, IgnoredAny)) = map.next_entry::<String, _>()? {
                    codes.push(code);
                }
                Ok(Codes(codes))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// Reads the state in a snapshot of an app or a schema; `None` if that is deleted.
///
/// # Errors
/// [`FoldError::Refused`] if it isn't such a state.
pub(super) fn read<T: for<'de> Deserialize<'de>>(snapshot: &RawDocument) -> Result<Option<T>, FoldError> {
    let refused = |reason: String| {
        let id = snapshot.get_str("_id").unwrap_or("?");
        FoldError::Refused(format!(
            "the snapshot {id}, which the content belongs to, is unreadable: {reason}"
        ))
    };
    if snapshot.get_bool("_dl").is_ok_and(|is_deleted| is_deleted) {
        return Ok(None);
    }
    let state = match snapshot.get("Doc") {
        Ok(Some(RawBsonRef::Document(document))) => {
            bson::deserialize_from_slice(document.as_bytes()).map_err(|error| error.to_string())
        }
        Ok(Some(RawBsonRef::String(text))) => serde_json::from_str(text).map_err(|error| error.to_string()),
        Ok(Some(RawBsonRef::Binary(binary))) => {
            serde_json::from_slice(binary.bytes).map_err(|error| error.to_string())
        }
        _ => Err("it has no `Doc`".into()),
    };
    state.map(Some).map_err(refused)
}
