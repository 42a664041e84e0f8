//! What an expression can see: the document, the event, the stream, and variables.

use std::borrow::Cow;
use std::cell::RefCell;

use bson::{Bson, Document};

use super::error::{Fault, refused};
use super::members::{Few, Members, is_same};
use super::path::{in_members, in_value};
use super::value::Value;

/// One event and its stream, as `$$event` and `$$stream`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bound<'a> {
    event: Vec<(Cow<'a, str>, Part<'a>)>,
    stream: Few<'a>,
}

/// A part of an event: a value, or as many members of an object as are needed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part<'a> {
    Value(Bson),
    Few(Few<'a>),
}

impl<'a> Bound<'a> {
    /// The event with `payload`, `headers`, `type`, `number` and `timestamp`; the stream with `key`. They may
    /// have more or fewer fields: whatever isn't there is missing.
    #[must_use]
    pub fn new(event: Document, stream: Document) -> Self {
        let event = event.into_iter().map(|(name, value)| (Cow::Owned(name), Part::Value(value)));
        let stream = stream.into_iter().map(|(name, value)| (Cow::Owned(name), value));
        Self { event: event.collect(), stream: Few(stream.collect()) }
    }

    /// As [`new`](Self::new), of members.
    pub(super) fn of(event: Vec<(Cow<'a, str>, Part<'a>)>, stream: Few<'a>) -> Self {
        Self { event, stream }
    }

    pub(super) fn event<'s>(&'s self, path: &[String]) -> Value<'s> {
        let Some((first, rest)) = path.split_first() else {
            let all = self.event.iter().map(|(name, part)| (name.to_string(), part.copy()));
            return Some(Cow::Owned(Bson::Document(all.collect())));
        };
        match self.event.iter().find(|(name, _)| is_same(name.as_bytes(), first.as_bytes()))? {
            (_, Part::Value(value)) => in_value(value, rest),
            (_, Part::Few(members)) => in_members(members, rest),
        }
    }

    pub(super) fn stream<'s>(&'s self, path: &[String]) -> Value<'s> {
        in_members(&self.stream, path)
    }
}

impl Part<'_> {
    /// As a value of its own.
    pub(super) fn copy(&self) -> Bson {
        match self {
            Self::Value(value) => value.clone(),
            Self::Few(members) => Bson::Document(members.copy()),
        }
    }
}

/// The variables of one `$let`, `$map`, `$filter` or `$reduce`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) values: &'a [Value<'a>],
    pub(super) outer: Option<&'a Frame<'a>>,
}

/// Names of fields that were removed or left out while a pipeline is applied. On the server such a field
/// keeps its place for the stages that follow, though nobody sees it: to set it again is refused.
#[derive(Debug, Default)]
pub(super) struct Gaps(RefCell<Vec<String>>);

impl Gaps {
    /// Remembers a field.
    pub(super) fn leave(&self, name: &str) {
        let mut names = self.0.borrow_mut();
        if !names.iter().any(|own| own == name) {
            names.push(name.to_owned());
        }
    }

    /// Fails if a field that is to be made may have a place.
    pub(super) fn check(&self, name: &str) -> Result<(), Fault> {
        if self.0.borrow().iter().any(|own| own == name) {
            return refused(format!("`{name}` was removed or left out before, and is set again"));
        }
        Ok(())
    }
}

/// All that is visible.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The document before the stage; none in an update document.
    pub(super) root: Option<&'a dyn Members>,
    pub(super) bound: &'a Bound<'a>,
    pub(super) frame: Option<&'a Frame<'a>>,
    pub(super) gaps: Option<&'a Gaps>,
}

impl<'a> Scope<'a> {
    /// A variable: so many frames outwards, and its place in that frame.
    pub(super) fn local(&self, outwards: usize, at: usize) -> Option<&'a Value<'a>> {
        let mut frame = self.frame?;
        for _ in 0..outwards {
            frame = frame.outer?;
        }
        frame.values.get(at)
    }
}
