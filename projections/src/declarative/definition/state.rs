//! The state of a stream: its document, encoded while it is small.

use std::borrow::Cow;
use std::cell::Cell;

use bson::{Bson, Document, RawDocument};

use super::handler::{Action, Handler};
use crate::declarative::encoded;
use crate::declarative::error::{ApplyError, Fault};
use crate::declarative::scope::Bound;

/// A document beyond this size is kept decoded, and changed where it is: to write it anew for each event
/// would cost more than the memory that its members take.
const LARGE: usize = 4096;

/// Divisor of the size of an encoded document: the room it gets to grow.
const SPARE: usize = 16;

/// The state of one stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeclaredState {
    kept: Kept,
    /// Number of the last event.
    pub(super) last: i64,
}

/// A document, with its `_id`. There are as many as streams: most of them are small.
#[derive(Debug, Clone, Default, PartialEq)]
enum Kept {
    /// Before it is created, and after it is deleted.
    #[default]
    None,
    Encoded(Vec<u8>),
    Large(Box<Document>),
}

thread_local! {
    /// Where a document is made: it stays warm, and most documents fit in the memory of the one before.
    static MADE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl DeclaredState {
    /// The document, with its `_id`; nothing before it is created, and after it is deleted.
    #[must_use]
    pub fn document(&self) -> Option<Document> {
        match &self.kept {
            Kept::None => None,
            Kept::Large(document) => Some((**document).clone()),
            // It was encoded here.
            Kept::Encoded(bytes) => encoded::members(RawDocument::from_bytes(bytes).ok()?).ok(),
        }
    }

    pub(super) fn is_none(&self) -> bool {
        matches!(self.kept, Kept::None)
    }

    /// The document as bytes, which are those of a [`RawDocument`].
    pub(super) fn encoded(&self) -> Option<Result<Cow<'_, RawDocument>, ApplyError>> {
        match &self.kept {
            Kept::None => None,
            Kept::Encoded(bytes) => Some(raw(bytes).map(Cow::Borrowed)),
            Kept::Large(document) => {
                let mut bytes = Vec::new();
                let made = encoded::document(document, &mut bytes);
                Some(made.and_then(|()| raw(&bytes).map(|made| Cow::Owned(made.to_owned()))))
            }
        }
    }

    /// Heap memory.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.kept {
            Kept::None => 0,
            Kept::Encoded(bytes) => bytes.capacity(),
            Kept::Large(document) => size_of::<Document>() + heap_of_document(document),
        }
    }

    /// Changes the document, or makes one with this `_id`, as an event's handler says. Nothing has changed if
    /// that fails, unless the document is large.
    pub(super) fn change(
        &mut self,
        handler: &Handler,
        bound: &Bound<'_>,
        id: &str,
    ) -> Result<(), ApplyError> {
        if let Kept::Large(document) = &mut self.kept {
            if let Some(when) = &handler.when
                && !when.holds(&**document, bound)?
            {
                return Ok(());
            }
            match &handler.action {
                Action::Change(plan) => plan.apply(document, bound, false)?,
                Action::Delete => self.kept = Kept::None,
            }
            return Ok(());
        }
        let (mut fresh, is_new) = (Vec::new(), self.is_none());
        let before = match &self.kept {
            Kept::Encoded(bytes) => raw(bytes)?,
            _ => {
                encoded::build(&mut fresh, |writer| writer.str("_id", id))?;
                raw(&fresh)?
            }
        };
        let mut taken = handler.touched.take(before)?;
        if let Some(when) = &handler.when
            && !when.holds(taken.members(), bound)?
        {
            return Ok(());
        }
        let Action::Change(plan) = &handler.action else {
            self.kept = Kept::None;
            return Ok(());
        };
        plan.change(&mut taken, bound, is_new)?;
        let mut made = MADE.take();
        made.clear();
        handler.touched.put_back(before, &taken, &mut made)?;
        if made.len() > LARGE {
            self.kept = Kept::Large(Box::new(decoded(&made)?));
        } else {
            self.keep(&made);
            MADE.set(made);
        }
        Ok(())
    }

    /// Keeps a document that was made.
    fn keep(&mut self, made: &[u8]) {
        match &mut self.kept {
            Kept::Encoded(own) if own.capacity() >= made.len() => {
                own.clear();
                own.extend_from_slice(made);
            }
            other => {
                let mut own = Vec::with_capacity(made.len() + made.len() / SPARE);
                own.extend_from_slice(made);
                *other = Kept::Encoded(own);
            }
        }
    }
}

fn raw(bytes: &[u8]) -> Result<&RawDocument, ApplyError> {
    RawDocument::from_bytes(bytes).map_err(|error| Fault::Wrong(error.to_string()).of("the document"))
}

fn decoded(bytes: &[u8]) -> Result<Document, ApplyError> {
    let members = encoded::members(raw(bytes)?);
    members.map_err(|error| Fault::Wrong(error.to_string()).of("the document"))
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
