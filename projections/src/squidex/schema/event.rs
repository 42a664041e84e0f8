//! Events of schemas: their type names, the payload that each has, and the conversion of former ones.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::definition::{Definition, FIELD_RULE, PROPERTIES, SCRIPTS};
use super::fields::Field;
use super::{properties, stored};
use crate::squidex::id::{Guid, NamedId, named_id_parts};
use crate::squidex::json::{Text, properties as payloads};
use crate::squidex::payload::{Nothing, read};
use crate::squidex::quick::{NotPlain, Plain, Reader};
use crate::squidex::time::Moment;
use crate::squidex::typed::{Kind, Shape, Typed};
use crate::{FoldError, Payload};

/// An event of a schema.
#[derive(Debug)]
pub(super) enum SchemaEvent<'a> {
    Created(Created<'a>),
    /// The former form.
    CreatedOnce(CreatedOnce<'a>),
    Updated(Updated<'a>),
    Published,
    Unpublished,
    CategoryChanged(CategoryChanged<'a>),
    ScriptsConfigured(Value),
    PreviewUrlsConfigured(PreviewUrlsConfigured<'a>),
    FieldRulesConfigured(FieldRulesConfigured<'a>),
    UiFieldsConfigured(UiFieldsConfigured<'a>),
    FieldAdded(FieldAdded<'a>),
    FieldUpdated(FieldUpdated<'a>),
    FieldDeleted(FieldChanged<'a>),
    FlagSet(Flag, bool, FieldChanged<'a>),
    FieldsReordered(FieldsReordered<'a>),
    Deleted,
    /// Known, but without an effect.
    Ignored,
}

/// A flag of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Flag {
    Hidden,
    Locked,
    Disabled,
}

impl Flag {
    /// Its place in a field.
    pub(super) fn of(self, field: &mut Field) -> &mut bool {
        match self {
            Self::Hidden => &mut field.is_hidden,
            Self::Locked => &mut field.is_locked,
            Self::Disabled => &mut field.is_disabled,
        }
    }
}

impl<'a> SchemaEvent<'a> {
    /// Reads an event; `None` for a type that schemas don't have, whose payload isn't read.
    ///
    /// # Errors
    /// [`FoldError::Payload`] if Squidex couldn't read the payload.
    pub(super) fn read(
        event_type: &str,
        payload: &Payload<'a>,
    ) -> Result<Option<(Base<'a>, Self)>, FoldError> {
        let is = |name: &str| event_type.eq_ignore_ascii_case(name);
        let flag = |flag, on| read(payload, |changed| Self::FlagSet(flag, on, changed));
        match event_type.len() {
            9 if is("NoopEvent") => read(payload, |_: Nothing| Self::Ignored),
            15 if is("FieldShownEvent") => flag(Flag::Hidden, false),
            15 if is("FieldAddedEvent") => read(payload, Self::FieldAdded),
            16 if is("FieldLockedEvent") => flag(Flag::Locked, true),
            16 if is("FieldHiddenEvent") => flag(Flag::Hidden, true),
            17 if is("FieldUpdatedEvent") => read(payload, Self::FieldUpdated),
            17 if is("FieldDeletedEvent") => read(payload, Self::FieldDeleted),
            17 if is("FieldEnabledEvent") => flag(Flag::Disabled, false),
            17 if is("WebhookAddedEvent") => read(payload, |_: WebhookAdded<'a>| Self::Ignored),
            18 if is("FieldDisabledEvent") => flag(Flag::Disabled, true),
            18 if is("SchemaCreatedEvent") => read(payload, Self::CreatedOnce),
            18 if is("SchemaUpdatedEvent") => read(payload, Self::Updated),
            18 if is("SchemaDeletedEvent") => read(payload, |_: Deleted<'a>| Self::Deleted),
            19 if is("WebhookDeletedEvent") => read(payload, |_: WebhookDeleted<'a>| Self::Ignored),
            20 if is("SchemaCreatedEventV2") => read(payload, Self::Created),
            20 if is("SchemaPublishedEvent") => read(payload, |_: Nothing| Self::Published),
            22 if is("SchemaUnpublishedEvent") => read(payload, |_: Nothing| Self::Unpublished),
            22 if is("ScriptsConfiguredEvent") => {
                read(payload, |once: ScriptsConfiguredOnce<'a>| Self::ScriptsConfigured(once.scripts()))
            }
            26 if is("SchemaCategoryChangedEvent") => read(payload, Self::CategoryChanged),
            26 if is("SchemaFieldsReorderedEvent") => read(payload, Self::FieldsReordered),
            28 if is("SchemaScriptsConfiguredEvent") => {
                read(payload, |new: ScriptsConfigured<'a>| Self::ScriptsConfigured(new.scripts.0))
            }
            29 if is("SchemaUIFieldsConfiguredEvent") => read(payload, Self::UiFieldsConfigured),
            31 if is("SchemaFieldRulesConfiguredEvent") => read(payload, Self::FieldRulesConfigured),
            32 if is("SchemaPreviewUrlsConfiguredEvent") => read(payload, Self::PreviewUrlsConfigured),
            _ => Ok(None),
        }
    }
}

/// Id of a field, of `id,name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldId(pub(super) i64);

impl FieldId {
    fn of(text: &str) -> Option<Self> {
        let (id, name) = named_id_parts(text);
        if name.is_empty() { None } else { id.trim_ascii().parse().ok().map(Self) }
    }
}

impl<'de> Deserialize<'de> for FieldId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let text = text.as_str();
        let expected = "a number and a name, `id,name`";
        Self::of(text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(text), &expected))
    }
}

impl<'de> Plain<'de> for FieldId {
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        Self::of(&reader.text()?).ok_or(NotPlain)
    }
}

/// Declares the shapes of typed properties.
macro_rules! shapes {
    ($($name:ident = $kind:expr;)*) => {$(
        #[derive(Debug)]
        pub(super) enum $name {}

        impl Shape for $name {
            const KIND: &'static Kind = &$kind;
        }
    )*};
}

shapes! {
    Schema = stored::SCHEMA;
    FieldsOnce = stored::FIELDS_ONCE;
    OfSchema = Kind::Object(PROPERTIES);
    OfField = properties::KIND;
    Scripts = Kind::Object(SCRIPTS);
    Urls = Kind::Map(&Kind::Text);
    Rules = Kind::List(&FIELD_RULE);
    Names = Kind::List(&Kind::Text);
    Ids = Kind::List(&Kind::Int64);
}

payloads! {
    /// Properties of every event of a schema.
    struct Base<'a> {
        "schemaId" => schema_id: Option<NamedId<'a>>,
        "appId" => app_id: Option<NamedId<'a>>,
        "actor" => actor: Option<Text<'a>>,
    }
    checked { "fromRule" => bool, }

    struct Created<'a> {
        "schema" => schema: Typed<Schema>,
    }

    /// The first form, its fields nested and without numbers.
    struct CreatedOnce<'a> {
        "name" => name: Option<Text<'a>>,
        "singleton" => singleton: bool,
        "publish" => publish: bool,
        "fields" => fields: Typed<FieldsOnce>,
    }
    checked { "properties" => Typed<OfSchema>, }

    struct Updated<'a> {
        "properties" => properties: Typed<OfSchema>,
    }

    struct CategoryChanged<'a> {
        "name" => name: Option<Text<'a>>,
    }

    struct ScriptsConfigured<'a> {
        "scripts" => scripts: Typed<Scripts>,
    }

    /// The first form.
    struct ScriptsConfiguredOnce<'a> {
        "scriptQuery" => query: Option<Text<'a>>,
        "scriptCreate" => create: Option<Text<'a>>,
        "scriptUpdate" => update: Option<Text<'a>>,
        "scriptDelete" => delete: Option<Text<'a>>,
        "scriptChange" => change: Option<Text<'a>>,
    }

    struct PreviewUrlsConfigured<'a> {
        "previewUrls" => urls: Typed<Urls>,
    }

    struct FieldRulesConfigured<'a> {
        "fieldRules" => rules: Typed<Rules>,
    }

    /// A list that is null isn't changed.
    struct UiFieldsConfigured<'a> {
        "fieldsInLists" => in_lists: Typed<Names>,
        "fieldsInReferences" => in_references: Typed<Names>,
    }

    struct FieldAdded<'a> {
        "name" => name: Option<Text<'a>>,
        "partitioning" => partitioning: Option<Text<'a>>,
        "properties" => properties: Typed<OfField>,
        "fieldId" => id: Option<FieldId>,
        "parentFieldId" => parent: Option<FieldId>,
    }

    struct FieldUpdated<'a> {
        "properties" => properties: Typed<OfField>,
        "fieldId" => id: Option<FieldId>,
        "parentFieldId" => parent: Option<FieldId>,
    }

    /// A field is to be shown, deleted or the like.
    struct FieldChanged<'a> {
        "fieldId" => id: Option<FieldId>,
        "parentFieldId" => parent: Option<FieldId>,
    }

    struct FieldsReordered<'a> {
        "fieldIds" => ids: Typed<Ids>,
        "parentFieldId" => parent: Option<FieldId>,
    }

    struct Deleted<'a> {}
    checked { "permanent" => bool, }

    struct WebhookAdded<'a> {}
    checked {
        "id" => Guid<'a>,
        "url" => Option<Text<'a>>,
        "sharedSecret" => Option<Text<'a>>,
    }

    struct WebhookDeleted<'a> {}
    checked { "id" => Guid<'a>, }
}

