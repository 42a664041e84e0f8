//! What an expression can see: the document, the event, the stream, and variables.

use std::borrow::Cow;
use std::cell::RefCell;

use bson::{Bson, Document};

use super::error::{Fault, refused};
use super::path::in_value;
use super::value::Value;

/// One event and its stream, as `$$event` and `$$stream`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bound {
    event: Members,
    stream: Members,
}

/// A few members, in order: a search through them is quicker than a table.
pub(super) type Members = Vec<(Cow<'static, str>, Bson)>;

impl Bound {
    /// The event with `payload`, `headers`, `type`, `number` and `timestamp`; the stream with `key`. They may
    /// have more or fewer fields: whatever isn't there is missing.
    #[must_use]
    pub fn new(event: Document, stream: Document) -> Self {
        let members = |document: Document| {
            document.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect()
        };
        Self { event: members(event), stream: members(stream) }
    }

    /// As [`new`](Self::new), of members.
    pub(super) fn of(event: Members, stream: Members) -> Self {
        Self { event, stream }
    }

    pub(super) fn event<'a>(&'a self, path: &[String]) -> Value<'a> {
        in_members(&self.event, path)
    }

    pub(super) fn stream<'a>(&'a self, path: &[String]) -> Value<'a> {
        in_members(&self.stream, path)
    }
}

fn in_members<'a>(members: &'a Members, path: &[String]) -> Value<'a> {
    let Some((first, rest)) = path.split_first() else {
        let all = members.iter().map(|(name, value)| (name.to_string(), value.clone()));
        return Some(Cow::Owned(Bson::Document(all.collect())));
    };
    let (_, value) = members.iter().find(|(name, _)| name == first)?;
    in_value(value, rest)
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
