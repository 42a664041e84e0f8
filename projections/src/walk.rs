//! A quick walk over the elements of a BSON document, for what is read of every commit.
//!
//! It knows the types that event stores are made of. Everything else — a rare type, a name beyond
//! ASCII, a length that leads outside — is [`Odd`], which doesn't mean broken: who walks falls back to
//! the reader of the bson crate, whose word counts. Values are passed over by their length; what is in
//! them is looked at by those who need it. Invariant: no bytes whatsoever make it panic, and what it
//! finds the reader of the bson crate finds, too.
//! Format: <https://bsonspec.org/spec.html>.

use bson::RawDocument;

pub(crate) const DOUBLE: u8 = 0x01;
pub(crate) const STRING: u8 = 0x02;
pub(crate) const DOCUMENT: u8 = 0x03;
pub(crate) const ARRAY: u8 = 0x04;
pub(crate) const INT32: u8 = 0x10;
pub(crate) const INT64: u8 = 0x12;

/// The bytes are broken, or merely rare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Odd;

/// One element, its value not looked at yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// The type, as BSON numbers them.
    pub(crate) kind: u8,
    /// The name; all of it is ASCII.
    pub(crate) name: &'a [u8],
    /// The value with its own length, where it has one.
    pub(crate) value: &'a [u8],
}

impl<'a> Element<'a> {
    /// Whether the element has this name.
    #[inline]
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }

    /// The text of a string.
    #[inline]
    pub(crate) fn text(&self) -> Result<&'a str, Odd> {
        match self.value {
            [_, _, _, _, text @ .., _] if self.kind == STRING => {
                simdutf8::basic::from_utf8(text).map_err(|_| Odd)
            }
            _ => Err(Odd),
        }
    }

    /// A document or an array inside the document.
    #[inline]
    pub(crate) fn document(&self, kind: u8) -> Result<&'a RawDocument, Odd> {
        if self.kind == kind { RawDocument::from_bytes(self.value).map_err(|_| Odd) } else { Err(Odd) }
    }
}

/// The elements that are left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    /// All elements of a document or an array.
    #[inline]
    pub(crate) fn over(document: &'a RawDocument) -> Self {
        // The type holds only what has a length and a zero at the end.
        match document.as_bytes() {
            [_, _, _, _, elements @ .., _] => Self(elements),
            _ => Self(&[]),
        }
    }

    /// The next element; `None` at the end.
    ///
    /// # Errors
    /// [`Odd`], and for ever after.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<Element<'a>>, Odd> {
        let Some((&kind, behind)) = self.0.split_first() else { return Ok(None) };
        let (name, behind) = split_name(behind).ok_or(Odd)?;
        let (value, behind) = size(kind, behind).and_then(|size| behind.split_at_checked(size)).ok_or(Odd)?;
        if matches!(kind, STRING | DOCUMENT | ARRAY) && value.last() != Some(&0) {
            return Err(Odd);
        }
        self.0 = behind;
        Ok(Some(Element { kind, name, value }))
    }

    /// Number of elements left.
    ///
    /// # Errors
    /// [`Odd`]
    #[inline]
    pub(crate) fn count(mut self) -> Result<i64, Odd> {
        let mut count = 0;
        while self.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

/// The name in front and what is behind its zero. Eight bytes at a time: names are short, and a walk
/// looks at many.
#[inline]
fn split_name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut length = 0;
    while let Some(eight) = bytes.get(length..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        // The lowest bit that is set is the high one of the first zero byte, bytes before it are not zero.
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

/// Size of a value of this type that begins here.
#[inline]
fn size(kind: u8, value: &[u8]) -> Option<usize> {
    let length = || {
        let length = i32::from_le_bytes(*value.first_chunk::<4>()?);
        usize::try_from(length).ok()
    };
    match kind {
        STRING => length().filter(|length| *length >= 1)?.checked_add(4),
        DOCUMENT | ARRAY => length().filter(|length| *length >= 5),
        // Undefined and the old binary subtype, which has a second length, are left to others.
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
