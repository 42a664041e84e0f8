//! Reads one `[[projection]]` of a definition file.

use std::collections::BTreeMap;

use bson::Bson;

use super::binding::Binding;
use super::declared::{Creation, Declared};
use super::handler::{self, Upcast};
use super::layout::Store;
use super::reader::Part;
use super::source::{Item, Node, canonical};
use super::target;
use crate::{Spec, StreamFilter};

pub(super) const KEYS: [&str; 12] = [
    "name",
    "version",
    "first_generation",
    "streams",
    "targets",
    "id",
    "on",
    "upcast",
    "ignores",
    "before_creation",
    "version_field",
    "test",
];

/// Parts that decide about the snapshots, beside name, streams and targets.
const SHAPE: [&str; 5] = ["on", "upcast", "before_creation", "version_field", "targets"];

/// Reads it.
pub(super) fn read(part: &Part<'_>, store: &Store) -> Option<Declared> {
    let named = part.get("name").and_then(|name| name.text());
    let part = &match named {
        Some(name) => part.clone().named(name),
        None => part.clone(),
    };
    part.only(&KEYS);
    for missing in ["name", "version", "targets", "on"].into_iter().filter(|key| part.get(key).is_none()) {
        part.problem(format!("`{missing}` is missing"));
    }
    let version = part.get("version").and_then(|version| version.count());
    let first = part.get("first_generation").map(|first| first.count());
    let streams = part.get("streams").map_or_else(StreamFilter::default, |streams| filter(&streams));
    if let Some(id) = part.get("id") {
        id.word(&[("$$stream.key", ())]);
    }
    let targets = part.get("targets").map(|targets| targets.items()).unwrap_or_default();
    let targets: Vec<_> = targets.iter().map(target::read).collect();
    let mut handlers = BTreeMap::new();
    for (event_type, on) in part.get("on").map(|on| on.members()).unwrap_or_default() {
        if let Some(handler) = handler::read(&on) {
            handlers.insert(event_type.to_owned(), handler);
        }
    }
    let ignored = part.get("ignores").map(|ignores| ignores.items()).unwrap_or_default();
    let ignored: Vec<String> =
        ignored.iter().filter_map(|event_type| event_type.text().map(str::to_owned)).collect();
    let upcasts = upcasts(part, &ignored);
    let is_explicit = handlers.values().any(|handler| handler.creates);
    let creation = match part.get("before_creation") {
        None if is_explicit => Creation::Explicit,
        None => Creation::Any,
        Some(word) if is_explicit => {
            word.word(&[("ignore", Creation::Explicit), ("fail", Creation::Strict)]).unwrap_or_default()
        }
        Some(word) => {
            word.problem("no event has `creates = true`: there is nothing before creation");
            Creation::Any
        }
    };
    let version_field = part.get("version_field").and_then(|field| {
        let name = field.text()?;
        if name.is_empty() || name == "_id" || name.contains(['.', '$', '\0']) {
            field.problem("this is no name of a field beside `_id`");
            return None;
        }
        Some(name.to_owned())
    });
    if store.event_time.is_none() {
        ["on", "upcast"].iter().filter_map(|key| part.get(key)).for_each(|all| no_time(&all, all.node));
    }
    let mut spec = Spec::new(named?, version?).streams(streams).variant(&shape(part, store));
    if let Some(first) = first {
        spec = spec.first_generation(first?);
    }
    let mut emits = Vec::new();
    for read in targets {
        let (target, emit) = read?;
        spec = spec.target(target);
        emits.push(emit);
    }
    let lower = if store.ignores_case { lower(part) } else { BTreeMap::new() };
    let binding = Binding { form: store.form, event_time: store.event_time.clone() };
    Some(Declared { spec, handlers, upcasts, emits, ignored, creation, version_field, lower, binding })
}

