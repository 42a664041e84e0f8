//! The chart: events per second as bars, in an SVG that is readable on light and dark pages.

use std::fmt::Write as _;

use crate::results::Results;
use crate::rows::{BASELINE, FLOOR, INDEXED, PLAIN, Row, label};
use crate::table::{count, thousands};

const WIDTH: f64 = 820.0;
const LABELS: f64 = 270.0;
/// Space for the numbers after the longest bar.
const NUMBERS: f64 = 180.0;
const LINE: f64 = 28.0;
const BAR: f64 = 18.0;
const TOP: f64 = 44.0;

const STYLE: &str = "\
text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #24292f; }\n\
.title { font-size: 15px; font-weight: 600; }\n\
.group { font-weight: 600; }\n\
.small { font-size: 11px; }\n\
.small, .number { fill: #57606a; }\n\
.own { fill: #1f6feb; }\n\
.other { fill: #a0793d; }\n\
.floor { fill: #8c959f; }\n\
@media (prefers-color-scheme: dark) {\n\
text { fill: #e6edf3; }\n\
.small, .number { fill: #9da7b3; }\n\
.own { fill: #58a6ff; }\n\
.other { fill: #c69a5d; }\n\
.floor { fill: #6e7681; }\n\
}\n";

/// The chart of a run.
pub(crate) fn svg(run: &Results) -> String {
    let groups = [PLAIN, INDEXED].map(|group| (group, rows(run, group)));
    let rates = groups.iter().flat_map(|(_, rows)| rows.iter().filter_map(|row| row.events_per_second));
    let most = rates.fold(1.0, f64::max);
    let (mut body, mut y) = (String::new(), TOP);
    for (group, rows) in groups.iter().filter(|(_, rows)| !rows.is_empty()) {
        text(&mut body, (0.0, y), "group", group);
        y += LINE / 2.0;
        for row in rows {
            bar(&mut body, y, row, most);
            y += LINE;
        }
        y += LINE;
    }
    let conditions = format!(
        "{} commits, {} events, median of {} rounds; {} cores, MongoDB {}, client and server on one machine",
        count(run.fixture.commits),
        count(run.fixture.events),
        run.rounds,
        run.machine.cores,
        run.versions.server
    );
    text(&mut body, (0.0, y), "small", &conditions);
    let height = y + 10.0;
    let title = "Rebuilding snapshots: events in a second (× Squidex's algorithm, batches of 100)";
    let mut head = String::new();
    text(&mut head, (0.0, 18.0), "title", title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\n\
         <style>\n{STYLE}</style>\n{head}{body}</svg>\n"
    )
}

/// The rows of a group with the whole fold, fastest first.
fn rows<'a>(run: &'a Results, group: &str) -> Vec<&'a Row> {
    let mut rows: Vec<&Row> =
        run.rows.iter().filter(|row| row.group == group && row.name != "aggregation").collect();
    rows.sort_by(|left, right| left.seconds.median.total_cmp(&right.seconds.median));
    rows
}

fn bar(body: &mut String, y: f64, row: &Row, most: f64) {
    let rate = row.events_per_second.unwrap_or_default();
    let width = (WIDTH - LABELS - NUMBERS) * rate / most;
    let class = match row.name.as_str() {
        FLOOR => "floor",
        name if name.starts_with("statefold") => "own",
        _ => "other",
    };
    let times = match row.times_baseline {
        Some(times) if row.name != BASELINE => format!(" · {times:.1} ×"),
        _ => String::new(),
    };
    text(body, (8.0, y + 14.0), "name", &label(&row.name));
    let _ = writeln!(
        body,
        "<rect class=\"{class}\" x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>"
    );
    text(body, (LABELS + width + 8.0, y + 14.0), "number", &format!("{}{times}", thousands(rate)));
}

fn text(body: &mut String, (x, y): (f64, f64), class: &str, text: &str) {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{escaped}</text>");
}
