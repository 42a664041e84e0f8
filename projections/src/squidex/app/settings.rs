//! Settings, scripts and image of an app: their typed forms.

use serde_json::Value;

use crate::squidex::typed::{Kind, Member, Shape};

const PATTERN: Kind = Kind::Object(&[Member::text("name"), Member::text("regex"), Member::text("message")]);
const EDITOR: Kind = Kind::Object(&[Member::text("name"), Member::text("url")]);

/// The members of [`Settings`].
pub(super) const SETTINGS: &[Member] = &[
    Member::new("patterns", Kind::List(&Kind::Custom(pattern))).or_empty(),
    Member::new("editors", Kind::List(&EDITOR)).or_empty(),
    Member::bool("hideScheduler"),
    Member::bool("hideDateTimeModeButton"),
];

/// The members of [`AssetScripts`].
pub(super) const ASSET_SCRIPTS: &[Member] = &[
    Member::text("create"),
    Member::text("update"),
    Member::text("annotate"),
    Member::text("move"),
    Member::text("delete"),
    Member::text("query"),
    Member::text("queryPre"),
];

const IMAGE: Kind = Kind::Object(&[Member::text("mimeType"), Member::text("etag")]);

/// Settings of the user interface.
#[derive(Debug)]
pub(super) struct Settings;

impl Shape for Settings {
    const KIND: &'static Kind = &Kind::Object(SETTINGS);
}

/// Scripts that run when assets change.
#[derive(Debug)]
pub(super) struct AssetScripts;

impl Shape for AssetScripts {
    const KIND: &'static Kind = &Kind::Object(ASSET_SCRIPTS);
}

/// The image of an app. Without an etag, which is random then, it has null.
#[derive(Debug)]
pub(super) struct Image;

impl Shape for Image {
    const KIND: &'static Kind = &Kind::Custom(image);
}

fn pattern(tree: Value) -> Result<Value, String> {
    with_texts(&PATTERN, &tree, &["name", "regex"])
}

fn image(tree: Value) -> Result<Value, String> {
    with_texts(&IMAGE, &tree, &["mimeType"])
}

/// An object that Squidex only makes if these texts are neither null nor empty.
fn with_texts(kind: &'static Kind, tree: &Value, names: &[&str]) -> Result<Value, String> {
    let object = kind.read(tree)?;
    let is_text =
        |name: &&&str| object.get(**name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    match names.iter().find(|name| !is_text(name)) {
        Some(name) => Err(format!("{name} is null or empty")),
        None => Ok(object),
    }
}

/// The pattern of an old event.
///
/// # Errors
/// Says which text is null or empty.
pub(super) fn of_old_pattern(
    name: Option<&str>,
    regex: Option<&str>,
    message: Option<&str>,
) -> Result<Value, String> {
    pattern(serde_json::json!({ "name": name, "regex": regex, "message": message }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_empty_if_absent_and_null_if_null() {
        let read = |tree: Value| Settings::KIND.read(&tree).unwrap().to_string();
        let rest = r#""hideScheduler":false,"hideDateTimeModeButton":false}"#;
        assert_eq!(read(json!({})), format!(r#"{{"patterns":[],"editors":[],{rest}"#));
        assert_eq!(read(json!({ "Editors": null })), format!(r#"{{"patterns":[],"editors":null,{rest}"#));
    }

    #[test]
    fn a_pattern_has_a_name_and_an_expression_and_an_image_a_type() {
        let read = |pattern: Value| Settings::KIND.read(&json!({ "patterns": [pattern] }));
        assert!(read(json!({ "name": "a", "regex": "b" })).is_ok());
        assert!(read(json!({ "name": "a", "regex": "" })).is_err());
        assert!(read(json!({ "regex": "b" })).is_err());
        assert!(read(Value::Null).is_ok());
        assert!(Image::KIND.read(&json!({ "etag": "b" })).is_err());
        let image = Image::KIND.read(&json!({ "mimetype": "b" })).unwrap();
        assert_eq!(image, json!({ "mimeType": "b", "etag": null }));
    }
}
