//! Keys of JSON objects: as element names that BSON and MongoDB can hold, and which of them are equal.

use std::borrow::Cow;
use std::marker::PhantomData;

use crate::squidex::json::FEW;

/// Which keys of an object count as the same one.
pub(in crate::squidex) trait Keys {
    /// A key as it is kept.
    fn kept(key: &str) -> &str;

    /// Returns true if an object has only one of both keys.
    fn are_same(left: &[u8], right: &[u8]) -> bool;

    /// A number that the same keys have in common, and others hardly ever.
    fn number(key: &str) -> u64;

    /// A text that the same keys have in common.
    fn folded(key: &[u8]) -> Cow<'_, [u8]>;
}

/// The keys of all objects but partitions: compared as they are.
pub(in crate::squidex) struct Ordinal;

impl Keys for Ordinal {
    #[inline]
    fn kept(key: &str) -> &str {
        key
    }

    #[inline]
    fn are_same(left: &[u8], right: &[u8]) -> bool {
        left == right
    }

    fn number(key: &str) -> u64 {
        number(key.bytes())
    }

    fn folded(key: &[u8]) -> Cow<'_, [u8]> {
        Cow::Borrowed(key)
    }
}

/// The hash FNV-1a of these bytes.
pub(in crate::squidex) fn number(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The keys of an object while it is read, to find out whether one comes twice.
pub(super) struct Seen<'a, K> {
    first: [&'a str; FEW],
    count: usize,
    is_twice: bool,
    /// The numbers of all keys, if there are many.
    numbers: Vec<u64>,
    keys: PhantomData<K>,
}

impl<'a, K: Keys> Seen<'a, K> {
    #[inline]
    pub(super) fn new() -> Self {
        Self { first: [""; FEW], count: 0, is_twice: false, numbers: Vec::new(), keys: PhantomData }
    }

    /// Adds the next key.
    #[inline]
    pub(super) fn add(&mut self, key: &'a str) {
        let are_same = |known: &&str| K::are_same(known.as_bytes(), key.as_bytes());
        match self.first.get_mut(self.count) {
            Some(slot) => *slot = key,
            None => self.add_number(key),
        }
        self.is_twice |= self.count < FEW && self.first.iter().take(self.count).any(are_same);
        self.count += 1;
    }

    #[cold]
    fn add_number(&mut self, key: &str) {
        if self.numbers.is_empty() {
            self.numbers.extend(self.first.iter().map(|key| K::number(key)));
        }
        self.numbers.push(K::number(key));
    }

    /// Returns false if no key comes twice.
    #[inline]
    pub(super) fn may_be_twice(mut self) -> bool {
        self.numbers.sort_unstable();
        self.is_twice || self.numbers.windows(2).any(|pair| pair.first() == pair.last())
    }
}

/// Escapes a key as Squidex stores it: no empty name, no leading dollar, no dot.
pub(in crate::squidex) fn escape(key: &str) -> Cow<'_, str> {
    let dollar = key.len() > 1 && key.starts_with('$');
    match key {
        "" => Cow::Borrowed("§empty"),
        _ if !dollar && !key.contains('.') => Cow::Borrowed(key),
        _ => {
            let (start, rest) = if dollar { ("§", key.get(1..).unwrap_or_default()) } else { ("", key) };
            Cow::Owned(format!("{start}{}", rest.replace('.', "_§§_")))
        }
    }
}

/// The bytes of a key with each NUL replaced by two bytes that no UTF-8 text contains.
pub(super) fn without_zeros(key: &str) -> Vec<u8> {
    key.bytes().flat_map(|byte| if byte == 0 { vec![0xC0, 0x80] } else { vec![byte] }).collect()
}
