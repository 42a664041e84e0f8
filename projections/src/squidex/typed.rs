//! Typed JSON: a value is read into the form that Squidex writes, whatever form it was stored in.
//!
//! A [`Kind`] says what a value is; a table of [`Member`]s what an object has, in Squidex's order. Names of
//! members match in any case, the last of several counts, unknown ones are dropped, absent ones get their
//! default. Invariant: a value that is read is of its kind, and reading it again gives the same value.

mod kind;
mod reader;
mod tree;

use std::marker::PhantomData;

use serde::de::DeserializeSeed;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::quick::{NotPlain, Plain, Reader};
use super::value::DEPTH_MAX;

pub(super) use kind::{Kind, Member, empty};

impl Kind {
    /// Reads a tree as a value of this kind.
    ///
    /// # Errors
    /// Says what was expected, if Squidex couldn't read it.
    pub(super) fn read(&'static self, tree: &Value) -> Result<Value, String> {
        let seed = reader::Seed { kind: self, levels: DEPTH_MAX - 1 };
        seed.deserialize(tree).map_err(|error| error.to_string())
    }
}

/// The member of this name, in any case, the last of several.
pub(super) fn member<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    object.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Gives a property of a payload its kind.
pub(super) trait Shape {
    /// The kind.
    const KIND: &'static Kind;
}

/// The value of a property, in the form in which Squidex writes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Typed<S>(pub(super) Value, PhantomData<S>);

impl<S: Shape> Default for Typed<S> {
    fn default() -> Self {
        Self(S::KIND.default_value(), PhantomData)
    }
}

impl<'de, S: Shape> Deserialize<'de> for Typed<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The payload's own object is the first level.
        let seed = reader::Seed { kind: S::KIND, levels: DEPTH_MAX - 1 };
        Ok(Self(seed.deserialize(deserializer)?, PhantomData))
    }
}

/// The quick reader leaves typed values to serde.
impl<'de, S: Shape> Plain<'de> for Typed<S> {
    fn read(_reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        Err(NotPlain)
    }
}

#[cfg(test)]
mod tests;
