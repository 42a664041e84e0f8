//! The layout of an event store, as a definition file gives it.

use super::reader::Part;
use crate::{Layout, OffsetMeaning};

/// Form in which payloads are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON, as a text.
    Text,
    /// A BSON document.
    Document,
}

/// The layout, and what only definitions know of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Store {
    pub(super) layout: Layout,
    /// The form of payloads; `None` takes both.
    pub(super) form: Option<Form>,
    /// The header with the time of an event.
    pub(super) event_time: Option<String>,
    /// Whether the case of a type's name doesn't matter, as in Squidex.
    pub(super) ignores_case: bool,
}

/// Names that a file may give to a layout.
const PRESETS: [&str; 2] = ["squidex", "commits"];
pub(super) const KEYS: [&str; 7] =
    ["preset", "collection", "offsets", "payload", "event_time", "types", "fields"];
pub(super) const FIELDS: [&str; 8] =
    ["stream", "offset", "count", "written", "events", "type", "payload", "headers"];

impl Default for Store {
    fn default() -> Self {
        Self {
            layout: Layout::default(),
            form: None,
            event_time: Some("Timestamp".to_owned()),
            ignores_case: true,
        }
    }
}

fn commits() -> Store {
    let event_time = Some("timestamp".to_owned());
    Store { layout: Layout::commits(), form: None, event_time, ignores_case: false }
}

/// Reads the table `layout`.
pub(super) fn read(part: &Part<'_>) -> Store {
    part.only(&KEYS);
    let preset = part.get("preset").and_then(|preset| {
        let words: Vec<(&str, &str)> = PRESETS.iter().map(|name| (*name, *name)).collect();
        preset.word(&words)
    });
    let mut store = if preset == Some("commits") { commits() } else { Store::default() };
    // What Squidex says of its versions is said of nobody else's store.
    if preset.is_none() {
        store.layout.since = None;
    }
    let layout = &mut store.layout;
    if let Some(collection) = name(part, "collection") {
        layout.collection = collection;
    }
    let meanings =
        [("before-commit", OffsetMeaning::BeforeCommit), ("first-event", OffsetMeaning::FirstEvent)];
    if let Some(meaning) = part.get("offsets").and_then(|offsets| offsets.word(&meanings)) {
        layout.offset_meaning = meaning;
    }
    let forms = [("text", Form::Text), ("document", Form::Document)];
    let types = part.get("types").and_then(|types| types.word(&[("exact", false), ("ignore-case", true)]));
    // Names of one's own are taken as they are, unless somebody says otherwise.
    store.ignores_case = types.unwrap_or(store.ignores_case && preset.is_some());
    store.form = part.get("payload").and_then(|form| form.word(&forms));
    if let Some(fields) = part.get("fields") {
        fields.only(&FIELDS);
        let set = |field: &str, place: &mut String| {
            if let Some(name) = name(&fields, field) {
                *place = name;
            }
        };
        set("stream", &mut layout.stream);
        set("offset", &mut layout.offset);
        set("events", &mut layout.events);
        set("type", &mut layout.event_type);
        set("payload", &mut layout.payload);
        set("headers", &mut layout.metadata);
        optional(&fields, "count", &mut layout.count);
        optional(&fields, "written", &mut layout.timestamp);
    }
    optional(part, "event_time", &mut store.event_time);
    store
}

/// The name of a field or collection.
fn name(part: &Part<'_>, key: &str) -> Option<String> {
    let given = part.get(key)?;
    let name = given.text()?;
    if name.is_empty() || name.contains(['$', '\0']) || name.contains('.') && key != "collection" {
        given.problem("this is no name: it is empty, or has a dot, `$` or NUL in it");
        return None;
    }
    Some(name.to_owned())
}

/// As [`name`], where `false` says that there is none.
fn optional(part: &Part<'_>, key: &str, place: &mut Option<String>) {
    let Some(given) = part.get(key) else { return };
    if given.node.bson() == Ok(bson::Bson::Boolean(false)) {
        *place = None;
    } else if let Some(name) = name(part, key) {
        *place = Some(name);
    }
}
