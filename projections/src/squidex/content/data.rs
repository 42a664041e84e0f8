//! The data of a content: its fields, the partitions of each (`iv`, or one a language), their values.
//!
//! Data are kept as the BSON elements of their stored form, like the free-form JSON inside them. A field may
//! be null. Invariant: the names of fields are distinct, those of a field's partitions even without case.

use crate::DocumentWriter;
use crate::squidex::value::{DEPTH_MAX, JsonObject};

mod partition;
mod plain;
mod same;
mod with_serde;

pub(super) use partition::Partitions;
pub(super) use same::with_same_fields;

/// Number of levels that a value in a partition may have: the payload, the data and the field have one each.
const LEVELS: usize = DEPTH_MAX - 3;

/// The fields of a content.
#[derive(Debug, Default)]
pub(super) struct ContentData<'a>(JsonObject<'a>);

impl<'a> ContentData<'a> {
    /// The data of a state that kept their elements, and whether they have odd keys.
    pub(super) fn kept(elements: &'a [u8], has_odd_keys: bool) -> Self {
        Self(JsonObject::kept(Some(elements), has_odd_keys))
    }

    /// Their elements, for a state to keep.
    pub(super) fn elements(&self) -> &[u8] {
        self.0.elements()
    }

    /// Whether a key differs from its stored name, for a state to keep.
    pub(super) fn has_odd_keys(&self) -> bool {
        self.0.has_odd_keys()
    }

    pub(super) fn write(&self, document: &mut DocumentWriter<'_>, name: &str) {
        document.document(name, |document| self.0.write_escaped(document));
    }
}

#[cfg(test)]
mod tests;
