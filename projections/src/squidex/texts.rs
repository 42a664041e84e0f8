//! The texts of a state in one piece of memory, one behind the other: one allocation instead of one for each.

use std::ops::Range;

/// So many texts, each of which may be absent.
#[derive(Debug)]
pub(super) struct Texts<const N: usize> {
    joined: String,
    ends: [u32; N],
    /// A bit for each text that is there.
    present: u32,
}

impl<const N: usize> Default for Texts<N> {
    fn default() -> Self {
        Self { joined: String::new(), ends: [0; N], present: 0 }
    }
}

impl<const N: usize> Texts<N> {
    /// All texts at once.
    pub(super) fn new(texts: [Option<&str>; N]) -> Self {
        let length = texts.iter().flatten().map(|text| text.len()).sum();
        let mut new = Self { joined: String::with_capacity(length), ..Self::default() };
        for (at, (text, end)) in texts.into_iter().zip(&mut new.ends).enumerate() {
            new.joined.push_str(text.unwrap_or_default());
            *end = short(new.joined.len());
            new.present |= u32::from(text.is_some()) << at;
        }
        new
    }

    fn range(&self, at: usize) -> Range<usize> {
        let end = |at: usize| self.ends.get(at).map_or(0, |end| *end as usize);
        at.checked_sub(1).map_or(0, end)..end(at)
    }

    /// The text at a position, if it is there.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&str> {
        if self.present & (1 << at) == 0 { None } else { self.joined.get(self.range(at)) }
    }

    /// Sets a text, and returns true if it differs from the former one.
    pub(super) fn set(&mut self, at: usize, text: Option<&str>) -> bool {
        if self.get(at) == text {
            return false;
        }
        let (former, new) = (self.range(at), text.unwrap_or_default());
        let (shorter, longer) = (short(former.len()), short(new.len()));
        self.joined.reserve_exact(new.len().saturating_sub(former.len()));
        self.joined.replace_range(former, new);
        for end in self.ends.iter_mut().skip(at) {
            *end = end.saturating_add(longer).saturating_sub(shorter);
        }
        self.present = self.present & !(1 << at) | u32::from(text.is_some()) << at;
        true
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        heap_bytes(self.joined.capacity())
    }
}

/// Memory of an allocation of this length: allocators round up and keep a header or a size class.
pub(super) fn heap_bytes(length: usize) -> usize {
    if length == 0 { 0 } else { (length + 8).next_multiple_of(16) }
}

fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Option<String>> {
        proptest::option::of("[aé]{0,5}")
    }

    proptest! {
        #[test]
        fn texts_are_what_they_were_set_to(
            first in proptest::array::uniform4(text()),
            changes in proptest::collection::vec((0_usize..4, text()), 0..30),
        ) {
            let mut expected = first.clone();
            let mut texts = Texts::new(first.each_ref().map(Option::as_deref));
            for (at, text) in changes {
                prop_assert_eq!(texts.set(at, text.as_deref()), expected[at] != text);
                expected[at] = text;
                for (at, text) in expected.iter().enumerate() {
                    prop_assert_eq!(texts.get(at), text.as_deref());
                }
            }
        }
    }
}
