//! Free-form JSON inside payloads (asset metadata, values of contents): read, compared, written as BSON.
//!
//! An object is kept as the BSON elements of its stored form, which are made while it is read: one
//! allocation, copied unchanged into a snapshot. Every number is a double. Invariant: no value is nested
//! deeper than [`DEPTH_MAX`], which bounds recursion and keeps below MongoDB's own limit (100 levels).

use std::borrow::Cow;

use crate::DocumentWriter;
use elements::Elements;
pub(super) use key::escape;
use members::NUMBER;

pub(super) mod elements;
pub(super) mod find;
pub(super) mod key;
pub(super) mod members;
pub(super) mod plain;
pub(super) mod with_serde;

/// Maximum number of nested levels in a payload, the payload's own object included.
pub(super) const DEPTH_MAX: usize = 64;

/// An object: each key once, at its first position with its last value.
#[derive(Debug, Clone, Default)]
pub(super) struct JsonObject<'a> {
    /// The elements, without the length and the final zero. Their names are the keys, not yet escaped.
    elements: Cow<'a, [u8]>,
    /// True if a key differs from its stored name.
    has_odd_keys: bool,
}

impl<'a> JsonObject<'a> {
    /// An object with these properties, whose keys are distinct.
    pub(super) fn of<const N: usize>(properties: [(&'static str, f64); N]) -> Self {
        let mut elements = Elements::default();
        for (key, value) in properties {
            elements.key(NUMBER, key, false);
            elements.bytes(&value.to_le_bytes());
        }
        Self::of_elements(elements.finish())
    }

    /// An object of elements that were appended, and whether it has odd keys.
    pub(super) fn of_elements((elements, has_odd_keys): (Vec<u8>, bool)) -> Self {
        Self { elements: Cow::Owned(elements), has_odd_keys }
    }

    /// The object of a state that kept its elements, and whether it has odd keys.
    pub(super) fn kept(elements: Option<&'a [u8]>, has_odd_keys: bool) -> Self {
        Self { elements: Cow::Borrowed(elements.unwrap_or_default()), has_odd_keys }
    }

    /// Its elements, for a state to keep.
    pub(super) fn elements(&self) -> &[u8] {
        &self.elements
    }

    /// Whether a key differs from its stored name, for a state to keep.
    pub(super) fn has_odd_keys(&self) -> bool {
        self.has_odd_keys
    }

    /// Returns true if both have the same keys with equal values, in any order.
    pub(super) fn equals(&self, other: &JsonObject<'_>) -> bool {
        // Equal objects mostly have the same order.
        self.elements == other.elements || members::equal(&self.elements, &other.elements)
    }

    /// Writes the object's own keys as they are, and escapes only those of nested objects.
    pub(super) fn write_plain(&self, document: &mut DocumentWriter<'_>) {
        if self.has_odd_keys {
            members::write(&self.elements, document, false);
        } else {
            document.elements(&self.elements);
        }
    }

    /// Writes the object with all keys escaped; its own ones were read as keys of a nested object.
    pub(super) fn write_escaped(&self, document: &mut DocumentWriter<'_>) {
        if self.has_odd_keys {
            members::write(&self.elements, document, true);
        } else {
            document.elements(&self.elements);
        }
    }
}

#[cfg(test)]
mod tests;
