//! The fold of a projection that a file defines.

use std::collections::HashMap;

use bson::{Bson, Document};

use super::binding::{Binding, Seen};
use super::handler::{Action, Handler, Upcast};
use super::needs::Fields;
use super::target::Emit;
use crate::declarative::error::ApplyError;
use crate::declarative::scope::Bound;
use crate::{Event, FoldError, Lookup, Projection, Sink, Spec, StreamKey};

/// A projection that a definition file describes. Cheap to clone it is not: it holds compiled plans.
#[derive(Debug, Clone)]
pub struct Declared {
    pub(super) spec: Spec,
    pub(super) handlers: HashMap<String, Handler>,
    pub(super) upcasts: HashMap<String, Upcast>,
    /// For each target of the spec.
    pub(super) emits: Vec<Emit>,
    /// Event types that are left alone on purpose.
    pub(super) ignored: Vec<String>,
    pub(super) creation: Creation,
    /// Field for the number of the stream's last event.
    pub(super) version_field: Option<String>,
    /// Where case doesn't matter: types of events in lower case, and as the file has them.
    pub(super) lower: HashMap<String, String>,
    pub(super) binding: Binding,
}

/// Which events make an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Creation {
    /// Any that has a handler, as an upsert does.
    #[default]
    Any,
    /// Those that say so; others are ignored while there is none.
    Explicit,
    /// Those that say so; others fail while there is none.
    Strict,
}

/// The state of one stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeclaredState {
    /// The document, with its `_id`; nothing before it is created, and after it is deleted.
    document: Option<Document>,
    /// Number of the last event.
    last: i64,
}

impl DeclaredState {
    /// The document, with its `_id`; nothing before it is created, and after it is deleted.
    #[must_use]
    pub fn document(&self) -> Option<&Document> {
        self.document.as_ref()
    }
}

impl Declared {
    /// Whether the file says something about this type of event.
    #[must_use]
    pub fn mentions(&self, event_type: &str) -> bool {
        let ignored = |ignored: &String| match self.lower.is_empty() {
            true => ignored == event_type,
            false => ignored.eq_ignore_ascii_case(event_type),
        };
        self.known(event_type).is_some() || self.ignored.iter().any(ignored)
    }

    /// Event types that the file says something about: handled, upcast, or ignored on purpose.
    pub fn event_types(&self) -> impl Iterator<Item = &str> {
        let handled = self.handlers.keys().chain(self.upcasts.keys()).chain(&self.ignored);
        handled.map(String::as_str)
    }

    /// The type as the file has it, if something becomes of it.
    fn known<'a>(&'a self, event_type: &'a str) -> Option<&'a str> {
        if self.handlers.contains_key(event_type) || self.upcasts.contains_key(event_type) {
            return Some(event_type);
        }
        if self.lower.is_empty() {
            return None;
        }
        self.lower.get(&event_type.to_ascii_lowercase()).map(String::as_str)
    }

    /// The event of a known type as the upcasts leave it. That they end was checked when the file was read.
    fn seen<'a>(
        &'a self,
        event_type: &'a str,
        event: &Event<'a>,
        key: &StreamKey<'_>,
    ) -> Result<Seen<'a>, FoldError> {
        let mut seen = Seen { event_type, payload: None };
        while let Some(upcast) =
            if self.upcasts.is_empty() { None } else { self.upcasts.get(seen.event_type) }
        {
            if let Some((reshape, needs)) = &upcast.reshape {
                let payload = match seen.payload.take() {
                    Some(payload) => payload,
                    None => self.binding.payload(event, &Fields::All)?,
                };
                let Bson::Document(payload) = payload else {
                    let what = format!("upcast.{}: the payload is no object", seen.event_type);
                    return Err(FoldError::Payload(what));
                };
                let now = Seen { event_type: seen.event_type, payload: Some(payload.clone().into()) };
                let bound = self.binding.bind(needs, event, &now, key)?;
                let failed = |error| refused("upcast", seen.event_type, &error);
                seen.payload = Some(Bson::Document(reshape.reshape(&payload, &bound).map_err(failed)?));
            }
            seen.event_type = &upcast.event_type;
        }
        Ok(seen)
    }
}

