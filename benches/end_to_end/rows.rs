//! Rows of the tables, computed from outcomes: medians, ranges, rates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contender::named;
use crate::outcome::Outcome;

/// Group of rebuilds without secondary indexes.
pub(crate) const PLAIN: &str = "without indexes";
/// Group of rebuilds with secondary indexes.
pub(crate) const INDEXED: &str = "with indexes";
/// Group of whole programs, from start to end.
pub(crate) const PROGRAM: &str = "whole program";
/// Group of the parts of the floor.
pub(crate) const PARTS: &str = "parts of the floor";
/// Name of the row of index builds, one of the parts of the floor.
pub(crate) const INDEX_BUILDS: &str = "index builds";
/// Name of the rows of the floor.
pub(crate) const FLOOR: &str = "floor";
/// Name of the rows that all others are compared with.
pub(crate) const BASELINE: &str = "squidex 100";

type Outcomes = BTreeMap<String, Vec<Outcome>>;

/// Median and range of one value, measured once per round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of values; `None` if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let lower =
            *values.get(if values.len().is_multiple_of(2) { middle.saturating_sub(1) } else { middle })?;
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }
}

/// A row of a table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) seconds: Spread,
    /// Events of the projection per second; `None` for a part of the floor.
    pub(crate) events_per_second: Option<f64>,
    /// Medians; `None` if the time is only a part of a process.
    pub(crate) server_cpu_seconds: Option<f64>,
    pub(crate) client_cpu_seconds: Option<f64>,
    pub(crate) client_peak_mb: Option<f64>,
    /// Rate in proportion to the baseline's.
    pub(crate) times_baseline: Option<f64>,
    /// Time in proportion to the floor's.
    pub(crate) times_floor: Option<f64>,
}

/// All rows, with their proportions.
pub(crate) fn rows(outcomes: &Outcomes, events: u64) -> Vec<Row> {
    let mut rows = floor(outcomes);
    for (name, runs) in outcomes {
        if name.starts_with("statefold") {
            let sum = |parts: &'static [&'static str]| {
                spread(runs, move |run| parts.iter().map(|part| run.part(part)).sum())
            };
            rows.extend(sum(&["build"]).map(|seconds| part(PLAIN, name, seconds)));
            rows.extend(sum(&["build", "index"]).map(|seconds| part(INDEXED, name, seconds)));
            rows.extend(whole(PROGRAM, name, runs));
        } else if let Some(plain) = name.strip_suffix(" indexed") {
            rows.extend(whole(INDEXED, plain, runs));
        } else if name.starts_with("squidex") || name == "pymongo" || name == "aggregation" {
            rows.extend(whole(PLAIN, name, runs));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
    let events = events as f64;
    for row in rows.iter_mut().filter(|row| row.group != PARTS) {
        row.events_per_second = Some(events / row.seconds.median);
    }
    proportions(&mut rows);
    // The floor, statefold, then the others, fastest first.
    rows.sort_by(|left, right| left.seconds.median.total_cmp(&right.seconds.median));
    rows.sort_by_key(|row| (place(&row.group), row.name != FLOOR, !row.name.starts_with("statefold")));
    rows
}

fn place(group: &str) -> Option<usize> {
    [PROGRAM, INDEXED, PLAIN, PARTS].iter().position(|known| *known == group)
}

fn proportions(rows: &mut [Row]) {
    for group in [PLAIN, INDEXED, PROGRAM] {
        // A whole program builds indexes, so it is compared with the others that do.
        let reference = if group == PROGRAM { INDEXED } else { group };
        let median = |name: &str| {
            rows.iter().find(|row| row.group == reference && row.name == name).map(|row| row.seconds.median)
        };
        let (baseline, floor) = (median(BASELINE), median(FLOOR));
        for row in rows.iter_mut().filter(|row| row.group == group) {
            row.times_baseline = baseline.map(|baseline| baseline / row.seconds.median);
            row.times_floor = floor.map(|floor| row.seconds.median / floor);
        }
    }
}

fn spread(runs: &[Outcome], value: impl Fn(&Outcome) -> f64) -> Option<Spread> {
    Spread::of(runs.iter().map(value))
}

fn part(group: &str, name: &str, seconds: Spread) -> Row {
    Row {
        group: group.into(),
        name: name.into(),
        seconds,
        events_per_second: None,
        server_cpu_seconds: None,
        client_cpu_seconds: None,
        client_peak_mb: None,
        times_baseline: None,
        times_floor: None,
    }
}

fn whole(group: &str, name: &str, runs: &[Outcome]) -> Option<Row> {
    let median = |value: fn(&Outcome) -> f64| spread(runs, value).map(|spread| spread.median);
    Some(Row {
        server_cpu_seconds: median(|run| run.server_cpu_seconds),
        client_cpu_seconds: median(|run| run.client_cpu_seconds),
        client_peak_mb: spread(runs, |run| run.client_peak_mb).map(|spread| spread.max),
        ..part(group, name, spread(runs, |run| run.seconds)?)
    })
}

/// The rows of the floor: the best read plus the better write, round by round, and its parts.
fn floor(outcomes: &Outcomes) -> Vec<Row> {
    let write = ["write insert_many", "write raw insert"].into_iter().filter_map(|name| {
        let runs = outcomes.get(name)?;
        Some((spread(runs, |run| run.seconds)?.median, name, runs))
    });
    let write = write.min_by(|left, right| left.0.total_cmp(&right.0));
    let mut rows = Vec::new();
    for name in ["read", "write insert_many", "write raw insert"] {
        rows.extend(outcomes.get(name).and_then(|runs| whole(PARTS, name, runs)));
    }
    let (Some(reads), Some((_, _, writes))) = (outcomes.get("read"), write) else { return rows };
    rows.extend(spread(writes, |run| run.part("index")).map(|seconds| part(PARTS, INDEX_BUILDS, seconds)));
    let both = |indexes: bool| {
        let index = move |run: &Outcome| if indexes { run.part("index") } else { 0.0 };
        let rounds = reads.iter().zip(writes);
        Spread::of(rounds.map(|(read, write)| read.seconds + write.seconds + index(write)))
    };
    rows.extend(both(false).map(|seconds| part(PLAIN, FLOOR, seconds)));
    rows.extend(both(true).map(|seconds| part(INDEXED, FLOOR, seconds)));
    rows
}

/// Name of a contender in the tables.
pub(crate) fn label(name: &str) -> String {
    match name.split_once(' ') {
        Some(("squidex", batch)) => format!("Squidex's algorithm, batches of {batch}"),
        Some(("statefold", strategy)) => format!("statefold, {strategy}"),
        _ if name == named("pymongo", false) => "pymongo script".into(),
        _ if name == FLOOR => "floor: raw read and write".into(),
        _ if name == "aggregation" => "aggregation (a part of the fold)".into(),
        _ => name.to_owned(),
    }
}