/// Without a header for it, no event has a time.
fn no_time(part: &Part<'_>, node: &Node) {
    match &node.item {
        Item::Value(Bson::String(text))
            if text == "$$event.timestamp" || text.starts_with("$$event.timestamp.") =>
        {
            let what = "the layout has no `event_time`, the header that `$$event.timestamp` is";
            part.problem_at(node.line, what);
        }
        Item::Value(_) => {}
        Item::Array(items) => items.iter().for_each(|item| no_time(part, item)),
        Item::Table(members) => {
            let looked_at = members.iter().filter(|(name, _)| name != "$literal");
            looked_at.for_each(|(_, member)| no_time(part, member));
        }
    }
}

/// Types of events in lower case, and as they stand in the file.
fn lower(part: &Part<'_>) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    for (event_type, named) in
        ["on", "upcast"].iter().filter_map(|key| part.get(key)).flat_map(|all| all.members())
    {
        let before = types.insert(event_type.to_ascii_lowercase(), event_type.to_owned());
        if before.is_some_and(|before| before != event_type) {
            named.problem("another type has this name but for its case, which doesn't matter in this layout");
        }
    }
    types
}

fn filter(part: &Part<'_>) -> StreamFilter {
    part.only(&["prefix", "without_suffix"]);
    let prefix = part.get("prefix").and_then(|prefix| prefix.text()).unwrap_or("");
    let filter = StreamFilter::prefix(prefix);
    match part.get("without_suffix").and_then(|suffix| suffix.text()) {
        Some(suffix) => filter.without_suffix(suffix),
        None => filter,
    }
}

/// The upcasts: each leads to a type that something is said about, and none back to itself.
fn upcasts(part: &Part<'_>, ignored: &[String]) -> BTreeMap<String, Upcast> {
    let mut upcasts = BTreeMap::new();
    let Some(all) = part.get("upcast") else { return upcasts };
    let all_members = all.members();
    for (event_type, upcast) in all.members() {
        if let Some(upcast) = handler::read_upcast(&upcast) {
            upcasts.insert(event_type.to_owned(), upcast);
        }
    }
    let handled = part.get("on").map(|on| on.members()).unwrap_or_default();
    let known = || {
        let types = handled.iter().chain(&all_members).map(|(name, _)| *name);
        types.chain(ignored.iter().map(String::as_str))
    };
    for (event_type, upcast) in all.members() {
        let mut at = event_type;
        if let Some(to) = upcasts.get(event_type).map(|upcast| upcast.event_type.as_str())
            && !known().any(|name| name == to)
        {
            upcast.unknown(
                &format!("`{to}` is neither in `on` nor in `upcast` nor in `ignores`"),
                to,
                known(),
            );
        }
        for _ in 0..=upcasts.len() {
            match upcasts.get(at) {
                Some(next) => at = &next.event_type,
                None => break,
            }
        }
        if upcasts.contains_key(at) {
            upcast.problem("the upcasts go in a circle");
            return BTreeMap::new();
        }
        if part.get("on").is_some_and(|on| on.get(event_type).is_some()) {
            upcast.problem("`on` has this type too, and would never see it");
        }
    }
    upcasts
}

/// What the snapshots depend on, as one text: a build is resumed with the same only.
fn shape(part: &Part<'_>, store: &Store) -> String {
    let mut text = format!("declared {:?} {} ", store.event_time, store.ignores_case);
    for key in SHAPE {
        match part.get(key).and_then(|part| part.bson()) {
            // In which order types of events are written down doesn't matter.
            Some(Bson::Document(members)) if key == "on" || key == "upcast" => {
                let sorted: BTreeMap<String, Bson> = members.into_iter().collect();
                for (event_type, value) in &sorted {
                    text.push_str(&format!("{key}.{event_type}"));
                    canonical(value, &mut text);
                }
            }
            Some(value) => {
                text.push_str(key);
                canonical(&value, &mut text);
            }
            None => {}
        }
    }
    text
}
