//! Triggers of rules: their types, and what the first ones became.

use serde_json::{Value, json};

use crate::squidex::discriminator::Types;
use crate::squidex::typed::{Kind, Member};

/// A trigger, or null. One of an unknown type is kept as it is.
pub(super) const KIND: Kind = Kind::Custom(|stored| match TYPES.find(TYPES.name_in(&stored)?) {
    Some(_) => TYPES.read(&stored),
    None => Ok(stored),
});

/// Name of the type of a trigger that was read.
pub(super) fn type_name(trigger: &Value) -> &str {
    TYPES.name_in(trigger).unwrap_or_default()
}

/// Name of the type of a trigger that was read, if there is no such type.
pub(super) fn unknown(trigger: &Value) -> Option<&str> {
    TYPES.name_in(trigger).ok().filter(|name| TYPES.find(name).is_none())
}

const TYPES: Types = Types {
    discriminator: "triggerType",
    all: &[
        ("AssetChangedTriggerV2", CONDITION),
        ("CommentTrigger", CONDITION),
        (
            "ContentChangedTriggerV2",
            Kind::Object(&[
                Member::new("schemas", Kind::List(&SCHEMA)),
                Member::new("referencedSchemas", Kind::List(&SCHEMA)),
                Member::bool("handleAll"),
            ]),
        ),
        (
            "CronJobTrigger",
            Kind::Object(&[
                Member::text("cronExpression"),
                Member::text("cronTimezone"),
                Member::new("value", Kind::Json),
            ]),
        ),
        ("ManualTrigger", Kind::Object(&[])),
        ("SchemaChangedTrigger", CONDITION),
        (
            "UsageTrigger",
            Kind::Object(&[
                Member::new("limit", Kind::Int32),
                Member::new("numDays", Kind::Optional(&Kind::Int32)),
            ]),
        ),
        (ASSET_CHANGED_ONCE, Kind::Object(&SENT_OF_ASSET)),
        (
            CONTENT_CHANGED_ONCE,
            Kind::Object(&[Member::new("schemas", Kind::List(&SCHEMA_ONCE)), Member::bool("handleAll")]),
        ),
    ],
    suffix: "",
};

const CONDITION: Kind = Kind::Object(&[Member::text("condition")]);

const SCHEMA: Kind = Kind::Object(&[Member::new("schemaId", Kind::Id), Member::text("condition")]);

// The first forms, in which every kind of change had a flag.

const ASSET_CHANGED_ONCE: &str = "AssetChangedTrigger";

const SENT_OF_ASSET: [Member; 4] = [
    Member::bool("sendCreate"),
    Member::bool("sendUpdate"),
    Member::bool("sendRename"),
    Member::bool("sendDelete"),
];

const CONTENT_CHANGED_ONCE: &str = "ContentChangedTrigger";

const SCHEMA_ONCE: Kind = Kind::Object(&[
    Member::new("schemaId", Kind::Guid),
    Member::bool("sendCreate"),
    Member::bool("sendUpdate"),
    Member::bool("sendDelete"),
    Member::bool("sendPublish"),
    Member::bool("sendUnpublish"),
    Member::bool("sendArchived"),
    Member::bool("sendRestore"),
]);

/// The trigger of a former event in its current form.
///
/// # Errors
/// Says what is expected, if a trigger for contents has no list of schemas.
pub(super) fn current(trigger: Value) -> Result<Value, String> {
    match type_name(&trigger) {
        ASSET_CHANGED_ONCE => {
            let conditions = [
                ("sendCreate", "event.type == 'Created'"),
                ("sendUpdate", "event.type == 'Updated'"),
                ("sendRename", "event.type == 'Annotated'"),
                ("sendDelete", "event.type == 'Deleted'"),
            ];
            let members = json!({ "condition": condition(&trigger, &conditions) });
            Ok(TYPES.object("AssetChangedTriggerV2", members))
        }
        CONTENT_CHANGED_ONCE => {
            let conditions = [
                ("sendCreate", "event.type == 'Created'"),
                ("sendUpdate", "event.type == 'Updated'"),
                ("sendPublish", "event.type == 'Published'"),
                ("sendArchived", "event.status == 'Archived'"),
                ("sendDelete", "event.type == 'Deleted'"),
            ];
            let schemas = trigger.get("schemas").and_then(Value::as_array);
            let schema = |once: &Value| match once {
                Value::Null => Err("expected a schema"),
                _ => {
                    Ok(json!({ "schemaId": once.get("schemaId"), "condition": condition(once, &conditions) }))
                }
            };
            let schemas = schemas.ok_or("expected a list of schemas")?.iter().map(schema);
            let members = json!({
                "schemas": schemas.collect::<Result<Vec<Value>, _>>()?,
                "referencedSchemas": null,
                "handleAll": trigger.get("handleAll"),
            });
            Ok(TYPES.object("ContentChangedTriggerV2", members))
        }
        _ => Ok(trigger),
    }
}

/// The condition that stands for the flags that are set.
fn condition(flags: &Value, conditions: &[(&str, &str)]) -> String {
    let set = |(flag, _): &&(&str, &str)| flags.get(*flag) == Some(&Value::Bool(true));
    let set: Vec<&str> = conditions.iter().filter(set).map(|(_, condition)| *condition).collect();
    if set.is_empty() { "false".to_owned() } else { set.join(" || ") }
}
