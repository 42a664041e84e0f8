//! Free-form JSON inside payloads (asset metadata): read, compared, written as BSON.
//!
//! An object is kept as the BSON elements of its stored form, which are made while it is read: one
//! allocation, copied unchanged into a snapshot. Every number is a double. Invariant: no value is nested
//! deeper than [`DEPTH_MAX`], which bounds recursion and keeps below MongoDB's own limit (100 levels).

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::json::{FEW, Text};
use super::texts::heap_bytes;
use crate::DocumentWriter;
use key::{escape, without_zeros};
use members::{ARRAY, BOOL, NULL, NUMBER, OBJECT, STRING};

mod key;
pub(super) mod members;

/// Maximum number of nested levels in a payload, the payload's own object included.
pub(super) const DEPTH_MAX: usize = 64;

/// An object: each key once, at its first position with its last value.
#[derive(Debug, Clone, Default)]
pub(super) struct JsonObject {
    /// The elements, without the length and the final zero. Their names are the keys, not yet escaped.
    elements: Vec<u8>,
    /// True if a key differs from its stored name.
    has_odd_keys: bool,
}

impl JsonObject {
    /// An object with these properties, whose keys are distinct.
    pub(super) fn of<const N: usize>(properties: [(&'static str, f64); N]) -> Self {
        let mut object = Self::default();
        for (key, value) in properties {
            object.elements.push(NUMBER);
            object.key(key, false);
            object.elements.extend_from_slice(&value.to_le_bytes());
        }
        object
    }

    /// Returns true if both have the same keys with equal values, in any order.
    pub(super) fn equals(&self, other: &Self) -> bool {
        // Equal objects mostly have the same order.
        self.elements == other.elements || members::equal(&self.elements, &other.elements)
    }

    /// Writes the elements. Their own keys are not escaped, only those of nested objects.
    pub(super) fn write_plain(&self, document: &mut DocumentWriter<'_>) {
        if self.has_odd_keys {
            members::write(&self.elements, document, false);
        } else {
            document.elements(&self.elements);
        }
    }

    /// Frees spare memory, for an object that a state keeps.
    pub(super) fn kept(mut self) -> Self {
        self.elements.shrink_to_fit();
        self
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        heap_bytes(self.elements.capacity())
    }

    /// Appends a key and its zero, and returns where it begins and ends.
    #[inline]
    fn key(&mut self, key: &str, inside: bool) -> (usize, usize) {
        let start = self.elements.len();
        let special =
            key.bytes().any(|byte| matches!(byte, 0 | b'.')) || key.is_empty() || key.starts_with('$');
        if special && key.contains('\0') {
            self.has_odd_keys = true;
            self.elements.extend_from_slice(&without_zeros(key));
        } else {
            self.has_odd_keys |=
                special && inside && !matches!(escape(key), Cow::Borrowed(same) if same == key);
            self.elements.extend_from_slice(key.as_bytes());
        }
        let end = self.elements.len();
        self.elements.push(0);
        (start, end)
    }

    fn open(&mut self) -> usize {
        self.elements.extend_from_slice(&[0; 4]);
        self.elements.len() - 4
    }

    fn close(&mut self, start: usize) {
        self.elements.push(0);
        let length = i32::try_from(self.elements.len() - start).unwrap_or(i32::MAX);
        if let Some(room) = self.elements.get_mut(start..start + 4) {
            room.copy_from_slice(&length.to_le_bytes());
        }
    }

    fn set_kind(&mut self, at: usize, kind: u8) {
        if let Some(room) = self.elements.get_mut(at) {
            *room = kind;
        }
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Self { elements: Vec::with_capacity(512), has_odd_keys: false };
        // The payload's own object is the first level, this object the second.
        let out = Depth { left: DEPTH_MAX - 1, object: &mut object };
        deserializer.deserialize_map(Members { out, inside: false })?;
        Ok(object)
    }
}

/// Reads a value and appends it, within a number of levels.
struct Depth<'a> {
    /// Number of levels left, the value's own included.
    left: usize,
    object: &'a mut JsonObject,
}

impl Depth<'_> {
    fn next<E: Error>(&self) -> Result<usize, E> {
        self.left
            .checked_sub(1)
            .ok_or_else(|| E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")))
    }

    fn number(self, value: f64) -> u8 {
        self.object.elements.extend_from_slice(&value.to_le_bytes());
        NUMBER
    }
}

/// Appends the members of an object.
struct Members<'a> {
    out: Depth<'a>,
    /// True if the object is nested in another one of the same JSON value.
    inside: bool,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let left = self.out.next()?;
        let object = self.out.object;
        let (first, mut count, mut twice) = (object.elements.len(), 0, false);
        let mut keys = [(0, 0); FEW];
        while let Some(Text(key)) = map.next_key()? {
            let at = object.elements.len();
            object.elements.push(NULL);
            let (start, end) = object.key(&key, self.inside);
            let bytes = object.elements.get(start..end);
            let same = |(start, end): &(usize, usize)| object.elements.get(*start..*end) == bytes;
            twice |= count >= FEW || keys.iter().take(count).any(same);
            if let Some(slot) = keys.get_mut(count) {
                *slot = (start, end);
            }
            count += 1;
            let kind = map.next_value_seed(Depth { left, object: &mut *object })?;
            object.set_kind(at, kind);
        }
        if twice {
            members::make_unique(&mut object.elements, first);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Depth<'_> {
    type Value = u8;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u8, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Returns the BSON type of the appended value.
impl<'de> Visitor<'de> for Depth<'_> {
    type Value = u8;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<u8, E> {
        Ok(NULL)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<u8, E> {
        self.object.elements.push(u8::from(value));
        Ok(BOOL)
    }

    #[expect(clippy::cast_precision_loss, reason = "every number is a double, to the nearest one")]
    fn visit_i64<E: Error>(self, value: i64) -> Result<u8, E> {
        Ok(self.number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "every number is a double, to the nearest one")]
    fn visit_u64<E: Error>(self, value: u64) -> Result<u8, E> {
        Ok(self.number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<u8, E> {
        Ok(self.number(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u8, E> {
        let length = i32::try_from(text.len() + 1).unwrap_or(i32::MAX);
        self.object.elements.extend_from_slice(&length.to_le_bytes());
        self.object.elements.extend_from_slice(text.as_bytes());
        self.object.elements.push(0);
        Ok(STRING)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<u8, A::Error> {
        let left = self.next()?;
        let start = self.object.open();
        for index in 0_usize.. {
            let at = self.object.elements.len();
            self.object.elements.push(NULL);
            let mut digits = [0; 20];
            self.object.elements.extend_from_slice(crate::snapshot::decimal(index, &mut digits).as_bytes());
            self.object.elements.push(0);
            let Some(kind) = seq.next_element_seed(Depth { left, object: &mut *self.object })? else {
                self.object.elements.truncate(at);
                break;
            };
            self.object.set_kind(at, kind);
        }
        self.object.close(start);
        Ok(ARRAY)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<u8, A::Error> {
        let start = self.object.open();
        let out = Depth { left: self.left, object: &mut *self.object };
        Members { out, inside: true }.visit_map(map)?;
        self.object.close(start);
        Ok(OBJECT)
    }
}

#[cfg(test)]
mod tests;
