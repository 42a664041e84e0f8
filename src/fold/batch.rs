//! The documents of a raw batch.

use bson::{RawArray, RawDocument};

/// Iterates over the documents of an array. An item is `None` where the array is broken, or holds
/// something that is no document; nothing follows it.
///
/// Format: <https://bsonspec.org/spec.html>; names of the elements are skipped, not read.
pub(crate) struct Documents<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Documents<'a> {
    /// The documents of an array.
    pub(crate) fn of(batch: &'a RawArray) -> Self {
        // The array begins with its own length.
        Self { bytes: batch.as_bytes(), at: 4 }
    }

    fn read(&mut self) -> Option<&'a RawDocument> {
        const DOCUMENT: u8 = 0x03;
        let remaining = self.bytes.get(self.at..)?;
        let (&DOCUMENT, named) = remaining.split_first()? else { return None };
        let start = self.at + 1 + named.iter().position(|byte| *byte == 0)? + 1;
        let length = self.bytes.get(start..)?.first_chunk::<4>()?;
        let end = start.checked_add(usize::try_from(i32::from_le_bytes(*length)).ok()?)?;
        let document = RawDocument::from_bytes(self.bytes.get(start..end)?).ok()?;
        self.at = end;
        Some(document)
    }
}

impl<'a> Iterator for Documents<'a> {
    type Item = Option<&'a RawDocument>;

    fn next(&mut self) -> Option<Self::Item> {
        // The last byte of an array is its terminator.
        if self.at + 1 >= self.bytes.len() {
            return None;
        }
        let found = self.read();
        if found.is_none() {
            self.at = self.bytes.len();
        }
        Some(found)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bson::{RawArrayBuf, rawdoc};

    use super::*;

    #[test]
    fn documents_are_found_in_order() {
        let mut array = RawArrayBuf::new();
        (0..1234_i64)
            .for_each(|at| array.push(rawdoc! { "n": at, "text": if at % 3 == 0 { "" } else { "xyz" } }));
        let found: Vec<_> = Documents::of(&array).map(Option::unwrap).collect();
        assert_eq!(found.len(), 1234);
        for (number, document) in found.iter().enumerate() {
            assert_eq!(document.get_i64("n").unwrap(), i64::try_from(number).unwrap());
        }
        assert_eq!(Documents::of(&RawArrayBuf::new()).count(), 0);
    }

    #[test]
    fn a_value_that_is_no_document_ends_the_walk() {
        let mut array = RawArrayBuf::new();
        array.push(rawdoc! { "n": 1 });
        array.push(7);
        array.push(rawdoc! { "n": 2 });
        let found: Vec<bool> = Documents::of(&array).map(|item| item.is_some()).collect();
        assert_eq!(found, [true, false]);
    }
}
