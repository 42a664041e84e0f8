//! Keys of JSON objects, as element names that BSON and MongoDB can hold.

use std::borrow::Cow;

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
