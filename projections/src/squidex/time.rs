//! Instants, as in the header `Timestamp` and in payloads, parsed and printed without a date library.
//!
//! Invariant: a header that isn't exactly in the format is the Unix epoch, as in Squidex; a payload with
//! such a time is unreadable.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::quick::{NotPlain, Plain, Reader};

/// An instant, to the nanosecond. The default is the Unix epoch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Seconds since the Unix epoch, rounded down.
    seconds: i64,
    nanos: i64,
}

impl Moment {
    /// Milliseconds since the Unix epoch, rounded down.
    pub(super) fn ms(self) -> i64 {
        self.seconds * 1000 + self.nanos / 1_000_000
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Moment;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a time like 2023-05-01T10:00:00Z")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Moment, E> {
                parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl<'de> Plain<'de> for Moment {
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        parse(&reader.text()?).ok_or(NotPlain)
    }
}

/// In the format of [`parse`], with as many digits of the fraction as it needs.
impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds.div_euclid(86_400), self.seconds.rem_euclid(86_400));
        let (year, month, day) = date_of(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if self.nanos != 0 {
            let fraction = format!("{:09}", self.nanos);
            write!(formatter, ".{}", fraction.trim_end_matches('0'))?;
        }
        formatter.write_str("Z")
    }
}

/// Parses a header into milliseconds since the Unix epoch, rounded down; `None` for the epoch itself,
/// which Squidex takes as not set, and for a text in another format.
pub(super) fn parse_ms(text: &str) -> Option<i64> {
    parse_header(text).map(Moment::ms)
}

/// As [`parse_ms`], to the nanosecond.
pub(super) fn parse_header(text: &str) -> Option<Moment> {
    parse(text).filter(|instant| *instant != Moment::default())
}

/// Parses an instant; `None` for a text in another format.
///
/// The format is `yyyy-MM-ddTHH:mm:ss`, an optional fraction of one to nine digits after `.` or `,`,
/// and `Z`.
pub(super) fn parse(text: &str) -> Option<Moment> {
    let (fixed, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let nanos = match rest {
        [b'Z'] => 0,
        [b'.' | b',', digits @ .., b'Z'] => fraction_nanos(digits)?,
        _ => return None,
    };
    let [y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T', h0, h1, b':', mi0, mi1, b':', s0, s1] = *fixed
    else {
        return None;
    };
    let (year, month, day) = (number(&[y0, y1, y2, y3])?, number(&[mo0, mo1])?, number(&[d0, d1])?);
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[mi0, mi1])?, number(&[s0, s1])?);
    if day < 1 || day > days_of(year, month)? || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((days_since_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(Moment { seconds, nanos })
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| match digit {
        b'0'..=b'9' => Some(sum * 10 + i64::from(digit - b'0')),
        _ => None,
    })
}

fn fraction_nanos(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let missing = (digits.len()..9).fold(1, |factor, _| factor * 10);
    Some(number(digits)? * missing)
}

fn days_of(year: i64, month: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Days since the Unix epoch in the proleptic Gregorian calendar. Years begin in March here, so that
/// the leap day is the last day of its year and the lengths of months follow a formula.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let to_march_of_year_0 = 719_468;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - to_march_of_year_0
}

/// Year, month and day of a number of days since the Unix epoch: the inverse of [`days_since_epoch`].
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (day * 5 + 2) / 153;
    let day = day - (month * 153 + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (year + era * 400, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_printed_as_it_is_read() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2023-05-01T10:00:00.9876543Z",
            "2024-02-29T23:59:59.000000001Z",
            "2000-12-31T00:00:00.5Z",
            "1900-03-01T01:02:03Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
        ] {
            assert_eq!(parse(text).map(|instant| instant.to_string()).as_deref(), Some(text));
        }
        assert_eq!(parse("2000-12-31T00:00:00,50Z"), parse("2000-12-31T00:00:00.5Z"));
        for days in -800_000..800_000 {
            let (year, month, day) = date_of(days);
            assert_eq!(days_since_epoch(year, month, day), days);
        }
    }

    #[test]
    fn the_format_of_squidex_is_read_to_the_millisecond() {
        let cases = [
            ("1970-01-01T00:00:01Z", 1000),
            ("2023-05-01T10:00:00Z", 1_682_935_200_000),
            ("2023-05-01T10:00:00.9876543Z", 1_682_935_200_987),
            ("2023-05-01T10:00:00,9876543Z", 1_682_935_200_987),
            ("2023-05-01T10:00:00.1Z", 1_682_935_200_100),
            ("2023-05-01T10:00:00.000999999Z", 1_682_935_200_000),
            ("2024-02-29T23:59:59Z", 1_709_251_199_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("9999-12-31T23:59:59.999999999Z", 253_402_300_799_999),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000),
            ("1969-12-31T23:59:59.9999Z", -1),
            ("1970-01-01T00:00:00.000000001Z", 0),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn everything_else_is_the_epoch() {
        let cases = [
            "",
            "Z",
            "1970-01-01T00:00:00Z",
            "2023-05-01T10:00:00",
            "2023-05-01T10:00:00z",
            "2023-05-01 10:00:00Z",
            "2023-05-01T10:00:00+00:00",
            "2023-05-01T10:00:00.Z",
            "2023-05-01T10:00:00.1234567890Z",
            "2023-05-01T10:00:00.12a4Z",
            "2023-05-01T10:00:00;5Z",
            "2023-05-01T10:00Z",
            "2023-5-01T10:00:00Z",
            "+2023-05-01T10:00:00Z",
            "-023-05-01T10:00:00Z",
            "2023-13-01T10:00:00Z",
            "2023-00-01T10:00:00Z",
            "2023-02-29T10:00:00Z",
            "1900-02-29T10:00:00Z",
            "2023-04-31T10:00:00Z",
            "2023-04-00T10:00:00Z",
            "2023-05-01T24:00:00Z",
            "2023-05-01T10:60:00Z",
            "2023-05-01T10:00:60Z",
            "2023-05-01T10:00:00Z ",
            "２023-05-01T10:00:00Z",
            "Mon, 01 May 2023 10:00:00 GMT",
        ];
        for text in cases {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }
}
