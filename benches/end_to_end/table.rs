//! Tables for the terminal and for Markdown.

use crate::bar::Bar;
use crate::rows::{Row, label};

/// A number with separated thousands.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() + 4);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A count with separated thousands.
pub(crate) fn count(number: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
    thousands(number as f64)
}

/// Seconds, with two decimals below ten and one above.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2}") } else { format!("{seconds:.1}") }
}

/// Titles of the columns.
pub(crate) const TITLES: [&str; 8] =
    ["", "seconds", "min – max", "events/s", "× Squidex", "× floor", "CPU s: server, client", "client MB"];

/// The cells of a row.
pub(crate) fn cells(row: &Row) -> [String; 8] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".into());
    let cpu = row.server_cpu_seconds.zip(row.client_cpu_seconds);
    [
        label(&row.name),
        seconds(row.seconds.median),
        format!("{} – {}", seconds(row.seconds.min), seconds(row.seconds.max)),
        or_none(row.events_per_second.map(thousands)),
        or_none(row.times_baseline.map(|times| format!("{times:.1}"))),
        or_none(row.times_floor.map(|times| format!("{times:.2}"))),
        or_none(cpu.map(|(server, client)| format!("{}, {}", seconds(server), seconds(client)))),
        or_none(row.client_peak_mb.map(|mb| format!("{mb:.0}"))),
    ]
}

/// A table for the terminal, its columns aligned.
pub(crate) fn aligned<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain(titles.get(at).map(|title| title.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths).enumerate();
        let cells = cells.map(
            |(at, (cell, width))| {
                if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            },
        );
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut titles.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// A Markdown table.
pub(crate) fn markdown<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let mut text = format!("| {} |\n|---|{}\n", titles.join(" | "), "---:|".repeat(N.saturating_sub(1)));
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text
}

/// The cells of a bar.
pub(crate) fn bar_cells(bar: &Bar) -> [String; 4] {
    let decimals = if bar.wanted < 1.0 || bar.value < 2.0 { 2 } else { 1 };
    [
        bar.what.clone(),
        format!("{}", bar.wanted),
        format!("{:.decimals$}", bar.value),
        if bar.met { "yes" } else { "no" }.into(),
    ]
}
