//! The set of tags in a state, kept as the elements of the BSON array that is stored.
//!
//! All tags share one allocation, which is copied unchanged into a snapshot.

use std::collections::HashSet;

use super::json::{FEW, Set, Text};
use super::texts::heap_bytes;
use super::value::members::{Members, NULL, STRING};
use crate::DocumentWriter;
use crate::snapshot::decimal;

/// Distinct texts in the order of the event; null may be one of them.
#[derive(Debug, Default)]
pub(super) struct Tags(Box<[u8]>);

impl Tags {
    pub(super) fn new(set: &Set<'_>) -> Self {
        let size = set.0.iter().flatten().map(|tag| tag.as_str().len() + 8).sum();
        let mut elements = Vec::with_capacity(size);
        for (at, tag) in set.0.iter().enumerate() {
            elements.push(if tag.is_some() { STRING } else { NULL });
            elements.extend_from_slice(decimal(at, &mut [0; 20]).as_bytes());
            elements.push(0);
            if let Some(text) = tag.as_ref().map(Text::as_str) {
                let length = i32::try_from(text.len() + 1).unwrap_or(i32::MAX);
                elements.extend_from_slice(&length.to_le_bytes());
                elements.extend_from_slice(text.as_bytes());
                elements.push(0);
            }
        }
        Self(elements.into_boxed_slice())
    }

    /// Returns true if a set has the same members, in any order.
    pub(super) fn equals(&self, set: &Set<'_>) -> bool {
        let mut members = set.0.iter().map(|tag| tag.as_ref().map(|text| text.as_str().as_bytes()));
        let count = self.texts().count();
        if count != members.len() {
            return false;
        }
        if count <= FEW {
            return members.all(|member| self.texts().any(|tag| tag == member));
        }
        let tags: HashSet<Option<&[u8]>> = self.texts().collect();
        members.all(|member| tags.contains(&member))
    }

    pub(super) fn write(&self, document: &mut DocumentWriter<'_>, name: &str) {
        document.array(name, |array| array.elements(&self.0));
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        heap_bytes(self.0.len())
    }

    fn texts(&self) -> impl Iterator<Item = Option<&[u8]>> {
        Members(&self.0).map(|tag| match tag.value {
            [_, _, _, _, text @ .., _] => Some(text),
            _ => None,
        })
    }
}
