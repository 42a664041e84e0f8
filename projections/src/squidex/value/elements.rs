//! BSON elements while they are appended. Their names are the keys of JSON, not yet escaped.

use std::borrow::Cow;
use std::cell::RefCell;

use super::key::{Keys, escape, without_zeros};
use crate::writer::decimal;

/// Elements, one behind the other.
#[derive(Debug, Default)]
pub(in crate::squidex) struct Elements {
    bytes: Vec<u8>,
    /// True if a key differs from its stored name.
    has_odd_keys: bool,
}

thread_local! {
    /// Where elements are appended before their length is known.
    static SCRATCH: RefCell<Elements> = RefCell::default();
}

/// Elements that `append` appends, in memory without spare room, and whether a key differs from its stored
/// name. Isn't called within itself.
///
/// # Errors
/// That of `append`.
pub(in crate::squidex) fn build<E>(
    append: impl FnOnce(&mut Elements) -> Result<(), E>,
) -> Result<(Vec<u8>, bool), E> {
    /// Room that is kept for the next call.
    const KEPT_MAX: usize = 64 << 10;
    SCRATCH.with_borrow_mut(|elements| {
        elements.bytes.clear();
        elements.bytes.shrink_to(KEPT_MAX);
        elements.has_odd_keys = false;
        append(elements)?;
        Ok((elements.bytes.as_slice().to_vec(), elements.has_odd_keys))
    })
}

impl Elements {
    /// The elements, and whether a key differs from its stored name.
    pub(in crate::squidex) fn finish(self) -> (Vec<u8>, bool) {
        (self.bytes, self.has_odd_keys)
    }

    /// Number of bytes.
    pub(in crate::squidex) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Begins a member of an object. `inside` says that the object is nested in another one of the same
    /// JSON value.
    #[inline]
    pub(in crate::squidex) fn key(&mut self, kind: u8, key: &str, inside: bool) {
        self.bytes.push(kind);
        let special = key.bytes().fold(false, |found, byte| found | matches!(byte, 0 | b'.'))
            || key.is_empty()
            || key.starts_with('$');
        if special && key.contains('\0') {
            self.has_odd_keys = true;
            self.bytes.extend_from_slice(&without_zeros(key));
        } else {
            self.has_odd_keys |=
                special && inside && !matches!(escape(key), Cow::Borrowed(same) if same == key);
            self.bytes.extend_from_slice(key.as_bytes());
        }
        self.bytes.push(0);
    }

    /// Begins an item of an array.
    #[inline]
    pub(in crate::squidex) fn item(&mut self, kind: u8, at: usize) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(decimal(at, &mut [0; 20]).as_bytes());
        self.bytes.push(0);
    }

    /// Changes the type of the element that begins at a place.
    pub(in crate::squidex) fn set_kind(&mut self, at: usize, kind: u8) {
        if let Some(room) = self.bytes.get_mut(at) {
            *room = kind;
        }
    }

    /// Appends a value as it is stored.
    #[inline]
    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    /// Appends text.
    #[inline]
    pub(in crate::squidex) fn text(&mut self, text: &str) {
        let length = i32::try_from(text.len() + 1).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    /// Appends text that `write` appends.
    ///
    /// # Errors
    /// That of `write`.
    pub(super) fn text_of<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.open();
        write(&mut self.bytes)?;
        self.bytes.push(0);
        self.set_length(start, self.bytes.len() - start - 4);
        Ok(())
    }

    /// Begins a container, and returns where.
    pub(in crate::squidex) fn open(&mut self) -> usize {
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.len() - 4
    }

    /// Ends the container that began there.
    pub(in crate::squidex) fn close(&mut self, start: usize) {
        self.bytes.push(0);
        self.set_length(start, self.bytes.len() - start);
    }

    fn set_length(&mut self, at: usize, length: usize) {
        if let Some(room) = self.bytes.get_mut(at..at + 4) {
            room.copy_from_slice(&i32::try_from(length).unwrap_or(i32::MAX).to_le_bytes());
        }
    }

    /// Takes back what was appended behind a place.
    pub(super) fn truncate(&mut self, at: usize) {
        self.bytes.truncate(at);
    }

    /// Removes duplicate keys from the elements at `first` and after it.
    pub(in crate::squidex) fn make_unique<K: Keys>(&mut self, first: usize) {
        super::members::make_unique::<K>(&mut self.bytes, first);
    }
}
