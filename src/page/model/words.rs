//! Numbers and lengths of time in words.

/// A number with its thousands apart, by a space that breaks no line.
pub(in crate::page) fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// How many of something.
pub(in crate::page) fn count(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(value), if value == 1 { one } else { many })
}

/// A rate of commits.
pub(in crate::page) fn per_second(rate: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate of commits")]
    let rate = rate.max(0.0).round() as u64;
    format!("{} commits/s", thousands(rate))
}

/// A length of time: `12 s`, `3 min 5 s`, `2 h 10 min`.
pub(in crate::page) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_readable() {
        assert_eq!(thousands(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((count(1, "stream", "streams"), count(0, "a", "b")), ("1 stream".into(), "0 b".into()));
        assert_eq!(per_second(999.6), "1\u{202f}000 commits/s");
        assert_eq!(
            [5, 60, 125, 7260, 200_000].map(duration),
            ["5 s", "1 min", "2 min 5 s", "2 h 1 min", "2 days"]
        );
    }
}
