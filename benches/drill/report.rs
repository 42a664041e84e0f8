//! The report of the drill.

use std::time::Duration;

/// One cut-over, as seen by the application.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The verb that was run.
    pub(crate) verb: String,
    /// The active generation afterwards.
    pub(crate) generation: u64,
    /// Time of the whole command, in seconds.
    pub(crate) seconds: f64,
    /// Duration of the fence, as reported by the engine, in milliseconds.
    pub(crate) fence_ms: f64,
    /// Number of streams refolded in total, and behind the fence.
    pub(crate) refolded: (u64, u64),
    /// Number of tries.
    pub(crate) tries: u64,
    /// Longest delay of a commit, for each writer that was refused.
    pub(crate) outages: Vec<Duration>,
    /// Commits searched for in the new generation, and the number of streams that lack some.
    pub(crate) checked: u64,
    pub(crate) lost: u64,
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Median and maximum of some numbers; `None` if there are none.
pub(crate) fn middle_and_worst(mut numbers: Vec<f64>) -> Option<(f64, f64)> {
    numbers.sort_by(f64::total_cmp);
    Some((*numbers.get(numbers.len() / 2)?, *numbers.last()?))
}

/// The table of all cut-overs.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = "cut-over     to  seconds  refolded (fenced)  fence ms  \
                    outage of writers ms (median, worst)  tries  checked  lost\n"
        .to_owned();
    for row in rows {
        let outage = middle_and_worst(row.outages.iter().copied().map(milliseconds).collect());
        let outage = outage.map_or_else(
            || "nobody noticed".to_owned(),
            |(median, worst)| format!("{median:6.1} {worst:6.1} ({})", row.outages.len()),
        );
        let refolded = format!("{} ({})", row.refolded.0, row.refolded.1);
        text.push_str(&format!(
            "{:<11} {:>3} {:>8.1} {refolded:>18} {:>9.1}  {outage:<38} {:>5} {:>8} {:>5}\n",
            row.verb, row.generation, row.seconds, row.fence_ms, row.tries, row.checked, row.lost
        ));
    }
    let fences = middle_and_worst(rows.iter().map(|row| row.fence_ms).collect());
    let outages = rows.iter().flat_map(|row| row.outages.iter().copied().map(milliseconds)).collect();
    if let (Some((median, worst)), Some((out_median, out_worst))) = (fences, middle_and_worst(outages)) {
        text.push_str(&format!(
            "\nfence: median {median:.1} ms, worst {worst:.1} ms of {}; \
             outage of a writer: median {out_median:.1} ms, worst {out_worst:.1} ms\n",
            rows.len()
        ));
    }
    text
}
