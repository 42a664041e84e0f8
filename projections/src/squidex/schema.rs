//! Schemas: the fold of their events, and the documents of `States_Schemas`.

mod definition;
mod event;
mod fields;
mod properties;
mod stored;

use definition::{Definition, SCRIPTS};
use event::{Base, FieldAdded, FieldId, SchemaEvent, UiFieldsConfigured};
use fields::{Field, Partitioning};
use properties::FieldProperties;
use serde_json::{Map, Value, json};

use super::doc::{ValueRepresentation, write_doc};
use super::frame::Frame;
use super::id::{EMPTY_ID, named_id_parts};
use super::payload::actor;
use super::typed::empty;
use crate::Direction::Ascending;
use crate::{
    Event, FoldError, IndexDefinition, Lookup, Projection, Sink, Spec, StreamFilter, StreamKey, Target,
};

/// Schemas of all apps, into `States_Schemas`.
///
/// Squidex itself writes the collection without a number, which counts as generation 1, so statefold starts
/// with 2.
#[derive(Debug)]
pub struct Schemas {
    spec: Spec,
    values: ValueRepresentation,
}

impl Schemas {
    /// The projection, with `Doc` as a document.
    #[must_use]
    pub fn new() -> Self {
        Self::with_values(ValueRepresentation::default())
    }

    /// The projection, with `Doc` stored in this way.
    #[must_use]
    pub fn with_values(values: ValueRepresentation) -> Self {
        let index = IndexDefinition::on([("_ai", Ascending), ("_sn", Ascending)]);
        let target = Target::new("States_Schemas").first_unnumbered().index(index);
        let streams = StreamFilter::prefix("schema-");
        let spec = Spec::new("Schemas", 1).first_generation(2).streams(streams).target(target);
        Self { spec: values.of(spec), values }
    }
}

impl Default for Schemas {
    fn default() -> Self {
        Self::new()
    }
}

/// The folded state of one schema.
#[derive(Debug, Default)]
pub struct Schema {
    frame: Frame,
    /// `id,name`
    app: Option<String>,
    definition: Definition,
}

impl Projection for Schemas {
    type State = Schema;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn apply(&self, schema: &mut Schema, event: &Event<'_>) -> Result<(), FoldError> {
        schema.frame.count();
        let Some((mut base, change)) = SchemaEvent::read(event.event_type, &event.payload)? else {
            return Ok(());
        };
        let actor = actor(base.actor.take())?;
        if !schema.frame.is_deleted && schema.change(&base, change)? {
            schema.frame.changed(event, actor.as_ref());
        }
        Ok(())
    }

    fn snapshots(
        &self,
        _key: &StreamKey<'_>,
        schema: &Schema,
        _others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        if !schema.frame.exists() {
            return Ok(());
        }
        let app = schema.app.as_deref().ok_or(FoldError::Missing("appId"))?;
        let doc = Value::Object(schema.doc(app));
        out.put(0, |document| {
            write_doc(document, self.values, &doc);
            schema.frame.write_version(document);
            document.str("_ai", named_id_parts(app).0);
            document.str("_si", schema.frame.id());
            document.str_or_null("_sn", schema.definition.name());
            document.bool("_dl", schema.frame.is_deleted);
            schema.frame.write_created(document);
        })
    }

    fn state_bytes(&self, schema: &Schema) -> usize {
        let app = schema.app.as_ref().map_or(0, String::capacity);
        size_of_val(schema) + schema.frame.heap_bytes() + app + schema.definition.heap_bytes()
    }
}

impl Schema {
    /// Applies an event; returns true if it changed something.
    fn change(&mut self, base: &Base<'_>, event: SchemaEvent<'_>) -> Result<bool, FoldError> {
        let definition = &mut self.definition;
        match event {
            SchemaEvent::Created(created) => {
                self.create(base, created.definition()?)?;
                let (at, by, is_deleted) = created.creation()?;
                self.frame.set_creation(at, by);
                self.frame.is_deleted = is_deleted;
                Ok(true)
            }
            SchemaEvent::CreatedOnce(created) => self.create(base, created.definition()?),
            SchemaEvent::Updated(updated) => definition.replace("properties", updated.properties.0),
            SchemaEvent::Published => Ok(definition.set("isPublished", true.into())),
            SchemaEvent::Unpublished => Ok(definition.set("isPublished", false.into())),
            SchemaEvent::CategoryChanged(changed) => {
                Ok(definition.set("category", changed.name.map(|name| name.0.into_owned()).into()))
            }
            SchemaEvent::ScriptsConfigured(scripts) => {
                let scripts = or(scripts, || empty(SCRIPTS));
                definition.replace("scripts", scripts)
            }
            SchemaEvent::PreviewUrlsConfigured(configured) => {
                definition.replace("previewUrls", or(configured.urls.0, || json!({})))
            }
            SchemaEvent::FieldRulesConfigured(configured) => {
                definition.replace("fieldRules", or(configured.rules.0, || json!([])))
            }
            SchemaEvent::UiFieldsConfigured(configured) => self.configure_ui_fields(configured),
            SchemaEvent::FieldAdded(added) => self.add_field(added),
            SchemaEvent::FieldUpdated(updated) => {
                let properties = FieldProperties::of(updated.properties.0);
                self.change_field(updated.id, updated.parent, |field| field.update(properties))
            }
            SchemaEvent::FieldDeleted(deleted) => match deleted.parent {
                None => definition.delete_field(of_field(deleted.id)?),
                Some(parent) => {
                    let id = of_field(deleted.id)?;
                    definition.fields.change(parent.0, |array| match &mut array.children {
                        Some(children) => Ok(children.remove(id)?.is_some()),
                        None => Ok(false),
                    })
                }
            },
            SchemaEvent::FlagSet(flag, on, changed) => {
                self.change_field(changed.id, changed.parent, |field| {
                    Ok(std::mem::replace(flag.of(field), on) != on)
                })
            }
            SchemaEvent::FieldsReordered(reordered) => self.reorder(&reordered.ids.0, reordered.parent),
            SchemaEvent::Deleted => {
                self.frame.is_deleted = true;
                Ok(true)
            }
            SchemaEvent::Ignored => Ok(false),
        }
    }

