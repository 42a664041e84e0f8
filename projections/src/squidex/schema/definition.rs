//! What a schema is apart from who made it and when: the members of its `Doc`, in the order of Squidex.
//!
//! Invariant: a member that is set anew to an equal value leaves everything as it was.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use crate::FoldError;
use crate::squidex::doc::heap_bytes_of;
use crate::squidex::typed::{Kind, Member, empty};

/// The members of a schema and its fields.
#[derive(Debug)]
pub(super) struct Definition {
    /// All members in their order; the place of the fields is kept by null.
    members: Map<String, Value>,
    pub(super) fields: Fields,
}

impl Default for Definition {
    fn default() -> Self {
        Self::new("Default", None, false, Fields::default())
    }
}

impl Definition {
    /// A schema with defaults for all else.
    pub(super) fn new(kind: &str, name: Option<String>, is_published: bool, fields: Fields) -> Self {
        let mut members = Map::new();
        let of_members: [(&str, Value); 12] = [
            ("type", kind.into()),
            ("name", name.into()),
            ("category", Value::Null),
            ("isPublished", is_published.into()),
            ("fields", Value::Null),
            ("fieldRules", json!([])),
            ("fieldsInLists", json!([])),
            ("fieldsInReferences", json!([])),
            ("scripts", empty(SCRIPTS)),
            ("properties", empty(PROPERTIES)),
            ("previewUrls", json!({})),
            ("schemaFieldsTotal", 0.into()),
        ];
        members.extend(of_members.map(|(name, value)| (name.to_owned(), value)));
        let mut definition = Self { members, fields };
        definition.count_fields();
        definition
    }

    /// This schema with these fields, and with the other members that `stored` has.
    pub(super) fn with(mut self, fields: Fields, stored: &Value) -> Self {
        for (name, value) in self.members.iter_mut().filter(|(name, _)| *name != "fields") {
            if let Some(stored) = stored.get(name) {
                value.clone_from(stored);
            }
        }
        self.fields = fields;
        self.count_fields();
        self
    }

    /// Sets the number of fields, which is the greatest id of one.
    pub(super) fn count_fields(&mut self) {
        let total = self.fields.max_id();
        self.members.insert("schemaFieldsTotal".to_owned(), total.into());
    }

    /// The name.
    pub(super) fn name(&self) -> Option<&str> {
        self.members.get("name").and_then(Value::as_str)
    }

    /// Sets a member that may be null; returns true if it differs.
    pub(super) fn set(&mut self, name: &'static str, value: Value) -> bool {
        let differs = self.members.get(name) != Some(&value);
        if differs {
            self.members.insert(name.to_owned(), value);
        }
        differs
    }

    /// Replaces a member that is compared with its former value; returns true if it differs.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if either is null.
    pub(super) fn replace(&mut self, name: &'static str, value: Value) -> Result<bool, FoldError> {
        if value.is_null() || self.members.get(name).is_none_or(Value::is_null) {
            return Err(FoldError::Refused(format!("`{name}` of the schema is null")));
        }
        Ok(self.set(name, value))
    }

    /// Deletes a root field, and its name from the lists of names; returns true if there was one.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if two fields have the same id, or if there is no list of names.
    pub(super) fn delete_field(&mut self, id: i64) -> Result<bool, FoldError> {
        let Some(field) = self.fields.remove(id)? else { return Ok(false) };
        for list in ["fieldsInLists", "fieldsInReferences"] {
            let Some(Value::Array(names)) = self.members.get_mut(list) else {
                return Err(FoldError::Refused(format!("`{list}` of the schema is null")));
            };
            if let Some(at) = names.iter().position(|name| name.as_str() == field.name.as_deref()) {
                names.remove(at);
            }
        }
        Ok(true)
    }

    /// The members as the state's JSON has them.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut members = self.members.clone();
        members.insert("fields".to_owned(), self.fields.to_json());
        members
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        heap_bytes_of(&self.members) + self.fields.heap_bytes()
    }
}

/// The scripts of a schema.
pub(super) const SCRIPTS: &[Member] = &[
    Member::text("change"),
    Member::text("create"),
    Member::text("update"),
    Member::text("delete"),
    Member::text("query"),
    Member::text("queryPre"),
];

/// The properties of a schema.
pub(super) const PROPERTIES: &[Member] = &[
    Member::new("tags", Kind::List(&Kind::Text)),
    Member::new("searchFields", Kind::List(&Kind::Text)),
    Member::text("contentsSidebarUrl"),
    Member::text("contentSidebarUrl"),
    Member::text("contentEditorUrl"),
    Member::text("contentsListUrl"),
    Member::bool("validateOnPublish"),
    Member::text("label"),
    Member::text("hints"),
];

/// A rule of a field, which must name a field.
pub(super) const FIELD_RULE: Kind = Kind::Custom(|stored| {
    static RULE: Kind = Kind::Object(&[
        Member::new("action", Kind::Enum(&["Disable", "Hide", "Require"])),
        Member::text("field"),
        Member::text("condition"),
    ]);
    let rule = RULE.read(&stored)?;
    let text = |name: &str| rule.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    if text("action") && text("field") { Ok(rule) } else { Err("expected a rule of a field".into()) }
});
