//! A quick reader of plain JSON, the form of nearly all payloads.
//!
//! Everything else (broken text, an unusual number, an unknown property with an object or an array) is
//! [`NotPlain`], without a reason: the caller falls back to `serde_json`, which decides and names the error.
//! Invariant: a text that this reader accepts is read the same way by `serde_json`. It supports only
//! the types in this folder, which use no type hints but those for text, booleans, options and
//! containers.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::json::Properties;

/// The text is not plain JSON, or doesn't fit the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotPlain;

impl fmt::Display for NotPlain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not plain JSON")
    }
}

impl std::error::Error for NotPlain {}

impl serde::de::Error for NotPlain {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

/// Reads a whole text.
///
/// # Errors
/// [`NotPlain`] if it isn't plain JSON of this type.
#[cfg(test)]
fn from_str<'de, T: serde::Deserialize<'de>>(text: &'de str) -> Result<T, NotPlain> {
    let mut reader = Reader { text, at: 0 };
    let value = T::deserialize(&mut reader)?;
    if reader.peek().is_ok() { Err(NotPlain) } else { Ok(value) }
}

/// Reads an object with these properties. They usually come in the order of their declaration: each
/// name is first compared with the next one, and searched only if it differs.
///
/// # Errors
/// [`NotPlain`] if it isn't plain JSON of this type.
pub(super) fn object<'de, T: Properties<'de>>(text: &'de str) -> Result<T, NotPlain> {
    let mut reader = Reader { text, at: 0 };
    reader.expect(b'{')?;
    let mut items = Items { reader: &mut reader, first: true };
    let (mut object, mut next) = (T::default(), 0);
    while items.advance(b'}')? {
        if !T::name(next).is_some_and(|name| items.reader.take_key(name)) {
            let key = match items.reader.plain()? {
                Some(key) => T::find(key),
                None => T::find(&items.reader.escaped()?),
            };
            let Some(number) = key else {
                items.next_value::<IgnoredAny>()?;
                continue;
            };
            next = number;
        }
        object.read(next, &mut items)?;
        next += 1;
    }
    if reader.peek().is_ok() { Err(NotPlain) } else { Ok(object) }
}

struct Reader<'de> {
    text: &'de str,
    at: usize,
}

impl<'de> Reader<'de> {
    /// The next byte that isn't white space; it isn't consumed.
    #[inline]
    fn peek(&mut self) -> Result<u8, NotPlain> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(NotPlain),
            }
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), NotPlain> {
        if self.peek()? != byte {
            return Err(NotPlain);
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, literal: &str) -> Result<(), NotPlain> {
        let end = self.at + literal.len();
        if self.text.as_bytes().get(self.at..end) != Some(literal.as_bytes()) {
            return Err(NotPlain);
        }
        self.at = end;
        Ok(())
    }

    /// Consumes a key if it is exactly this one.
    #[inline]
    fn take_key(&mut self, key: &str) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let found = match rest.split_at_checked(key.len() + 1) {
            Some(([b'"', found @ ..], [b'"', ..])) => found,
            _ => return false,
        };
        if found != key.as_bytes() {
            return false;
        }
        self.at += key.len() + 2;
        true
    }

    /// Reads text without escapes; `None` if it has escapes, and then nothing is consumed.
    #[inline]
    fn plain(&mut self) -> Result<Option<&'de str>, NotPlain> {
        self.expect(b'"')?;
        let end = special(self.text.as_bytes(), self.at).ok_or(NotPlain)?;
        match self.text.as_bytes().get(end) {
            Some(b'"') => {
                let text = self.text.get(self.at..end).ok_or(NotPlain)?;
                self.at = end + 1;
                Ok(Some(text))
            }
            Some(b'\\') => {
                self.at -= 1;
                Ok(None)
            }
            _ => Err(NotPlain),
        }
    }

    /// Reads text with escapes, from its opening quote on.
    fn escaped(&mut self) -> Result<String, NotPlain> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        let mut out = String::with_capacity(64);
        loop {
            let end = special(bytes, at).ok_or(NotPlain)?;
            out.push_str(self.text.get(at..end).ok_or(NotPlain)?);
            match bytes.get(end..).unwrap_or_default() {
                [b'"', ..] => {
                    self.at = end + 1;
                    return Ok(out);
                }
                [b'\\', b'u', a, b, c, d, rest @ ..] => {
                    at = end + 6;
                    let unit = hex(&[*a, *b, *c, *d])?;
                    out.push(match (unit, rest) {
                        (0xD800..0xDC00, [b'\\', b'u', a, b, c, d, ..]) => {
                            at += 6;
                            let low = hex(&[*a, *b, *c, *d])?.checked_sub(0xDC00).filter(|low| *low < 0x400);
                            let beyond = ((unit - 0xD800) << 10) + low.ok_or(NotPlain)?;
                            char::from_u32(0x1_0000 + beyond).ok_or(NotPlain)?
                        }
                        _ => char::from_u32(unit).ok_or(NotPlain)?,
                    });
                }
                [b'\\', escape, ..] => {
                    at = end + 2;
                    out.push(match escape {
                        b'"' | b'\\' | b'/' => char::from(*escape),
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        _ => return Err(NotPlain),
                    });
                }
                _ => return Err(NotPlain),
            }
        }
    }

    #[inline]
    fn string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, NotPlain> {
        match self.plain()? {
            Some(text) => visitor.visit_borrowed_str(text),
            None => visitor.visit_string(self.escaped()?),
        }
    }

    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, NotPlain> {
        /// Number of digits that always fit into 64 bits.
        const DIGITS_MAX: usize = 18;
        let bytes = self.text.as_bytes().get(self.at..).ok_or(NotPlain)?;
        let mut number = 0_u64;
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
        let length =
            digits.map(|byte| number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'))).count();
        let is_whole = !matches!(bytes.get(length), Some(b'.' | b'e' | b'E'));
        let leading_zero = length > 1 && bytes.first() == Some(&b'0');
        if is_whole && (1..=DIGITS_MAX).contains(&length) && !leading_zero {
            self.at += length;
            return visitor.visit_u64(number);
        }
        let of_number = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
        let end = self.at + bytes.iter().take_while(of_number).count();
        let mut number = serde_json::Deserializer::from_str(self.text.get(self.at..end).ok_or(NotPlain)?);
        let value = number.deserialize_any(visitor).map_err(|_| NotPlain)?;
        number.end().map_err(|_| NotPlain)?;
        self.at = end;
        Ok(value)
    }
}

