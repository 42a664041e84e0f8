//! Objects of several types, whose type is named by one of their members.
//!
//! Invariant: the member's own name matches in its exact case, wherever in the object it stands; the name
//! of the type matches in any case. That is how Squidex finds them.

use serde_json::{Map, Value};

use super::typed::Kind;

/// The name of the discriminator that is understood everywhere.
const GENERAL: &str = "$type";

/// A family of types.
#[derive(Debug)]
pub(super) struct Types {
    /// Name of the member that names the type, beside the general one.
    pub(super) discriminator: &'static str,
    /// The types, each with its name as it is written, and with what it has beside the discriminator.
    pub(super) all: &'static [(&'static str, Kind)],
    /// The end that old names of types lack; empty if there is none.
    pub(super) suffix: &'static str,
}

impl Types {
    /// Name of the type of an object, as it is stored.
    ///
    /// # Errors
    /// Says what is expected, if that isn't an object that names a type.
    pub(super) fn name_in<'v>(&self, value: &'v Value) -> Result<&'v str, String> {
        let object = value.as_object().ok_or("expected an object")?;
        let names_type = |name: &str| name == self.discriminator || name == GENERAL;
        let name = object.iter().find(|(name, _)| names_type(name)).map(|(_, name)| name);
        let text = name.ok_or_else(|| format!("expected a member `{}`", self.discriminator))?.as_str();
        text.ok_or_else(|| format!("`{}`: expected a string", self.discriminator))
    }

    /// Name, as it is written, and kind of the type of this name; `None` if there is no such type.
    pub(super) fn find(&self, name: &str) -> Option<&'static (&'static str, Kind)> {
        // Lengths are compared first: nearly all types differ in theirs.
        let without_suffix = name.len() + self.suffix.len();
        let is = |known: &str| {
            known.eq_ignore_ascii_case(name)
                || known.len() == without_suffix
                    && known.strip_suffix(self.suffix).is_some_and(|short| short.eq_ignore_ascii_case(name))
        };
        self.all.iter().find(|(known, _)| is(known))
    }

    /// Name, as it is written, and kind of the type of an object.
    ///
    /// # Errors
    /// Says what is expected, if the object names no type, or one that there isn't.
    pub(super) fn of(&self, value: &Value) -> Result<&'static (&'static str, Kind), String> {
        let name = self.name_in(value)?;
        self.find(name).ok_or_else(|| format!("`{}`: there is no type `{name}`", self.discriminator))
    }

    /// Reads an object as its type says: the discriminator first, in the form in which it is written.
    ///
    /// # Errors
    /// Says what is expected, if the object has no type of this family, or doesn't fit it.
    pub(super) fn read(&self, value: &Value) -> Result<Value, String> {
        let (name, kind) = self.of(value)?;
        Ok(self.object(name, kind.read(value)?))
    }

    /// An object of the type of this name, with the members of another one.
    pub(super) fn object(&self, name: &str, members: Value) -> Value {
        let mut object = Map::new();
        object.insert(self.discriminator.to_owned(), name.into());
        if let Value::Object(members) = members {
            object.extend(members);
        }
        Value::Object(object)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    const TYPES: Types = Types {
        discriminator: "kind",
        all: &[("RoundShape", Kind::Text), ("Square", Kind::Bool)],
        suffix: "Shape",
    };

    #[test]
    fn a_type_is_found_wherever_it_is_named() {
        let name = |value: Value| TYPES.of(&value).map(|(name, _)| *name);
        assert_eq!(name(json!({ "kind": "RoundShape" })).unwrap(), "RoundShape");
        assert_eq!(name(json!({ "a": { "kind": 1 }, "kind": "round" })).unwrap(), "RoundShape");
        assert_eq!(name(json!({ "a": 1, "$type": "SQUARE" })).unwrap(), "Square");
        assert_eq!(name(json!({ "$type": "Square", "kind": "Round" })).unwrap(), "Square");
    }

    #[test]
    fn what_names_no_type_has_none() {
        for value in [
            json!(1),
            json!([]),
            json!({}),
            json!({ "Kind": "Square" }),
            json!({ "$Type": "Square" }),
            json!({ "kind": 1 }),
            json!({ "kind": null }),
            json!({ "kind": "" }),
            json!({ "kind": "Shape" }),
            json!({ "kind": "SquareShape" }),
        ] {
            assert!(TYPES.of(&value).is_err(), "{value}");
        }
    }
}
