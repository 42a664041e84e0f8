//! The tests of a definition file: given these events, then these snapshots.

use std::collections::BTreeMap;

use bson::{Bson, Document, RawDocument, RawDocumentBuf};

use super::declared::Declared;
use super::layout::{Form, Store};
use super::reader::Part;
use crate::{Commit, NoLookup, OffsetMeaning, Registered, Snapshots};

/// A test, `[[projection.test]]`.
#[derive(Debug, Clone)]
pub struct Example {
    /// What it shows; its line in the file if it has no name.
    pub name: String,
    /// Line in the file.
    pub line: usize,
    key: String,
    given: Vec<Document>,
    then: Then,
}

#[derive(Debug, Clone)]
enum Then {
    /// Snapshots by collection, of all targets that have one.
    Snapshots(BTreeMap<String, Document>),
    /// The stream fails, and the reason has this text in it.
    Fails(String),
}

/// Outcome of a test.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// As expected.
    Right,
    /// What came out instead, in words.
    Wrong(String),
}

pub(super) const KEYS: [&str; 7] = ["name", "key", "given", "then", "then_in", "absent", "fails"];
pub(super) const EVENT_KEYS: [&str; 4] = ["type", "payload", "headers", "timestamp"];

/// Reads one test of a projection with these targets.
pub(super) fn read(part: &Part<'_>, store: &Store, targets: &[&str]) -> Option<Example> {
    part.only(&KEYS);
    let line = part.node.line;
    let text = |key: &str| part.get(key).and_then(|part| part.text()).map(str::to_owned);
    let name = text("name").unwrap_or_else(|| format!("the test at line {line}"));
    let Some(events) = part.get("given") else {
        part.problem("`given` is missing: the events");
        return None;
    };
    let given = events.items().iter().map(|event| self::event(event, store)).collect::<Option<Vec<_>>>()?;
    let key = text("key").unwrap_or_else(|| "1".to_owned());
    let absent = part.get("absent").and_then(|absent| absent.truth()) == Some(true);
    let (one, several, fails) = (part.get("then"), part.get("then_in"), text("fails"));
    let ways = [one.is_some(), several.is_some(), absent, fails.is_some()];
    if ways.into_iter().filter(|way| *way).count() != 1 {
        part.problem("it needs one of `then`, `then_in`, `absent = true` and `fails`");
        return None;
    }
    let mut snapshots = BTreeMap::new();
    if let Some(then) = one {
        let first = targets.first().copied().unwrap_or_default().to_owned();
        snapshots.insert(first, document(&then)?);
    }
    for (target, then) in several.map(|several| several.members()).unwrap_or_default() {
        if !targets.contains(&target) {
            then.problem(format!("the projection has no target `{target}`"));
            return None;
        }
        snapshots.insert(target.to_owned(), document(&then)?);
    }
    let then = fails.map_or(Then::Snapshots(snapshots), Then::Fails);
    Some(Example { name, line, key, given, then })
}

fn document(part: &Part<'_>) -> Option<Document> {
    match part.bson()? {
        Bson::Document(document) => Some(document),
        _ => {
            part.problem("this has to be a table");
            None
        }
    }
}

/// An event as the layout stores it.
fn event(part: &Part<'_>, store: &Store) -> Option<Document> {
    part.only(&EVENT_KEYS);
    let layout = &store.layout;
    let Some(event_type) = part.get("type") else {
        part.problem("`type` is missing");
        return None;
    };
    let mut stored = bson::doc! { &layout.event_type: event_type.text()? };
    let payload = match part.get("payload") {
        Some(payload) => payload.bson()?,
        None => Bson::Document(Document::new()),
    };
    let payload = match (store.form, payload) {
        (Some(Form::Text), payload) => Bson::String(payload.into_relaxed_extjson().to_string()),
        (_, payload) => payload,
    };
    stored.insert(&layout.payload, payload);
    let mut headers = match part.get("headers") {
        Some(headers) => document(&headers)?,
        None => Document::new(),
    };
    if let Some(time) = part.get("timestamp") {
        let Some(header) = &store.event_time else {
            time.problem("the layout has no `event_time`, the header that it would be in");
            return None;
        };
        headers.insert(header, time.bson()?);
    }
    if !headers.is_empty() {
        stored.insert(&layout.metadata, headers);
    }
    Some(stored)
}

