//! Tables and numbers for people.

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{ContentArrangement, Table};

/// A table with a header.
pub(in crate::cli) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

/// A number with its thousands apart: `1 234 567`.
pub(in crate::cli) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 failed stream`, `2 000 failed streams`.
pub(in crate::cli) fn count(value: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", number(value), if value == 1 { singular } else { plural })
}

/// A value, or a dash.
pub(in crate::cli) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// Seconds with as many digits as matter.
pub(in crate::cli) fn seconds(value: f64) -> String {
    if value < 10.0 { format!("{value:.2} s") } else { format!("{value:.0} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_the_right_noun() {
        let texts = [0, 1, 2000].map(|value| count(value, "stream", "streams"));
        assert_eq!(texts, ["0 streams", "1 stream", "2 000 streams"]);
    }

    #[test]
    fn thousands_are_apart() {
        let texts = [0, 999, 1000, 1_234_567].map(number);
        assert_eq!(texts, ["0", "999", "1 000", "1 234 567"]);
        assert_eq!((seconds(1.234).as_str(), seconds(61.7).as_str()), ("1.23 s", "62 s"));
    }
}
