//! Snapshots that are made of fields of the state, without decoding them.

use bson::{Bson, RawDocument};

use super::expression::{Base, Expression};
use super::members::is_same;
use crate::DocumentWriter;
use crate::walk::{ARRAY, DOCUMENT, Element, Unsupported, Walk};

/// An object whose members are fields of the document, or constants.
#[derive(Debug, Clone)]
pub(super) struct Copied(Vec<(String, Source)>);

#[derive(Debug, Clone)]
enum Source {
    Path(Vec<String>),
    Constant(Bson),
}

/// A value, encoded or not.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// Number of its BSON type, and its bytes.
    Encoded(u8, &'a [u8]),
    Value(&'a Bson),
}

/// The deprecated type undefined counts as missing.
const UNDEFINED: u8 = 0x06;

impl Copied {
    /// What an expression copies, if it does no more than that.
    pub(super) fn by(expression: &Expression) -> Option<Self> {
        let Expression::Document(members) = expression else { return None };
        let sources = members.iter().map(|(name, member)| match member {
            Expression::Path(Base::Root, path) if !path.is_empty() => {
                Some((name.clone(), Source::Path(path.clone())))
            }
            Expression::Constant(Some(value)) => Some((name.clone(), Source::Constant(value.clone()))),
            _ => None,
        });
        sources.collect::<Option<_>>().map(Self)
    }

    /// The members of the object for a document; none if it isn't a plain one, or has an array on the way.
    pub(super) fn of<'a>(&'a self, document: &'a RawDocument) -> Option<Vec<(&'a str, Part<'a>)>> {
        let mut members = Vec::with_capacity(self.0.len());
        // The members are mostly in the order of the document: each is looked for behind the one before.
        let mut unread = Walk::over(document);
        for (name, source) in &self.0 {
            match source {
                Source::Constant(value) => members.push((name.as_str(), Part::Value(value))),
                Source::Path(path) => {
                    let found = find(document, &mut unread, path).ok()?;
                    let found = found.filter(|found| found.kind != UNDEFINED);
                    members.extend(found.map(|found| (name.as_str(), Part::of(&found))));
                }
            }
        }
        Some(members)
    }

    /// All members of a document; none if it isn't a plain one.
    pub(super) fn all(document: &RawDocument) -> Option<Vec<(&str, Part<'_>)>> {
        let (mut members, mut unread) = (Vec::new(), Walk::over(document));
        while let Some(element) = unread.next().ok()? {
            members.push((element.name().ok()?, Part::of(&element)));
        }
        Some(members)
    }
}

fn find<'a>(
    document: &'a RawDocument,
    unread: &mut Walk<'a>,
    path: &[String],
) -> Result<Option<Element<'a>>, Unsupported> {
    let Some((first, rest)) = path.split_first() else { return Err(Unsupported) };
    let found = match take(unread, first)? {
        Some(found) => found,
        None => {
            *unread = Walk::over(document);
            let Some(found) = take(unread, first)? else { return Ok(None) };
            found
        }
    };
    match (rest, found.kind) {
        ([], _) => Ok(Some(found)),
        (rest, DOCUMENT) => {
            let within = found.document(DOCUMENT)?;
            find(within, &mut Walk::over(within), rest)
        }
        // An array would give one.
        (_, ARRAY) => Err(Unsupported),
        _ => Ok(None),
    }
}

fn take<'a>(unread: &mut Walk<'a>, name: &str) -> Result<Option<Element<'a>>, Unsupported> {
    while let Some(element) = unread.next()? {
        if is_same(element.name, name.as_bytes()) {
            return Ok(Some(element));
        }
    }
    Ok(None)
}

impl<'a> Part<'a> {
    fn of(element: &Element<'a>) -> Self {
        Self::Encoded(element.kind, element.value)
    }

    /// Writes it under a name.
    pub(super) fn write(self, name: &str, writer: &mut DocumentWriter<'_>) {
        match self {
            Self::Encoded(kind, value) => writer.bytes(kind, name, value),
            Self::Value(value) => writer.value(name, value),
        }
    }
}
