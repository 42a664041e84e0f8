//! The fields of a schema, or those nested in an array field: an ordered list that is addressed by id.
//!
//! Invariant: what fails in Squidex fails here, too. There a list with an id or a name twice is found out
//! only when something asks for an id or a name; until then it is kept.

use serde_json::{Value, json};

use super::properties::FieldProperties;
use crate::FoldError;

/// A field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) id: i64,
    pub(super) name: Option<String>,
    /// Not known of a nested field, which is partitioned as the array is.
    pub(super) partitioning: Option<Partitioning>,
    pub(super) is_hidden: bool,
    pub(super) is_locked: bool,
    pub(super) is_disabled: bool,
    pub(super) properties: FieldProperties,
    /// The nested fields of an array field; no other field has any.
    pub(super) children: Option<Fields>,
}

/// Whether a field has one value, or one for each language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Partitioning {
    Invariant,
    Language,
}

impl Partitioning {
    /// The partitioning of a text: what isn't `language`, in any case, is `invariant`.
    pub(super) fn of(text: Option<&str>) -> Self {
        match text {
            Some(text) if text.eq_ignore_ascii_case("language") => Self::Language,
            _ => Self::Invariant,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Invariant => "invariant",
            Self::Language => "language",
        }
    }
}

impl Field {
    /// A new root field, visible and unlocked.
    pub(super) fn root(
        id: i64,
        name: Option<String>,
        partitioning: Partitioning,
        properties: FieldProperties,
    ) -> Self {
        let children = properties.is_array().then(Fields::default);
        Self {
            id,
            name,
            partitioning: Some(partitioning),
            is_hidden: false,
            is_locked: false,
            is_disabled: false,
            properties,
            children,
        }
    }

    /// A new nested field, visible and unlocked.
    ///
    /// # Errors
    /// [`FoldError::Refused`] for an array, which can't be nested.
    pub(super) fn nested(
        id: i64,
        name: Option<String>,
        properties: FieldProperties,
    ) -> Result<Self, FoldError> {
        if properties.is_array() {
            return Err(FoldError::Refused(format!("field {id} is an array inside an array field")));
        }
        Ok(Self { partitioning: None, ..Self::root(id, name, Partitioning::Invariant, properties) })
    }

    /// Replaces the properties by others of the same type; returns true if they differ.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if there are none, or if they are of another type.
    pub(super) fn update(&mut self, properties: Option<FieldProperties>) -> Result<bool, FoldError> {
        let Some(properties) = properties else {
            return Err(FoldError::Refused(format!("field {} was updated to null", self.id)));
        };
        if properties.type_name() != self.properties.type_name() {
            let (id, old, new) = (self.id, self.properties.type_name(), properties.type_name());
            return Err(FoldError::Refused(format!("field {id} is a {old}, and can't become a {new}")));
        }
        let changed = properties != self.properties;
        if changed {
            self.properties = properties;
        }
        Ok(changed)
    }

    fn heap_bytes(&self) -> usize {
        let name = self.name.as_ref().map_or(0, String::capacity);
        name + self.properties.heap_bytes() + self.children.as_ref().map_or(0, Fields::heap_bytes)
    }

    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "partitioning": self.partitioning.map(Partitioning::name),
            "isHidden": self.is_hidden,
            "isLocked": self.is_locked,
            "isDisabled": self.is_disabled,
            "properties": self.properties.to_json(),
            "children": self.children.as_ref().map(Fields::to_json),
        })
    }
}

/// An ordered list of fields.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<Field>);

impl Fields {
    /// Fields in this order.
    pub(super) fn new(fields: Vec<Field>) -> Self {
        Self(fields)
    }

    /// The greatest id of a field, those nested included; 0 if there is none.
    pub(super) fn max_id(&self) -> i64 {
        let nested = |field: &Field| field.children.as_ref().map_or(0, Self::max_id);
        self.0.iter().map(|field| field.id.max(nested(field))).fold(0, i64::max)
    }

    /// Position of the field with this id.
    fn position(&self, id: i64) -> Result<Option<usize>, FoldError> {
        self.check_ids()?;
        Ok(self.0.iter().position(|field| field.id == id))
    }

    /// That no two fields have the same id.
    fn check_ids(&self) -> Result<(), FoldError> {
        let mut ids: Vec<i64> = self.0.iter().map(|field| field.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let is_unique = ids.len() == self.0.len();
        is_unique.then_some(()).ok_or_else(|| FoldError::Refused("two fields have the same id".into()))
    }

    /// Takes the field with this id away; `None` if there is no such field.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if two fields have the same id.
    pub(super) fn remove(&mut self, id: i64) -> Result<Option<Field>, FoldError> {
        Ok(self.position(id)?.map(|at| self.0.remove(at)))
    }

    /// Adds a field at the end.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if a field with that id or name exists already, or if a field has no name.
    pub(super) fn add(&mut self, field: Field) -> Result<(), FoldError> {
        let mut names = Vec::with_capacity(self.0.len() + 1);
        for field in self.0.iter().chain([&field]) {
            let nameless = || FoldError::Refused(format!("field {} has no name", field.id));
            names.push(field.name.as_deref().ok_or_else(nameless)?);
        }
        names.sort_unstable();
        if let Some([name, _]) = names.windows(2).find(|pair| pair.first() == pair.last()) {
            return Err(FoldError::Refused(format!("a field with the name `{name}` exists already")));
        }
        if self.position(field.id)?.is_some() {
            return Err(FoldError::Refused(format!("a field with the id {} exists already", field.id)));
        }
        self.0.push(field);
        Ok(())
    }

    /// Changes the field with this id; returns true if there is one and `change` did so.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if two fields have the same id, and any error of `change`.
    pub(super) fn change(
        &mut self,
        id: i64,
        change: impl FnOnce(&mut Field) -> Result<bool, FoldError>,
    ) -> Result<bool, FoldError> {
        let at = self.position(id)?;
        at.and_then(|at| self.0.get_mut(at)).map_or(Ok(false), change)
    }

    /// Puts the fields into the order of these ids; returns true if it was another one.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if there aren't as many ids as fields, or if one is of no field.
    pub(super) fn reorder(&mut self, ids: &[i64]) -> Result<bool, FoldError> {
        let is_of_a_field = |id: &i64| self.0.iter().any(|field| field.id == *id);
        if ids.len() != self.0.len() || !ids.iter().all(is_of_a_field) {
            return Err(FoldError::Refused("an order of fields doesn't cover all fields".into()));
        }
        self.check_ids()?;
        if self.0.iter().map(|field| field.id).eq(ids.iter().copied()) {
            return Ok(false);
        }
        // An id twice leaves another one out: Squidex puts that field first.
        self.0.sort_by_cached_key(|field| ids.iter().position(|id| *id == field.id));
        Ok(true)
    }

    /// The fields as the state's JSON has them.
    pub(super) fn to_json(&self) -> Value {
        Value::Array(self.0.iter().map(Field::to_json).collect())
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let of_fields: usize = self.0.iter().map(Field::heap_bytes).sum();
        self.0.capacity() * size_of::<Field>() + of_fields
    }
}