impl ScriptsConfiguredOnce<'_> {
    /// The scripts in their current form; a blank one is none.
    fn scripts(self) -> Value {
        let text = |script: Option<Text<'_>>| -> Value {
            script.map(|text| text.0.into_owned()).filter(|text| !text.trim().is_empty()).into()
        };
        serde_json::json!({
            "change": text(self.change),
            "create": text(self.create),
            "update": text(self.update),
            "delete": text(self.delete),
            "query": text(self.query),
            "queryPre": null,
        })
    }
}

impl Created<'_> {
    /// The schema.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if there is none, or if it has null for fields.
    pub(super) fn definition(&self) -> Result<Definition, FoldError> {
        stored::definition(&self.schema.0)
    }

    /// When and by whom the schema says that it was created, and whether it is deleted.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if the actor has only spaces and colons.
    pub(super) fn creation(&self) -> Result<(Option<Moment>, Option<String>, bool), FoldError> {
        stored::creation(&self.schema.0)
    }
}

impl CreatedOnce<'_> {
    /// The schema in its current form. Its properties are lost, as in Squidex.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if a field is null or has no properties.
    pub(super) fn definition(&self) -> Result<Definition, FoldError> {
        let kind = if self.singleton { "Singleton" } else { "Default" };
        let name = self.name.as_ref().map(|name| name.as_str().to_owned());
        Ok(Definition::new(kind, name, self.publish, stored::fields(&self.fields.0)?))
    }
}
