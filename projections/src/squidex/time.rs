//! The header `Timestamp`, parsed into milliseconds without a date library and without errors.
//!
//! Invariant: a text that isn't exactly in the format is the Unix epoch, as in Squidex.

/// Parses a timestamp into milliseconds since the Unix epoch, rounded down; `None` for the epoch
/// itself, which Squidex takes as not set, and for a text in another format.
///
/// The format is `yyyy-MM-ddTHH:mm:ss`, an optional fraction of one to nine digits after `.` or `,`,
/// and `Z`.
pub(super) fn parse_ms(text: &str) -> Option<i64> {
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
    (seconds != 0 || nanos != 0).then_some(seconds * 1000 + nanos / 1_000_000)
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

#[cfg(test)]
mod tests {
    use super::*;

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
