//! Tables and numbers for people.

use std::os::fd::AsFd;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{ContentArrangement, Table};

/// A table with a header; below each other, if the terminal is too narrow for it.
pub(in crate::cli) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let width = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into());
    table_within(width.unwrap_or(usize::MAX), header, rows.into_iter().collect())
}

fn table_within<const N: usize>(width: usize, header: [&str; N], rows: Vec<[String; N]>) -> String {
    let side_by_side = bordered(header, &rows);
    let widest = side_by_side.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    if widest <= width { side_by_side } else { stacked(width, header, &rows) }
}

/// Each row as a block: its first cell, then a line for each other one that isn't empty, and more lines for
/// a cell that is too long. A single word that doesn't fit is left to the terminal.
fn stacked<const N: usize>(width: usize, header: [&str; N], rows: &[[String; N]]) -> String {
    let widest = header.iter().map(|title| title.chars().count()).max().unwrap_or(0);
    let below = format!("\n  {:widest$}  ", "");
    let block = |row: &[String; N]| {
        let mut cells = header.iter().zip(row);
        let mut text = cells.next().map(|(_, first)| first.clone()).unwrap_or_default();
        for (title, cell) in cells.filter(|(_, cell)| *cell != "-") {
            // Names without spaces, as those of several collections, get a line each.
            let is_names = cell.split(' ').all(|word| word.contains('_'));
            let room = if is_names { 0 } else { width.saturating_sub(widest + 4) };
            text.push_str(&format!("\n  {title:widest$}  {}", lines(cell, room).join(&below)));
        }
        text
    };
    rows.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// A text for a stream: on a terminal its long lines go on below, between two words. Tables fit already, and
/// commands stay in one line, to be copied.
pub(in crate::cli) fn wrapped(text: &str, stream: &impl AsFd) -> String {
    match terminal_size::terminal_size_of(stream) {
        Some((width, _)) => wrapped_within(usize::from(width.0), text),
        None => text.to_owned(),
    }
}

fn wrapped_within(width: usize, text: &str) -> String {
    let is_whole = |line: &str| line.contains("statefold ") || line.chars().any(|sign| sign == '│');
    let wrap = |line: &str| {
        if line.chars().count() <= width || is_whole(line) {
            return line.to_owned();
        }
        let indent = line.len() - line.trim_start().len();
        let below = " ".repeat(indent + 2);
        let room = width.saturating_sub(indent + 2);
        format!("{:indent$}{}", "", lines(line.trim_start(), room).join(&format!("\n{below}")))
    };
    text.lines().map(wrap).collect::<Vec<_>>().join("\n")
}

/// The lines of a text, each with as many words as there is room for, and with one at least.
fn lines(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= room) {
            Some(line) => line.push_str(&format!(" {word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn bordered<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
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
    fn a_table_that_is_too_wide_is_stacked() {
        let header = ["projection", "snapshots", "collections"];
        let row = |words: [&str; 3]| words.map(str::to_owned);
        let rows =
            vec![row(["Contents", "1 819", "States_All4 States_Published4"]), row(["Apps", "12", "-"])];
        let wide = table_within(60, header, rows.clone());
        assert!(wide.contains("│ Contents     1 819       States_All4 States_Published4 │"), "{wide}");
        assert_eq!(
            table_within(40, header, rows),
            "Contents\n  snapshots    1 819\n  collections  States_All4\n               States_Published4\n\
             Apps\n  snapshots    12"
        );
    }

    #[test]
    fn a_cell_that_is_too_long_goes_on_below() {
        let rows = vec![["a_b".to_owned(), "the generation before, to roll back to".to_owned()]];
        assert_eq!(
            table_within(32, ["what", "reason"], rows),
            "a_b\n  reason  the generation before,\n          to roll back to"
        );
    }

    #[test]
    fn a_long_line_goes_on_below_but_a_command_stays_whole() {
        let text = "  one two three four\nstatefold rebuild Assets --yes\nshort";
        assert_eq!(
            wrapped_within(14, text),
            "  one two\n    three four\nstatefold rebuild Assets --yes\nshort"
        );
    }

    #[test]
    fn thousands_are_apart() {
        let texts = [0, 999, 1000, 1_234_567].map(number);
        assert_eq!(texts, ["0", "999", "1 000", "1 234 567"]);
        assert_eq!((seconds(1.234).as_str(), seconds(61.7).as_str()), ("1.23 s", "62 s"));
    }
}