fn refused(what: &str, event_type: &str, error: &ApplyError) -> FoldError {
    FoldError::Refused(format!("{what}.{event_type}: {error}"))
}

impl Projection for Declared {
    type State = DeclaredState;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn apply(&self, state: &mut DeclaredState, event: &Event<'_>) -> Result<(), FoldError> {
        state.last = event.number;
        let Some(event_type) = self.known(event.event_type) else { return Ok(()) };
        let Some(key) = self.spec.stream_filter().key(event.stream) else { return Ok(()) };
        let seen = self.seen(event_type, event, &key)?;
        let Some(handler) = self.handlers.get(seen.event_type) else { return Ok(()) };
        let is_new = state.document.is_none();
        // What isn't there needs no deletion.
        if is_new && matches!(handler.action, Action::Delete) {
            return Ok(());
        }
        if is_new && !handler.creates {
            match self.creation {
                Creation::Any => {}
                Creation::Explicit => return Ok(()),
                Creation::Strict => {
                    let what = format!("on.{}: there is no object yet, or no more", seen.event_type);
                    return Err(FoldError::Refused(what));
                }
            }
        }
        let bound = self.binding.bind(&handler.needs, event, &seen, &key)?;
        let failed = |error| refused("on", seen.event_type, &error);
        let mut document = match state.document.take() {
            Some(document) => document,
            None => bson::doc! { "_id": key.id() },
        };
        if let Some(when) = &handler.when
            && !when.holds(&document, &bound).map_err(failed)?
        {
            state.document = Some(document).filter(|_| !is_new);
            return Ok(());
        }
        if let Action::Change(plan) = &handler.action {
            plan.apply(&mut document, &bound, is_new).map_err(failed)?;
            state.document = Some(document);
        }
        Ok(())
    }

    fn snapshots(
        &self,
        key: &StreamKey<'_>,
        state: &DeclaredState,
        _others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        let Some(document) = &state.document else { return Ok(()) };
        for (number, emit) in self.emits.iter().enumerate() {
            let stream = if emit.needs.stream {
                bson::doc! { "key": key.id(), "name": key.stream() }
            } else {
                Document::new()
            };
            let bound = Bound::new(Document::new(), stream);
            let collection = self.spec.targets().get(number).map_or("", |target| target.collection());
            let failed = |error| refused("emit", collection, &error);
            if let Some(when) = &emit.when
                && !when.holds(document, &bound).map_err(failed)?
            {
                continue;
            }
            let made = match &emit.pipeline {
                Some(pipeline) => Some(pipeline.reshape(document, &bound).map_err(failed)?),
                None => None,
            };
            let made = made.as_ref().unwrap_or(document);
            out.put(number, |writer| {
                let mut versioned = self.version_field.as_deref();
                for (name, value) in made.iter().filter(|(name, _)| *name != "_id") {
                    if versioned == Some(name) {
                        versioned = None;
                        writer.i64(name, state.last);
                    } else {
                        writer.value(name, value);
                    }
                }
                if let Some(name) = versioned {
                    writer.i64(name, state.last);
                }
            })?;
        }
        Ok(())
    }

    fn state_bytes(&self, state: &DeclaredState) -> usize {
        size_of_val(state) + state.document.as_ref().map_or(0, heap_of_document)
    }
}

/// Heap memory of a document: an entry, its place in the index, and its name for each member.
fn heap_of_document(document: &Document) -> usize {
    let entry = size_of::<Bson>() + size_of::<String>() + 2 * size_of::<usize>();
    document.iter().map(|(name, value)| entry + name.len() + heap_of(value)).sum()
}

fn heap_of(value: &Bson) -> usize {
    match value {
        Bson::String(text) => text.len(),
        Bson::Binary(binary) => binary.bytes.len(),
        Bson::Document(document) => heap_of_document(document),
        Bson::Array(items) => items.iter().map(|item| size_of::<Bson>() + heap_of(item)).sum(),
        _ => 0,
    }
}
