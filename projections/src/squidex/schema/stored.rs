//! A whole schema, or the fields of one, as the event of its creation stores it: the form of today, and the
//! first one, whose fields have no ids.

use serde_json::Value;

use super::definition::{Definition, FIELD_RULE, PROPERTIES, SCRIPTS};
use super::fields::{Field, Fields, Partitioning};
use super::properties::{self, FieldProperties};
use crate::FoldError;
use crate::squidex::json::Text;
use crate::squidex::payload::actor;
use crate::squidex::time::{self, Moment};
use crate::squidex::typed::{Kind, Member, member};

/// A schema, or null.
pub(super) const SCHEMA: Kind = Kind::Custom(|stored| {
    static CREATION: Kind = Kind::Object(&[
        Member::new("isDeleted", Kind::Bool),
        Member::new("created", Kind::Moment),
        Member::text("createdBy"),
    ]);
    let object = stored.as_object().ok_or("expected an object")?;
    // A form between the first one and today's had the schema inside of its state.
    let inner = member(object, "schemaDef").filter(|inner| !inner.is_null());
    let mut read = schema(inner.unwrap_or(&stored))?;
    if let (Value::Object(read), Value::Object(creation)) = (&mut read, CREATION.read(&stored)?) {
        read.extend(creation);
    }
    Ok(read)
});

fn schema(stored: &Value) -> Result<Value, String> {
    static MEMBERS: Kind = Kind::Object(&[
        Member::new("type", Kind::Enum(&["Default", "Singleton", "Component"])),
        Member::text("name"),
        Member::text("category"),
        Member::bool("isPublished"),
        Member::new("fields", Kind::List(&FIELD)).or_empty(),
        Member::new("fieldRules", Kind::List(&FIELD_RULE)).or_empty(),
        Member::new("fieldsInLists", Kind::List(&Kind::Text)).or_empty(),
        Member::new("fieldsInReferences", Kind::List(&Kind::Text)).or_empty(),
        Member::new("scripts", Kind::Object(SCRIPTS)).or_empty(),
        Member::new("properties", Kind::Object(PROPERTIES)).or_empty(),
        Member::new("previewUrls", Kind::Map(&Kind::Text)).or_empty(),
        Member::new("schemaFieldsTotal", Kind::Int64),
    ]);
    let read = MEMBERS.read(stored)?;
    // What has no properties can't even be read.
    fields(read.get("fields").unwrap_or(&Value::Null)).map_err(|error| error.to_string())?;
    Ok(read)
}

static FIELD: Kind = Kind::Object(&[
    Member::new("id", Kind::Int64),
    Member::text("name"),
    Member::text("partitioning"),
    Member::bool("isHidden"),
    Member::bool("isLocked"),
    Member::bool("isDisabled"),
    Member::new("properties", properties::KIND),
    Member::new("children", Kind::List(&FIELD)),
]);

/// The fields of the first form, or null.
pub(super) const FIELDS_ONCE: Kind = Kind::List(&Kind::Object(&[
    Member::text("partitioning"),
    Member::new(
        "nested",
        Kind::List(&Kind::Object(&[
            Member::text("name"),
            Member::bool("isHidden"),
            Member::bool("isLocked"),
            Member::bool("isDisabled"),
            Member::new("properties", properties::KIND),
        ])),
    ),
    Member::text("name"),
    Member::bool("isHidden"),
    Member::bool("isLocked"),
    Member::bool("isDisabled"),
    Member::new("properties", properties::KIND),
]));

/// The schema of a [`SCHEMA`] that was read.
///
/// # Errors
/// [`FoldError::Refused`] if it is null, or has null for fields.
pub(super) fn definition(schema: &Value) -> Result<Definition, FoldError> {
    let refused = || FoldError::Refused("a schema was created without fields".into());
    let stored = schema.get("fields").filter(|fields| fields.is_array()).ok_or_else(refused)?;
    Ok(Definition::default().with(fields(stored)?, schema))
}

/// When and by whom a [`SCHEMA`] that was read says that it was created, and whether it is deleted. Usually
/// it says nothing, and the event does.
///
/// # Errors
/// [`FoldError::Refused`] if the actor has only spaces and colons.
pub(super) fn creation(schema: &Value) -> Result<(Option<Moment>, Option<String>, bool), FoldError> {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    let by = actor(text("createdBy").map(|by| Text(by.into())))?;
    let is_deleted = schema.get("isDeleted") == Some(&Value::Bool(true));
    Ok((text("created").and_then(time::parse_header), by.map(|by| by.0.0.into_owned()), is_deleted))
}

/// The fields that were read of either form; none of null.
///
/// # Errors
/// [`FoldError::Refused`] if a field is null or has no properties, or if an array is inside another one.
pub(super) fn fields(stored: &Value) -> Result<Fields, FoldError> {
    let mut numbers = Numbers(0);
    let roots = elements(stored).iter().map(|stored| root(stored, &mut numbers));
    Ok(Fields::new(roots.collect::<Result<_, _>>()?))
}

fn elements(stored: &Value) -> &[Value] {
    stored.as_array().map_or(&[], Vec::as_slice)
}

/// The last number that was given to a field without an id.
struct Numbers(i64);

fn root(stored: &Value, numbers: &mut Numbers) -> Result<Field, FoldError> {
    let partitioning = Partitioning::of(stored.get("partitioning").and_then(Value::as_str));
    let (id, name, properties) = parts(stored, numbers)?;
    let mut field = with_flags(Field::root(id, name, partitioning, properties), stored);
    if field.children.is_some() {
        let stored = stored.get("children").or_else(|| stored.get("nested")).unwrap_or(&Value::Null);
        let children = elements(stored).iter().map(|stored| nested(stored, numbers));
        field.children = Some(Fields::new(children.collect::<Result<_, _>>()?));
    }
    Ok(field)
}

fn nested(stored: &Value, numbers: &mut Numbers) -> Result<Field, FoldError> {
    let (id, name, properties) = parts(stored, numbers)?;
    Ok(with_flags(Field::nested(id, name, properties)?, stored))
}

/// Id, name and properties of a field.
fn parts(stored: &Value, numbers: &mut Numbers) -> Result<(i64, Option<String>, FieldProperties), FoldError> {
    let id = stored.get("id").and_then(Value::as_i64).unwrap_or_else(|| {
        numbers.0 += 1;
        numbers.0
    });
    let name = stored.get("name").and_then(Value::as_str).map(str::to_owned);
    let properties = stored.get("properties").cloned().and_then(FieldProperties::of);
    let refused = || FoldError::Refused("a field has no properties".into());
    Ok((id, name, properties.ok_or_else(refused)?))
}

fn with_flags(mut field: Field, stored: &Value) -> Field {
    let flag = |name: &str| stored.get(name).and_then(Value::as_bool).unwrap_or(false);
    field.is_hidden = flag("isHidden");
    field.is_locked = flag("isLocked");
    field.is_disabled = flag("isDisabled");
    field
}
