//! The keys of partitions: `iv`, or the code of a language. Their case doesn't matter, and codes that Squidex
//! knows are kept in its own case.

use std::borrow::Cow;

use crate::squidex::language::known;
use crate::squidex::text::{eq_ignore_case, without_case};
use crate::squidex::value::key::{Keys, number};

/// The keys of a field's partitions.
pub(in crate::squidex::content) struct Partitions;

impl Keys for Partitions {
    #[inline]
    fn kept(key: &str) -> &str {
        match key.as_bytes() {
            [b'a'..=b'z', b'a'..=b'z'] => key,
            [b'a'..=b'z', b'a'..=b'z', b'-', b'A'..=b'Z', b'A'..=b'Z'] => key,
            [_, _] | [_, _, b'-', _, _] => known(key).unwrap_or(key),
            _ => key,
        }
    }

    #[inline]
    fn are_same(left: &[u8], right: &[u8]) -> bool {
        // No other character has an ASCII one as its other case.
        if left.is_ascii() || right.is_ascii() {
            return left.eq_ignore_ascii_case(right);
        }
        let text = std::str::from_utf8;
        left == right
            || matches!((text(left), text(right)), (Ok(left), Ok(right)) if eq_ignore_case(left, right))
    }

    fn number(key: &str) -> u64 {
        // Characters beyond ASCII, whose case may change their length, aren't looked at.
        number(key.bytes().filter(u8::is_ascii).map(|byte| byte.to_ascii_uppercase()))
    }

    fn folded(key: &[u8]) -> Cow<'_, [u8]> {
        match std::str::from_utf8(key) {
            Ok(key) => Cow::Owned(without_case(key).into_bytes()),
            Err(_) => Cow::Borrowed(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_get_their_own_case_and_all_others_stay() {
        let cases = [
            ("iv", "iv"),
            ("IV", "IV"),
            ("en", "en"),
            ("EN", "en"),
            ("eN", "en"),
            ("xx", "xx"),
            ("XX", "XX"),
            ("pt-BR", "pt-BR"),
            ("PT-br", "pt-BR"),
            ("pt-br", "pt-BR"),
            ("pt-xx", "pt-xx"),
            ("XX-us", "XX-us"),
            ("en_US", "en_US"),
            ("zh-hans", "zh-hans"),
            ("", ""),
            ("ß", "ß"),
            ("\u{212A}O", "\u{212A}O"),
        ];
        for (key, kept) in cases {
            assert_eq!(Partitions::kept(key), kept, "{key}");
        }
    }

    #[test]
    fn the_same_keys_have_the_same_number_and_the_same_folded_text() {
        let keys = [
            "", "iv", "IV", "ı", "i", "I", "ß", "SS", "ss", "ä", "Ä", "ⱥ", "Ⱥ", "ſ", "s", "k", "\u{212A}",
            "σ", "ς", "Σ", "aä", "Aä", "aÄ",
        ];
        for left in keys {
            for right in keys {
                let (as_bytes, is_same) = ((left.as_bytes(), right.as_bytes()), eq_ignore_case(left, right));
                assert_eq!(Partitions::are_same(as_bytes.0, as_bytes.1), is_same, "{left} {right}");
                assert_eq!(
                    Partitions::folded(as_bytes.0) == Partitions::folded(as_bytes.1),
                    is_same,
                    "{left} {right}"
                );
                assert!(!is_same || Partitions::number(left) == Partitions::number(right), "{left} {right}");
            }
        }
    }

    #[test]
    fn no_known_code_is_in_another_case() {
        let mut count = 0;
        for code in crate::squidex::language::LANGUAGES.split(' ') {
            count += 1;
            assert_eq!(Partitions::kept(code), code);
            assert_eq!(Partitions::kept(&code.to_uppercase()), code);
            assert_eq!(Partitions::kept(&code.to_lowercase()), code);
        }
        assert_eq!(count, 576);
    }
}