/// Parses four hexadecimal digits.
fn hex(digits: &[u8; 4]) -> Result<u32, NotPlain> {
    digits.iter().try_fold(0, |number, digit| {
        char::from(*digit).to_digit(16).map(|digit| number << 4 | digit).ok_or(NotPlain)
    })
}

/// Position of the first byte at or after `at` that ends plain text: a quote, a backslash, a control
/// character.
#[inline]
fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        let zeros = |word: u64| word.wrapping_sub(LOW) & !word;
        let quotes = zeros(word ^ (LOW * 0x22));
        let backslashes = zeros(word ^ (LOW * 0x5C));
        let controls = word.wrapping_sub(LOW * 0x20) & !word;
        // A borrow only affects bytes after a match, and only the first match counts.
        let found = (quotes | backslashes | controls) & HIGH;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    bytes.get(at..)?.iter().position(ends).map(|place| at + place)
}

impl<'de> serde::Deserializer<'de> for &mut Reader<'de> {
    type Error = NotPlain;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        match self.peek()? {
            b'"' => self.string(visitor),
            b'{' => self.deserialize_map(visitor),
            b'[' => self.deserialize_seq(visitor),
            b'0'..=b'9' | b'-' => self.number(visitor),
            b'n' => {
                self.literal("null")?;
                visitor.visit_unit()
            }
            _ => self.deserialize_bool(visitor),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        self.string(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        if self.peek()? == b'n' {
            self.literal("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        let value = self.peek()? == b't';
        self.literal(if value { "true" } else { "false" })?;
        visitor.visit_bool(value)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        self.expect(b'{')?;
        visitor.visit_map(Items { reader: self, first: true })
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        self.expect(b'[')?;
        visitor.visit_seq(Items { reader: self, first: true })
    }

    /// Skips a scalar. Containers are [`NotPlain`]: `serde_json` limits their depth.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        match self.peek()? {
            b'{' | b'[' => return Err(NotPlain),
            b'"' => drop(self.plain()?.ok_or(NotPlain)?),
            _ => drop(self.deserialize_any(IgnoredAny)?),
        }
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char string bytes byte_buf unit unit_struct
        newtype_struct tuple tuple_struct struct enum identifier
    }
}

/// The remaining items of an object or an array.
struct Items<'a, 'de> {
    reader: &'a mut Reader<'de>,
    first: bool,
}

impl Items<'_, '_> {
    /// Advances to the next item; returns false if there is none.
    #[inline]
    fn advance(&mut self, end: u8) -> Result<bool, NotPlain> {
        let byte = self.reader.peek()?;
        if byte == end {
            self.reader.at += 1;
            return Ok(false);
        }
        if !self.first {
            self.reader.expect(b',')?;
        }
        self.first = false;
        Ok(true)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = NotPlain;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, NotPlain> {
        if !self.advance(b'}')? {
            return Ok(None);
        }
        if self.reader.peek()? != b'"' {
            return Err(NotPlain);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NotPlain> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = NotPlain;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, NotPlain> {
        if !self.advance(b']')? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

#[cfg(test)]
mod tests;
