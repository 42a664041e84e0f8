//! Which fields of a document a plan looks at or changes: the others stay encoded.

use bson::{Document, RawDocument};

use super::encoded;
use super::error::{ApplyError, Fault};
use super::expression::{Base, Expression};
use super::members::{Few, Members, is_same};
use crate::walk::Walk;

/// Fields of the top of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touched(Option<Vec<Field>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: String,
    /// Whether its value is looked at; if not, all of it becomes another one, or is taken away.
    is_read: bool,
}

/// A document to be changed.
#[derive(Debug)]
pub(super) enum Taken<'a> {
    /// All of it.
    Whole(Document),
    /// The fields that are touched.
    Part(Few<'a>),
}

impl Taken<'_> {
    /// What is there of it.
    pub(super) fn members(&self) -> &dyn Members {
        match self {
            Self::Whole(document) => document,
            Self::Part(few) => few,
        }
    }
}

impl Default for Touched {
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl Touched {
    /// All fields.
    pub(super) fn all() -> Self {
        Self(None)
    }

    /// Adds a field.
    pub(super) fn read(&mut self, name: &str) {
        self.add(name, true);
    }

    /// Adds a field whose value doesn't count, since it becomes another one.
    pub(super) fn write(&mut self, name: &str) {
        self.add(name, false);
    }

    fn add(&mut self, name: &str, is_read: bool) {
        let Some(fields) = &mut self.0 else { return };
        match fields.iter_mut().find(|own| own.name == name) {
            Some(own) => own.is_read |= is_read,
            None => fields.push(Field { name: name.to_owned(), is_read }),
        }
    }

    /// Whether it is among them.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|fields| fields.iter().any(|own| own.name == name))
    }

    /// Adds those of another.
    pub(super) fn join(&mut self, other: &Self) {
        match &other.0 {
            Some(fields) => fields.iter().for_each(|field| self.add(&field.name, field.is_read)),
            None => self.0 = None,
        }
    }

    /// Adds what an expression looks at.
    pub(super) fn look(&mut self, expression: &Expression) {
        match expression {
            Expression::Path(Base::Root, path) => match path.first() {
                Some(name) => self.read(name),
                None => self.0 = None,
            },
            other => other.parts(&mut |part| self.look(part)),
        }
    }

    fn find<'f>(fields: &'f [Field], name: &[u8]) -> Option<&'f Field> {
        fields.iter().find(|own| is_same(own.name.as_bytes(), name))
    }

    /// Takes these fields of an encoded document.
    ///
    /// # Errors
    /// It can't be decoded.
    pub(super) fn take(&self, document: &RawDocument) -> Result<Taken<'_>, ApplyError> {
        if let Some(fields) = &self.0 {
            let needed = |name: &[u8]| Self::find(fields, name).map(|field| (&*field.name, field.is_read));
            if let Ok(few) = encoded::few_members(document, fields.len(), needed) {
                return Ok(Taken::Part(few));
            }
        }
        let whole = encoded::members(document);
        whole.map(Taken::Whole).map_err(|error| Fault::Wrong(error.to_string()).of("the document"))
    }

    /// Encodes a document again whose fields were [taken](Self::take) and have become others, behind what is
    /// in the buffer. A field stays where it was: none can have been taken away and made again.
    ///
    /// # Errors
    /// A name or a size can't be stored.
    pub(super) fn put_back(
        &self,
        document: &RawDocument,
        taken: &Taken<'_>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ApplyError> {
        let few = match taken {
            Taken::Whole(document) => return encoded::document(document, bytes),
            Taken::Part(few) => few,
        };
        let fields = self.0.as_deref().unwrap_or_default();
        let mut changed = few.0.iter().peekable();
        let mut unread = Walk::over(document);
        encoded::build(bytes, |writer| {
            // It was a plain document when the fields were taken.
            while let Ok(Some(element)) = unread.next() {
                if Self::find(fields, element.name).is_none() {
                    writer.element(&element);
                } else if let Some((name, value)) = changed.next_if(|(name, _)| element.is(name)) {
                    writer.value(name, value);
                }
            }
            changed.for_each(|(name, value)| writer.value(name, value));
        })
    }
}