    fn create(&mut self, base: &Base<'_>, definition: Definition) -> Result<bool, FoldError> {
        let named = base.schema_id.as_ref();
        let named = named.ok_or_else(|| FoldError::Refused("a schema was created without an id".into()))?;
        let (id, _) = named_id_parts(named.0.as_str());
        self.frame.create((id != EMPTY_ID).then(|| id.to_owned()));
        self.app = base.app_id.as_ref().map(|app| app.0.as_str().to_owned());
        self.definition = definition;
        Ok(true)
    }

    fn configure_ui_fields(&mut self, configured: UiFieldsConfigured<'_>) -> Result<bool, FoldError> {
        let mut changed = false;
        let lists =
            [("fieldsInLists", configured.in_lists.0), ("fieldsInReferences", configured.in_references.0)];
        for (list, names) in lists {
            changed |= !names.is_null() && self.definition.replace(list, names)?;
        }
        Ok(changed)
    }

    /// Adds a field, which counts as a change in any case.
    fn add_field(&mut self, added: FieldAdded<'_>) -> Result<bool, FoldError> {
        let properties = FieldProperties::of(added.properties.0);
        let properties =
            properties.ok_or_else(|| FoldError::Refused("a field was added without properties".into()))?;
        let (id, name) = (of_field(added.id)?, added.name.map(|name| name.0.into_owned()));
        match added.parent {
            Some(parent) => {
                let field = Field::nested(id, name, properties)?;
                self.definition.fields.change(parent.0, |array| match &mut array.children {
                    Some(children) => children.add(field).map(|()| true),
                    None => Err(FoldError::Refused(format!("field {} is no array", array.id))),
                })?;
            }
            None => {
                let partitioning = Partitioning::of(added.partitioning.as_ref().map(|text| text.as_str()));
                self.definition.delete_field(id)?;
                self.definition.fields.add(Field::root(id, name, partitioning, properties))?;
            }
        }
        self.definition.count_fields();
        Ok(true)
    }

    /// Changes a root field, or one nested in an array field; returns true if there is one and it changed.
    fn change_field(
        &mut self,
        id: Option<FieldId>,
        parent: Option<FieldId>,
        change: impl FnOnce(&mut Field) -> Result<bool, FoldError>,
    ) -> Result<bool, FoldError> {
        let (id, fields) = (of_field(id)?, &mut self.definition.fields);
        match parent {
            None => fields.change(id, change),
            Some(parent) => fields.change(parent.0, |array| match &mut array.children {
                Some(children) => children.change(id, change),
                None => Ok(false),
            }),
        }
    }

    fn reorder(&mut self, ids: &Value, parent: Option<FieldId>) -> Result<bool, FoldError> {
        let ids = ids.as_array().ok_or_else(|| FoldError::Refused("an order of fields is null".into()))?;
        let ids: Vec<i64> = ids.iter().filter_map(Value::as_i64).collect();
        let fields = &mut self.definition.fields;
        match parent {
            None => fields.reorder(&ids),
            Some(parent) => fields.change(parent.0, |array| match &mut array.children {
                Some(children) => children.reorder(&ids),
                None => Ok(false),
            }),
        }
    }

    fn doc(&self, app: &str) -> Map<String, Value> {
        let mut doc = self.definition.to_json();
        doc.insert("appId".to_owned(), app.into());
        doc.insert("isDeleted".to_owned(), self.frame.is_deleted.into());
        self.frame.end_doc(&mut doc);
        doc
    }
}

/// The id of the field that an event is about.
fn of_field(id: Option<FieldId>) -> Result<i64, FoldError> {
    id.map(|id| id.0).ok_or_else(|| FoldError::Refused("an event of a field names no field".into()))
}

/// The value, or another one for null.
fn or(value: Value, other: impl FnOnce() -> Value) -> Value {
    if value.is_null() { other() } else { value }
}
