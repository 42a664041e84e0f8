//! A quick reader of plain JSON, the form of nearly all payloads: straight into its types, without serde.
//!
//! Everything else (broken text, an unusual number, an unknown property with an object or an array) is
//! [`NotPlain`], without a reason: the caller falls back to `serde_json`, which decides and names the error.
//! Invariant: a text that this reader accepts is read the same way by `serde_json`.

use std::borrow::Cow;

/// The text is not plain JSON, or doesn't fit the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotPlain;

/// A value that can be read from plain JSON.
pub(super) trait Plain<'de>: Sized {
    /// Reads the value at which the reader stands.
    ///
    /// # Errors
    /// [`NotPlain`] if it isn't plain JSON of this type.
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain>;
}

/// A text, and how far it was read.
pub(super) struct Reader<'de> {
    text: &'de str,
    at: usize,
}

impl<'de> Reader<'de> {
    /// Stands before a text.
    pub(super) fn new(text: &'de str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that isn't white space; it isn't consumed.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, NotPlain> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(NotPlain),
            }
        }
    }

    /// Consumes the next byte that isn't white space, which must be this one.
    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), NotPlain> {
        if self.peek()? != byte {
            return Err(NotPlain);
        }
        self.at += 1;
        Ok(())
    }

    /// Consumes these bytes, if the text goes on with them.
    #[inline]
    pub(super) fn take<const N: usize>(&mut self, bytes: &[u8; N]) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let found = rest.first_chunk::<N>() == Some(bytes);
        if found {
            self.at += N;
        }
        found
    }

    /// Begins an object or an array, and returns true if there is something in it: the reader stands
    /// before it.
    #[inline]
    pub(super) fn open(&mut self, open: u8, end: u8) -> Result<bool, NotPlain> {
        self.expect(open)?;
        let is_empty = self.peek()? == end;
        if is_empty {
            self.at += 1;
        }
        Ok(!is_empty)
    }

    /// After a member or an item: returns true if another one follows, and the reader stands before it.
    #[inline]
    pub(super) fn more(&mut self, end: u8) -> Result<bool, NotPlain> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b',' {
            self.peek()?;
            return Ok(true);
        }
        if byte == end { Ok(false) } else { Err(NotPlain) }
    }

    /// Expects that the whole text was read.
    ///
    /// # Errors
    /// [`NotPlain`] if it wasn't.
    pub(super) fn end(&mut self) -> Result<(), NotPlain> {
        if self.peek().is_ok() { Err(NotPlain) } else { Ok(()) }
    }

    /// Reads a key without escapes and its colon; the reader stands before the value.
    #[inline]
    pub(super) fn key(&mut self) -> Result<&'de str, NotPlain> {
        let key = self.borrowed()?.ok_or(NotPlain)?;
        self.expect(b':')?;
        self.peek()?;
        Ok(key)
    }

    /// Reads text.
    #[inline]
    pub(super) fn text(&mut self) -> Result<Cow<'de, str>, NotPlain> {
        match self.borrowed()? {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => self.owned(),
        }
    }

    /// Reads text with escapes.
    #[cold]
    fn owned(&mut self) -> Result<Cow<'de, str>, NotPlain> {
        let mut text = Vec::with_capacity(64);
        self.escaped(&mut text)?;
        String::from_utf8(text).map(Cow::Owned).map_err(|_| NotPlain)
    }

    /// Reads text without escapes; `None` if it has escapes, and then nothing is consumed.
    #[inline]
    pub(super) fn borrowed(&mut self) -> Result<Option<&'de str>, NotPlain> {
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

    /// Appends text with escapes, from its opening quote on.
    pub(super) fn escaped(&mut self, out: &mut Vec<u8>) -> Result<(), NotPlain> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        loop {
            let end = special(bytes, at).ok_or(NotPlain)?;
            out.extend_from_slice(bytes.get(at..end).ok_or(NotPlain)?);
            let (escaped, length) = match bytes.get(end..).unwrap_or_default() {
                [b'"', ..] => {
                    self.at = end + 1;
                    return Ok(());
                }
                [b'\\', b'u', a, b, c, d, rest @ ..] => {
                    let unit = hex(&[*a, *b, *c, *d])?;
                    match (unit, rest) {
                        (0xD800..0xDC00, [b'\\', b'u', a, b, c, d, ..]) => {
                            let low = hex(&[*a, *b, *c, *d])?.checked_sub(0xDC00).filter(|low| *low < 0x400);
                            let beyond = ((unit - 0xD800) << 10) + low.ok_or(NotPlain)?;
                            (char::from_u32(0x1_0000 + beyond).ok_or(NotPlain)?, 12)
                        }
                        _ => (char::from_u32(unit).ok_or(NotPlain)?, 6),
                    }
                }
                [b'\\', escape, ..] => {
                    let escaped = match escape {
                        b'"' | b'\\' | b'/' => char::from(*escape),
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        _ => return Err(NotPlain),
                    };
                    (escaped, 2)
                }
                _ => return Err(NotPlain),
            };
            out.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
            at = end + length;
        }
    }

    /// Reads a whole number without sign that fits into 64 bits; if there is another number, nothing is
    /// consumed.
    #[inline]
    pub(super) fn whole(&mut self) -> Result<i64, NotPlain> {
        /// Number of digits that always fit into 64 bits with a sign.
        const DIGITS_MAX: usize = 18;
        self.peek()?;
        let bytes = self.text.as_bytes().get(self.at..).ok_or(NotPlain)?;
        let mut number = 0_i64;
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
        let length =
            digits.map(|byte| number = number.wrapping_mul(10).wrapping_add(i64::from(byte - b'0'))).count();
        let is_whole = !matches!(bytes.get(length), Some(b'.' | b'e' | b'E'));
        let leading_zero = length > 1 && bytes.first() == Some(&b'0');
        if !is_whole || !(1..=DIGITS_MAX).contains(&length) || leading_zero {
            return Err(NotPlain);
        }
        self.at += length;
        Ok(number)
    }

    /// Reads any number, as the nearest double.
    #[expect(clippy::cast_precision_loss, reason = "every number is a double, to the nearest one")]
    pub(super) fn double(&mut self) -> Result<f64, NotPlain> {
        if let Ok(number) = self.whole() {
            return Ok(number as f64);
        }
        let rest = self.text.get(self.at..).ok_or(NotPlain)?;
        let of_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
        let length = rest.bytes().take_while(of_number).count();
        let digits = rest.get(..length).ok_or(NotPlain)?;
        let number = serde_json::from_str(digits).map_err(|_| NotPlain)?;
        self.at += length;
        Ok(number)
    }

    /// Skips a value. Containers are [`NotPlain`]: `serde_json` limits their depth.
    pub(super) fn skip(&mut self) -> Result<(), NotPlain> {
        match self.peek()? {
            b'"' => drop(self.borrowed()?.ok_or(NotPlain)?),
            b'0'..=b'9' | b'-' => _ = self.double()?,
            _ if self.take(b"null") || self.take(b"true") || self.take(b"false") => {}
            _ => return Err(NotPlain),
        }
        Ok(())
    }
}

impl<'de> Plain<'de> for bool {
    #[inline]
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        reader.peek()?;
        if reader.take(b"false") {
            return Ok(false);
        }
        if reader.take(b"true") { Ok(true) } else { Err(NotPlain) }
    }
}

impl<'de, T: Plain<'de>> Plain<'de> for Option<T> {
    #[inline]
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        reader.peek()?;
        if reader.take(b"null") { Ok(None) } else { T::read(reader).map(Some) }
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

#[cfg(test)]
mod tests;
