//! A quick walk over the elements of a BSON document, for the fields that are read of every commit.
//!
//! It knows the types that event stores use. Everything else (a rare type, a non-ASCII name, a length
//! beyond the end) is [`Unsupported`], which doesn't mean broken: the caller falls back to the reader of the
//! bson crate, which decides. Values are skipped by their length and read only on demand. Invariant: it
//! never panics, whatever the bytes, and every element it finds is also found by the reader of the bson
//! crate.
//! Format: <https://bsonspec.org/spec.html>.

use bson::RawDocument;

pub(crate) const DOUBLE: u8 = 0x01;
pub(crate) const STRING: u8 = 0x02;
pub(crate) const DOCUMENT: u8 = 0x03;
pub(crate) const ARRAY: u8 = 0x04;
pub(crate) const INT32: u8 = 0x10;
pub(crate) const INT64: u8 = 0x12;

/// The bytes are broken, or valid but not supported by the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsupported;

/// One element, its value not yet read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// Number of the BSON type.
    pub(crate) kind: u8,
    /// The name, in ASCII.
    pub(crate) name: &'a [u8],
    /// The value, including its length prefix, if it has one.
    pub(crate) value: &'a [u8],
}

impl<'a> Element<'a> {
    /// Returns true if the element has this name.
    #[inline]
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }

    /// The name as a text.
    #[inline]
    pub(crate) fn name(&self) -> Result<&'a str, Unsupported> {
        std::str::from_utf8(self.name).map_err(|_| Unsupported)
    }

    /// The text of a string.
    #[inline]
    pub(crate) fn text(&self) -> Result<&'a str, Unsupported> {
        match self.value {
            [_, _, _, _, text @ .., _] if self.kind == STRING => {
                simdutf8::basic::from_utf8(text).map_err(|_| Unsupported)
            }
            _ => Err(Unsupported),
        }
    }

    /// The embedded document or array.
    #[inline]
    pub(crate) fn document(&self, kind: u8) -> Result<&'a RawDocument, Unsupported> {
        if self.kind == kind {
            RawDocument::from_bytes(self.value).map_err(|_| Unsupported)
        } else {
            Err(Unsupported)
        }
    }
}

/// The remaining elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    /// All elements of a document or an array.
    #[inline]
    pub(crate) fn over(document: &'a RawDocument) -> Self {
        // A `RawDocument` always has a length and a zero at the end.
        match document.as_bytes() {
            [_, _, _, _, elements @ .., _] => Self(elements),
            _ => Self(&[]),
        }
    }

    /// The next element; `None` at the end.
    ///
    /// # Errors
    /// [`Unsupported`], also at every further call.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<Element<'a>>, Unsupported> {
        let Some((&kind, behind)) = self.0.split_first() else { return Ok(None) };
        let (name, behind) = split_name(behind).ok_or(Unsupported)?;
        let (value, behind) =
            size(kind, behind).and_then(|size| behind.split_at_checked(size)).ok_or(Unsupported)?;
        if matches!(kind, STRING | DOCUMENT | ARRAY) && value.last() != Some(&0) {
            return Err(Unsupported);
        }
        self.0 = behind;
        Ok(Some(Element { kind, name, value }))
    }

    /// The first remaining element of this name.
    ///
    /// # Errors
    /// [`Unsupported`] if an element before it is.
    #[inline]
    pub(crate) fn find(mut self, name: &str) -> Result<Option<Element<'a>>, Unsupported> {
        while let Some(element) = self.next()? {
            if element.is(name) {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }

    /// Number of remaining elements.
    ///
    /// # Errors
    /// [`Unsupported`] if one of them is.
    #[inline]
    pub(crate) fn count(mut self) -> Result<i64, Unsupported> {
        let mut count = 0;
        while self.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

/// Splits the bytes into the leading name and the bytes after its zero. Reads eight bytes at a time,
/// as a walk reads many short names.
#[inline]
fn split_name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut length = 0;
    while let Some(eight) = bytes.get(length..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        // The lowest set bit is the high bit of the first zero byte; no byte before it is zero.
        let zeros = word.wrapping_sub(LOW) & !word & HIGH;
        if zeros != 0 {
            let before = zeros.trailing_zeros() / 8;
            let other = word & HIGH & ((1_u64 << (before * 8)) - 1);
            return (other == 0).then(|| split_behind(bytes, length + before as usize)).flatten();
        }
        if word & HIGH != 0 {
            return None;
        }
        length += 8;
    }
    let rest = bytes.get(length..)?;
    let before = rest.iter().position(|byte| *byte == 0 || !byte.is_ascii())?;
    if rest.get(before) == Some(&0) { split_behind(bytes, length + before) } else { None }
}

#[inline]
fn split_behind(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (name, behind) = bytes.split_at_checked(length)?;
    Some((name, behind.get(1..)?))
}

/// Size of the value of this type at the beginning of the bytes.
#[inline]
fn size(kind: u8, value: &[u8]) -> Option<usize> {
    let length = || {
        let length = i32::from_le_bytes(*value.first_chunk::<4>()?);
        usize::try_from(length).ok()
    };
    match kind {
        STRING => length().filter(|length| *length >= 1)?.checked_add(4),
        DOCUMENT | ARRAY => length().filter(|length| *length >= 5),
        // The old binary subtype has a second length; the reader of the bson crate handles it.
        0x05 => (value.get(4) != Some(&2)).then(length)??.checked_add(5),
        0x07 => Some(12),
        0x08 => Some(1),
        0x0A => Some(0),
        INT32 => Some(4),
        DOUBLE | INT64 | 0x09 | 0x11 => Some(8),
        0x13 => Some(16),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
