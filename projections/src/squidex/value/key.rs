//! Keys of JSON objects: as element names that BSON and MongoDB can hold, and which of them are equal.

use std::borrow::Cow;

/// Which keys of an object count as the same one.
pub(in crate::squidex) trait Keys {
    /// A key as it is kept.
    fn kept(key: &str) -> &str;

    /// Returns true if an object has only one of both keys.
    fn are_same(left: &str, right: &str) -> bool;

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
    fn are_same(left: &str, right: &str) -> bool {
        left == right
    }

    fn folded(key: &[u8]) -> Cow<'_, [u8]> {
        Cow::Borrowed(key)
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
