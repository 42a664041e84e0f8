//! The typed properties of fields: what each type of field has, in the order in which Squidex writes it.

use serde_json::{Map, Value};

use crate::squidex::discriminator::Types;
use crate::squidex::doc::heap_bytes;
use crate::squidex::id::EMPTY_ID;
use crate::squidex::typed::{Kind, Member};

/// The properties of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FieldProperties(Value);

impl FieldProperties {
    /// Properties that were [read](read); `None` of null.
    pub(super) fn of(value: Value) -> Option<Self> {
        (!value.is_null()).then_some(Self(value))
    }

    /// Name of the type of field.
    pub(super) fn type_name(&self) -> &str {
        self.0.get(TYPES.discriminator).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the field is an array of objects, which have fields of their own.
    pub(super) fn is_array(&self) -> bool {
        self.type_name() == "ArrayField"
    }

    /// The properties as JSON.
    pub(super) fn to_json(&self) -> &Value {
        &self.0
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        heap_bytes(&self.0)
    }
}

/// The properties of a field, or null.
pub(super) const KIND: Kind = Kind::Custom(|stored| read(&stored));

/// Reads the properties of a field.
///
/// # Errors
/// Says what is expected, if Squidex couldn't read them.
pub(super) fn read(stored: &Value) -> Result<Value, String> {
    let mut read = TYPES.read(stored)?;
    if let (Some(stored), Some(read)) = (stored.as_object(), read.as_object_mut()) {
        set_in_order(stored, read)?;
    }
    Ok(read)
}

/// Some properties set each other, so that it counts in which order they are stored.
fn set_in_order(stored: &Map<String, Value>, read: &mut Map<String, Value>) -> Result<(), String> {
    static ID: Kind = Kind::Id;
    static IDS: Kind = Kind::List(&Kind::Id);
    static EXPECTED_TYPE: Kind = Kind::Optional(&ASSET_TYPE);
    let (one_or_many, asset) = (read.contains_key("schemaId"), read.contains_key("mustBeImage"));
    for (name, value) in stored {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let (target, value) = if one_or_many && is("schemaId") {
            let id = ID.read(value)?;
            ("schemaIds", if id == EMPTY_ID { Value::Null } else { Value::Array(vec![id]) })
        } else if one_or_many && is("schemaIds") {
            ("schemaIds", IDS.read(value)?)
        } else if asset && is("expectedType") {
            ("expectedType", EXPECTED_TYPE.read(value)?)
        } else if asset && is("mustBeImage") && *value == true {
            ("expectedType", "Image".into())
        } else if asset && (is("resolveFirst") || is("resolveImage")) {
            ("resolveFirst", value.clone())
        } else {
            continue;
        };
        read.insert(target.to_owned(), value);
    }
    if one_or_many {
        let first = read.get("schemaIds").and_then(|ids| ids.get(0)).cloned();
        read.insert("schemaId".to_owned(), first.unwrap_or_else(|| EMPTY_ID.into()));
    }
    // They are read, but never written.
    read.shift_remove("mustBeImage");
    read.shift_remove("resolveImage");
    Ok(())
}

const TYPES: Types = Types {
    discriminator: "$type",
    all: &[
        ("ArrayField", Kind::Object(ARRAY)),
        ("AssetsField", Kind::Object(ASSETS)),
        ("BooleanField", Kind::Object(BOOLEAN)),
        ("ComponentField", Kind::Object(COMPONENT)),
        ("ComponentsField", Kind::Object(COMPONENTS)),
        ("DateTimeField", Kind::Object(DATE_TIME)),
        ("GeolocationField", Kind::Object(GEOLOCATION)),
        ("JsonField", Kind::Object(JSON)),
        ("NumberField", Kind::Object(NUMBER)),
        ("ReferencesField", Kind::Object(REFERENCES)),
        ("RichTextField", Kind::Object(RICH_TEXT)),
        ("StringField", Kind::Object(STRING)),
        ("TagsField", Kind::Object(TAGS)),
        ("UIField", Kind::Object(UI)),
        ("UserInfoField", Kind::Object(USER_INFO)),
    ],
    suffix: "Field",
};

const ASSET_TYPE: Kind = Kind::Enum(&["Unknown", "Image", "Audio", "Video"]);

/// A whole number, or null.
const fn int(name: &'static str) -> Member {
    Member::new(name, Kind::Optional(&Kind::Int32))
}

/// A number, or null.
const fn double(name: &'static str) -> Member {
    Member::new(name, Kind::Optional(&Kind::Double))
}

/// An instant, or null.
const fn instant(name: &'static str) -> Member {
    Member::new(name, Kind::Optional(&Kind::Moment))
}

/// An array of texts, or null.
const fn texts(name: &'static str) -> Member {
    Member::new(name, Kind::List(&Kind::Text))
}

/// An array of ids, or null.
const fn ids(name: &'static str) -> Member {
    Member::new(name, Kind::List(&Kind::Id))
}

/// One of these names.
const fn choice(name: &'static str, names: &'static [&'static str]) -> Member {
    Member::new(name, Kind::Enum(names))
}

/// Values by language, or null.
const fn localized(name: &'static str, kind: &'static Kind) -> Member {
    Member::new(name, Kind::Map(kind))
}

/// Declares what a type of field has, before what every type has.
macro_rules! types {
    ($($type:ident: [$($member:expr),* $(,)?])*) => {$(
        const $type: &[Member] = &[
            $($member,)*
            Member::bool("isRequired"),
            Member::bool("isRequiredOnPublish"),
            Member::bool("isHalfWidth"),
            Member::bool("isCreateOnly"),
            Member::text("placeholder"),
            Member::text("editorUrl"),
            texts("tags"),
            Member::text("label"),
            Member::text("hints"),
        ];
    )*};
}

types! {
    ARRAY: [
        int("minItems"),
        int("maxItems"),
        choice("calculatedDefaultValue", &["EmptyArray", "Null"]),
        texts("uniqueFields"),
    ]
    ASSETS: [
        choice("previewMode", &["ImageAndFileName", "Image", "FileName"]),
        localized("defaultValues", &Kind::List(&Kind::Text)),
        texts("defaultValue"),
        Member::text("folderId"),
        Member::text("previewFormat"),
        int("minItems"),
        int("maxItems"),
        int("minWidth"),
        int("maxWidth"),
        int("minHeight"),
        int("maxHeight"),
        int("minSize"),
        int("maxSize"),
        int("aspectWidth"),
        int("aspectHeight"),
        Member::new("expectedType", Kind::Optional(&ASSET_TYPE)),
        Member::bool("allowDuplicates"),
        Member::bool("resolveFirst"),
        Member::bool("mustBeImage"),
        Member::bool("resolveImage"),
        texts("allowedExtensions"),
    ]
    BOOLEAN: [
        localized("defaultValues", &Kind::Optional(&Kind::Bool)),
        Member::new("defaultValue", Kind::Optional(&Kind::Bool)),
        Member::bool("inlineEditable"),
        choice("editor", &["Checkbox", "Toggle"]),
    ]
    COMPONENT: [
        Member::new("schemaId", Kind::Id),
        ids("schemaIds"),
    ]
    COMPONENTS: [
        int("minItems"),
        int("maxItems"),
        texts("uniqueFields"),
        choice("calculatedDefaultValue", &["EmptyArray", "Null"]),
        Member::new("schemaId", Kind::Id),
        ids("schemaIds"),
    ]
    DATE_TIME: [
        localized("defaultValues", &Kind::Optional(&Kind::Moment)),
        instant("defaultValue"),
        instant("maxValue"),
        instant("minValue"),
        Member::text("format"),
        Member::new("calculatedDefaultValue", Kind::Optional(&Kind::Enum(&["Now", "Today"]))),
        choice("editor", &["Date", "DateTime"]),
    ]
    GEOLOCATION: [choice("editor", &["Map"])]
    JSON: [Member::text("graphQLSchema")]
    NUMBER: [
        Member::new("allowedValues", Kind::List(&Kind::Double)),
        localized("defaultValues", &Kind::Optional(&Kind::Double)),
        double("defaultValue"),
        double("maxValue"),
        double("minValue"),
        Member::bool("isUnique"),
        Member::bool("inlineEditable"),
        choice("editor", &["Input", "Radio", "Dropdown", "Stars"]),
    ]
    REFERENCES: [
        localized("defaultValues", &Kind::List(&Kind::Text)),
        texts("defaultValue"),
        int("minItems"),
        int("maxItems"),
        Member::bool("resolveReference"),
        Member::bool("allowDuplicates"),
        Member::bool("mustBePublished"),
        Member::text("query"),
        choice("editor", &["List", "Dropdown", "Tags", "Checkboxes", "Input", "Radio"]),
        Member::new("schemaId", Kind::Id),
        ids("schemaIds"),
    ]
    RICH_TEXT: [
        Member::text("folderId"),
        int("minLength"),
        int("maxLength"),
        int("minCharacters"),
        int("maxCharacters"),
        int("minWords"),
        int("maxWords"),
        texts("classNames"),
        ids("schemaIds"),
    ]
    STRING: [
        texts("allowedValues"),
        texts("classNames"),
        localized("defaultValues", &Kind::Text),
        Member::text("defaultValue"),
        Member::text("pattern"),
        Member::text("patternMessage"),
        Member::text("folderId"),
        int("minLength"),
        int("maxLength"),
        int("minCharacters"),
        int("maxCharacters"),
        int("minWords"),
        int("maxWords"),
        Member::bool("isUnique"),
        Member::bool("isEmbeddable"),
        Member::bool("inlineEditable"),
        Member::bool("createEnum"),
        choice("contentType", &["Unspecified", "Html", "Markdown"]),
        choice(
            "editor",
            &[
                "Input", "Color", "Markdown", "Dropdown", "Html", "Radio", "RichText", "Slug", "StockPhoto",
                "TextArea",
            ],
        ),
        ids("schemaIds"),
    ]
    TAGS: [
        texts("allowedValues"),
        localized("defaultValues", &Kind::List(&Kind::Text)),
        texts("defaultValue"),
        int("minItems"),
        int("maxItems"),
        Member::bool("createEnum"),
        choice("editor", &["Tags", "Checkboxes", "Dropdown"]),
        choice("normalization", &["None", "Schema"]),
    ]
    UI: [choice("editor", &["Separator"])]
    USER_INFO: [Member::text("defaultRole")]
}
