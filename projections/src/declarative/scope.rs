//! What an expression can see: the document, the event, the stream, and variables.

use std::cell::RefCell;

use bson::{Bson, Document};

use super::error::{Fault, refused};
use super::value::Value;

/// One event and its stream, as `$$event` and `$$stream`.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    event: Bson,
    stream: Bson,
}

impl Bound {
    /// The event with `payload`, `headers`, `type`, `number` and `timestamp`; the stream with `key`. They may
    /// have more or fewer fields: whatever isn't there is missing.
    #[must_use]
    pub fn new(event: Document, stream: Document) -> Self {
        Self { event: Bson::Document(event), stream: Bson::Document(stream) }
    }

    pub(super) fn event(&self) -> &Bson {
        &self.event
    }

    pub(super) fn stream(&self) -> &Bson {
        &self.stream
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
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The document before the stage; none in an update document.
    pub(super) root: Option<&'a Document>,
    pub(super) bound: &'a Bound,
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
