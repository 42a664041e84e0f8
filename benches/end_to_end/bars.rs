//! What we want to reach, and whether a run does. Nothing fails because of it.

use serde::{Deserialize, Serialize};

use crate::results::Results;
use crate::rows::{INDEXED, PLAIN, PROGRAM, Row};
use crate::table::count;

/// A wish with its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bar {
    pub(crate) what: String,
    pub(crate) wanted: f64,
    pub(crate) value: f64,
    pub(crate) met: bool,
}

impl Bar {
    fn at_least(what: impl Into<String>, wanted: f64, value: f64) -> Self {
        Self { what: what.into(), wanted, value, met: value >= wanted }
    }

    fn at_most(what: impl Into<String>, wanted: f64, value: f64) -> Self {
        Self { what: what.into(), wanted, value, met: value <= wanted }
    }
}

/// The bars that one run can tell.
pub(crate) fn of_run(results: &Results) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (group, squidex, pymongo) in [(PLAIN, 8.0, 6.0), (INDEXED, 5.5, 4.5)] {
        let Some(own) = results.own(group) else { continue };
        for (name, label, wanted) in
            [("squidex 100", "Squidex's algorithm (100)", squidex), ("pymongo", "pymongo", pymongo)]
        {
            if let Some(other) = results.row(group, name) {
                let value = other.seconds.median / own.seconds.median;
                bars.push(Bar::at_least(format!("{group}: events/s over those of {label}"), wanted, value));
            }
        }
        if let Some(value) = own.times_floor {
            bars.push(Bar::at_most(format!("{group}: time over the floor's"), 1.6, value));
        }
    }
    if let Some(value) = results.own(PROGRAM).and_then(|own| own.times_floor) {
        bars.push(Bar::at_most("whole program: time over the floor's", 1.6, value));
    }
    let times = |strategy: &str| results.row(PLAIN, strategy).map(|row| row.seconds.median);
    if let (Some(spill), Some(natural)) = (times("statefold spill"), times("statefold natural")) {
        bars.push(Bar::at_most("spill over natural, time", 1.5, spill / natural));
    }
    bars
}

/// The bars that need several runs: growth, and a small cache.
pub(crate) fn of_runs(all: &[Results]) -> Vec<Bar> {
    let mut bars = Vec::new();
    let rate = |results: &Results| results.own(PLAIN).and_then(|own: &Row| own.events_per_second);
    let find = |commits: u64, small: bool| {
        all.iter().find(|one| one.fixture.commits == commits && is_small(one) == small).and_then(rate)
    };
    if let (Some(few), Some(many)) = (find(1_000_000, false), find(10_000_000, false)) {
        bars.push(Bar::at_least("events/s at 10 M commits over those at 1 M", 0.6, many / few));
    }
    for small in all.iter().filter(|one| is_small(one)) {
        let commits = small.fixture.commits;
        if let (Some(large), Some(value)) = (find(commits, false), rate(small)) {
            let what = format!("events/s with {} GB of cache at {} commits", small.cache_gb, count(commits));
            bars.push(Bar::at_least(what, 0.6, value / large));
        }
    }
    bars
}

/// Whether the server had a small cache.
pub(crate) fn is_small(results: &Results) -> bool {
    results.cache_gb < 1.0
}
