//! A document that is looked at and changed member by member.

use std::borrow::Cow;

use bson::{Bson, Document};

/// A whole document, or the part of it that a plan needs.
pub(super) trait Members {
    /// The value of a member.
    fn get(&self, name: &str) -> Option<&Bson>;

    /// The value of a member, to be changed.
    fn get_mut(&mut self, name: &str) -> Option<&mut Bson>;

    /// Makes a new member, behind the others.
    fn add(&mut self, name: &str, value: Bson);

    /// Takes a member away; the others keep their order.
    fn remove(&mut self, name: &str) -> Option<Bson>;

    /// A copy of all that is there.
    fn copy(&self) -> Document;
}

/// Sets a member: where it is, or behind the others.
pub(super) fn set(members: &mut dyn Members, name: &str, value: Bson) {
    match members.get_mut(name) {
        Some(own) => *own = value,
        None => members.add(name, value),
    }
}

/// Whether two names are the same. They are short: a loop costs less than a call.
#[inline]
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one == other)
}

impl Members for Document {
    fn get(&self, name: &str) -> Option<&Bson> {
        Self::get(self, name)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Bson> {
        Self::get_mut(self, name)
    }

    fn add(&mut self, name: &str, value: Bson) {
        self.insert(name, value);
    }

    fn remove(&mut self, name: &str) -> Option<Bson> {
        Self::remove(self, name)
    }

    fn copy(&self) -> Document {
        self.clone()
    }
}

/// A few members, in order: a search through them is quicker than a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Few<'a>(pub(super) Vec<(Cow<'a, str>, Bson)>);

impl<'a> Few<'a> {
    /// Sets a member: where it is, or behind the others.
    pub(super) fn put(&mut self, name: &'a str, value: Bson) {
        match self.get_mut(name) {
            Some(own) => *own = value,
            None => self.0.push((Cow::Borrowed(name), value)),
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(own, _)| is_same(own.as_bytes(), name.as_bytes()))
    }
}

impl Members for Few<'_> {
    fn get(&self, name: &str) -> Option<&Bson> {
        self.0.get(self.place(name)?).map(|(_, value)| value)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Bson> {
        let place = self.place(name)?;
        self.0.get_mut(place).map(|(_, value)| value)
    }

    fn add(&mut self, name: &str, value: Bson) {
        self.0.push((Cow::Owned(name.to_owned()), value));
    }

    fn remove(&mut self, name: &str) -> Option<Bson> {
        self.place(name).map(|place| self.0.remove(place).1)
    }

    fn copy(&self) -> Document {
        self.0.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
    }
}
