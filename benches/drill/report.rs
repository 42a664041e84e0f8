//! The report of the drill.

use std::time::Duration;

/// How long a snapshot may stay as it was before a cut-over, in milliseconds, before that is a fault.
const PAST_MAX: f64 = 1000.0;

/// One cut-over, as seen by the application.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Time of the whole command, in seconds.
    pub(crate) seconds: f64,
    /// Duration of the fence and of the drain, as reported by the engine, in milliseconds.
    pub(crate) fence_ms: f64,
    pub(crate) drain_ms: f64,
    /// Number of streams refolded after the flip.
    pub(crate) drained: u64,
    /// Number of tries.
    pub(crate) tries: u64,
    /// Longest delay of a commit, for each writer that was refused.
    pub(crate) outages: Vec<Duration>,
    /// Inserts that were refused, each time they were.
    pub(crate) refused: u64,
    /// Snapshots of the application that had another version when they were to be written.
    pub(crate) conflicts: u64,
    /// For each stream with an event right before the flip, and whose snapshots only the engine writes: how
    /// long after the flip its snapshot was as before that event, in milliseconds.
    pub(crate) past: Vec<f64>,
    /// Streams that still were as before in the end.
    pub(crate) left_in_the_past: usize,
    /// How long a reader saw a stream as it had been before something that it had seen, in milliseconds.
    pub(crate) back: Vec<f64>,
    /// Commits searched for in the new generation, and the number of streams that lack some.
    pub(crate) checked: u64,
    pub(crate) lost: u64,
}

impl Row {
    /// Whether nothing was lost, nothing stayed in the past, and nothing was refused without a fence.
    pub(crate) fn is_good(&self, fence: &str) -> bool {
        let refused = fence == "none" && self.refused > 0;
        let late = self.back.iter().chain(&self.past).any(|time| *time > PAST_MAX);
        self.lost == 0 && self.left_in_the_past == 0 && !refused && !late
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Median and maximum of some numbers; `None` if there are none.
pub(crate) fn middle_and_worst(mut numbers: Vec<f64>) -> Option<(f64, f64)> {
    numbers.sort_by(f64::total_cmp);
    Some((*numbers.get(numbers.len() / 2)?, *numbers.last()?))
}

/// What all cut-overs with one kind of fence were like.
pub(crate) fn table(fence: &str, rows: &[Row]) -> String {
    let shown = |numbers: Vec<f64>| {
        let count = numbers.len();
        middle_and_worst(numbers).map_or_else(
            || "none".to_owned(),
            |(median, worst)| format!("median {median:.1} ms, worst {worst:.1} ms of {count}"),
        )
    };
    let all = |of: fn(&Row) -> Vec<f64>| rows.iter().flat_map(of).collect::<Vec<f64>>();
    let longest = |of: fn(&Row) -> &Vec<f64>| {
        rows.iter().filter_map(|row| of(row).iter().copied().max_by(f64::total_cmp)).collect::<Vec<f64>>()
    };
    let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum::<u64>();
    let lines = [
        format!("--fence {fence}: {} cut-overs, half of them back", rows.len()),
        format!("  fence: {}", shown(all(|row| vec![row.fence_ms]))),
        format!("  inserts refused: {}", sum(|row| row.refused)),
        format!(
            "  longest delay of a refused writer: {}",
            shown(all(|row| row.outages.iter().copied().map(milliseconds).collect()))
        ),
        format!("  drained after the flip: {} streams", sum(|row| row.drained)),
        format!("  drain: {}", shown(all(|row| vec![row.drain_ms]))),
        format!("  a stream in the past: {}", shown(all(|row| row.past.clone()))),
        format!("  longest in the past of each cut-over: {}", shown(longest(|row| &row.past))),
        format!("  a reader that went back: {}", shown(all(|row| row.back.clone()))),
        format!("  version conflicts of the application: {}", sum(|row| row.conflicts)),
        format!("  more than one try: {}", rows.iter().filter(|row| row.tries > 1).count()),
        format!(
            "  commits searched for: {}; streams that lack some: {}",
            sum(|row| row.checked),
            sum(|row| row.lost)
        ),
        format!(
            "  a command: {:.1} s in the middle",
            middle_and_worst(all(|row| vec![row.seconds])).map_or(0.0, |m| m.0)
        ),
    ];
    lines.join("\n") + "\n\n"
}