impl Example {
    /// Runs it, in one commit and in many, as the engine folds.
    pub(super) fn run(&self, declared: &Declared, store: &Store) -> Outcome {
        let together = self.fold(declared, store, self.given.len().max(1));
        let apart = self.fold(declared, store, 1);
        let text = |outcome: &Result<BTreeMap<String, Document>, String>| format!("{outcome:?}");
        if text(&together) != text(&apart) {
            return Outcome::Wrong("what comes out depends on how the events are in commits".to_owned());
        }
        match (&self.then, together) {
            // The order of fields aside.
            (Then::Snapshots(expected), Ok(found)) if is_same(expected, &found) => Outcome::Right,
            (Then::Fails(text), Err(reason)) if reason.contains(text.as_str()) => Outcome::Right,
            (Then::Snapshots(expected), Ok(found)) => Outcome::Wrong(difference(expected, &found)),
            (Then::Snapshots(_), Err(reason)) => Outcome::Wrong(format!("it fails: {reason}")),
            (Then::Fails(text), Err(reason)) => {
                Outcome::Wrong(format!("it fails, but not with `{text}`: {reason}"))
            }
            (Then::Fails(_), Ok(found)) => Outcome::Wrong(format!("it doesn't fail: {}", shown(&found))),
        }
    }

    fn fold(
        &self,
        declared: &Declared,
        store: &Store,
        events_per_commit: usize,
    ) -> Result<BTreeMap<String, Document>, String> {
        let registered = Registered::new(declared.clone());
        let spec = registered.spec();
        let stream = spec.stream_filter().stream_of(&self.key);
        let Some(key) = spec.stream_filter().key(&stream) else {
            return Err(format!("`{stream}` isn't a stream of this projection"));
        };
        let mut states = registered.states();
        let slot = states.open();
        for (number, events) in self.given.chunks(events_per_commit).enumerate() {
            let commit = commit(store, &stream, number * events_per_commit, events)?;
            let commit = Commit::decode(&commit, &store.layout).map_err(|error| error.to_string())?;
            states.apply(slot, &commit).map_err(|failure| failure.to_string())?;
        }
        let mut snapshots = Snapshots::new(spec.targets().len());
        states.emit(slot, &key, &NoLookup, &mut snapshots).map_err(|error| error.to_string())?;
        let mut found = BTreeMap::new();
        for (target, buffer) in spec.targets().iter().zip(snapshots.targets()) {
            for bytes in buffer.documents() {
                let document = RawDocument::from_bytes(bytes).and_then(Document::try_from);
                let document = document.map_err(|error| error.to_string())?;
                found.insert(target.collection().to_owned(), document);
            }
        }
        Ok(found)
    }
}

/// A commit of the layout.
fn commit(store: &Store, stream: &str, first: usize, events: &[Document]) -> Result<RawDocumentBuf, String> {
    let layout = &store.layout;
    let first = i64::try_from(first).unwrap_or(i64::MAX);
    let offset = match layout.offset_meaning {
        OffsetMeaning::BeforeCommit => first - 1,
        OffsetMeaning::FirstEvent => first,
    };
    let mut commit = bson::doc! { &layout.stream: stream, &layout.offset: offset };
    if let Some(count) = &layout.count {
        commit.insert(count, i64::try_from(events.len()).unwrap_or(i64::MAX));
    }
    commit.insert(&layout.events, events.iter().cloned().map(Bson::Document).collect::<Vec<_>>());
    RawDocumentBuf::try_from(commit).map_err(|error| error.to_string())
}

/// Whether they are the same; NaN is.
fn is_same(expected: &BTreeMap<String, Document>, found: &BTreeMap<String, Document>) -> bool {
    expected == found || expected.keys().eq(found.keys()) && difference(expected, found).is_empty()
}

fn difference(expected: &BTreeMap<String, Document>, found: &BTreeMap<String, Document>) -> String {
    let mut lines = Vec::new();
    for target in expected.keys().chain(found.keys().filter(|target| !expected.contains_key(*target))) {
        match (expected.get(target), found.get(target)) {
            (Some(expected), Some(found)) => {
                for name in fields(expected, found) {
                    let (wanted, is) = (expected.get(name), found.get(name));
                    if wanted != is && value(wanted) != value(is) {
                        lines.push(format!("{name} is {}, not {}", value(is), value(wanted)));
                    }
                }
            }
            (Some(_), None) => lines.push(format!("there is no snapshot in {target}")),
            (None, Some(found)) => lines.push(format!("there is a snapshot in {target}: {found}")),
            (None, None) => {}
        }
    }
    lines.join("; ")
}

fn fields<'a>(expected: &'a Document, found: &'a Document) -> impl Iterator<Item = &'a String> {
    expected.keys().chain(found.keys().filter(|name| !expected.contains_key(name.as_str())))
}

/// A value with its type, where that isn't plain to see.
fn value(value: Option<&Bson>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(Bson::Int64(number)) => format!("{number} (64 bits)"),
        Some(Bson::Int32(number)) => format!("{number} (32 bits)"),
        Some(Bson::Double(number)) => format!("{number:?} (double)"),
        Some(other) => other.to_string(),
    }
}

fn shown(found: &BTreeMap<String, Document>) -> String {
    if found.is_empty() {
        return "there is no snapshot".to_owned();
    }
    found.iter().map(|(target, document)| format!("{target}: {document}")).collect::<Vec<_>>().join(", ")
}
