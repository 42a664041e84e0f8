//! The values of a state that have no fixed length, in one piece of memory, one behind the other: one
//! allocation instead of one for each.

use std::ops::Range;

/// So many values, each of which may be absent: texts, or BSON elements.
#[derive(Debug)]
pub(super) struct Packed<const N: usize> {
    joined: Vec<u8>,
    ends: [u32; N],
    /// A bit for each value that is there.
    present: u32,
}

impl<const N: usize> Default for Packed<N> {
    fn default() -> Self {
        Self { joined: Vec::new(), ends: [0; N], present: 0 }
    }
}

impl<const N: usize> Packed<N> {
    /// Sets all values at once.
    pub(super) fn set_all(&mut self, values: [Option<&[u8]>; N]) {
        let length = values.iter().flatten().map(|value| value.len()).sum();
        self.joined.clear();
        self.joined.reserve_exact(length);
        self.present = 0;
        for (at, (value, end)) in values.into_iter().zip(&mut self.ends).enumerate() {
            self.joined.extend_from_slice(value.unwrap_or_default());
            *end = short(self.joined.len());
            self.present |= u32::from(value.is_some()) << at;
        }
    }

    #[inline]
    fn range(&self, at: usize) -> Range<usize> {
        let end = |at: usize| self.ends.get(at).map_or(0, |end| *end as usize);
        at.checked_sub(1).map_or(0, end)..end(at)
    }

    /// The value at a position, if it is there.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&[u8]> {
        if self.present & (1 << at) == 0 { None } else { self.joined.get(self.range(at)) }
    }

    /// Sets a value, and returns true if it differs from the former one.
    #[inline]
    pub(super) fn set(&mut self, at: usize, value: Option<&[u8]>) -> bool {
        let differs = self.get(at) != value;
        if differs {
            self.replace(at, value);
        }
        differs
    }

    fn replace(&mut self, at: usize, value: Option<&[u8]>) {
        let (former, new, length) = (self.range(at), value.unwrap_or_default(), self.joined.len());
        let end = former.start + new.len();
        if let Some(more) = end.checked_sub(former.end) {
            self.joined.reserve_exact(more);
            self.joined.resize(length + more, 0);
            self.joined.copy_within(former.end..length, end);
        } else {
            self.joined.copy_within(former.end..length, end);
            self.joined.truncate(length - (former.end - end));
        }
        if let Some(place) = self.joined.get_mut(former.start..end) {
            place.copy_from_slice(new);
        }
        for later in self.ends.iter_mut().skip(at) {
            *later = short(*later as usize + end - former.end);
        }
        self.present = self.present & !(1 << at) | u32::from(value.is_some()) << at;
    }

    /// Gives back memory that former, longer values needed.
    pub(super) fn shrink(&mut self) {
        self.joined.shrink_to_fit();
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        // Allocators round up and keep a header or a size class.
        let length = self.joined.capacity();
        if length == 0 { 0 } else { (length + 8).next_multiple_of(16) }
    }
}

fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..5))
    }

    proptest! {
        #[test]
        fn values_are_what_they_were_set_to(
            first in proptest::array::uniform4(value()),
            changes in proptest::collection::vec((0_usize..4, value()), 0..30),
        ) {
            let mut expected = first.clone();
            let mut packed = Packed::default();
            packed.set_all(first.each_ref().map(Option::as_deref));
            for (at, value) in changes {
                prop_assert_eq!(packed.set(at, value.as_deref()), expected[at] != value);
                expected[at] = value;
                for (at, value) in expected.iter().enumerate() {
                    prop_assert_eq!(packed.get(at), value.as_deref());
                }
            }
        }
    }
}
