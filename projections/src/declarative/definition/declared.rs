//! The fold of a projection that a file defines.

use std::collections::BTreeMap;

use bson::Bson;

use super::binding::{Binding, Seen};
use super::emit::Emit;
use super::handler::{Action, Handler, Upcast};
use super::needs::Fields;
use super::state::DeclaredState;

use crate::declarative::error::ApplyError;
use crate::{Event, FoldError, Lookup, Projection, Sink, Spec, StreamKey};

/// A projection that a definition file describes. Cheap to clone it is not: it holds compiled plans.
#[derive(Debug, Clone)]
pub struct Declared {
    pub(super) spec: Spec,
    pub(super) handlers: BTreeMap<String, Handler>,
    pub(super) upcasts: BTreeMap<String, Upcast>,
    /// For each target of the spec.
    pub(super) emits: Vec<Emit>,
    /// Event types that are left alone on purpose.
    pub(super) ignored: Vec<String>,
    pub(super) creation: Creation,
    /// Field for the number of the stream's last event.
    pub(super) version_field: Option<String>,
    /// Where case doesn't matter: types of events in lower case, and as the file has them.
    pub(super) lower: BTreeMap<String, String>,
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
                    None => self.binding.payload(event, &Fields::All)?.copy(),
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
        let as_written = match self.upcasts.is_empty() {
            true => self.handlers.get_key_value(event.event_type),
            false => None,
        };
        let known = as_written.map(|(event_type, _)| event_type.as_str());
        let Some(event_type) = known.or_else(|| self.known(event.event_type)) else { return Ok(()) };
        let Some(key) = self.spec.stream_filter().key(event.stream) else { return Ok(()) };
        let seen = self.seen(event_type, event, &key)?;
        let handler = as_written.map(|(_, handler)| handler);
        let Some(handler) = handler.or_else(|| self.handlers.get(seen.event_type)) else { return Ok(()) };
        let is_new = state.is_none();
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
        state.change(handler, &bound, key.id()).map_err(|error| refused("on", seen.event_type, &error))
    }

    fn snapshots(
        &self,
        key: &StreamKey<'_>,
        state: &DeclaredState,
        _others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        let Some(document) = state.encoded() else { return Ok(()) };
        let document = document.map_err(|error| FoldError::Refused(error.to_string()))?;
        let version = self.version_field.as_deref().map(|name| (name, state.last));
        for (number, emit) in self.emits.iter().enumerate() {
            let made = emit.snapshot(&document, key).map_err(|error| {
                let collection = self.spec.targets().get(number).map_or("", |target| target.collection());
                refused("emit", collection, &error)
            })?;
            if let Some(made) = made {
                out.put(number, |writer| made.write(writer, version))?;
            }
        }
        Ok(())
    }

    fn state_bytes(&self, state: &DeclaredState) -> usize {
        size_of_val(state) + state.heap_bytes()
    }
}
