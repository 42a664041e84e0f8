//! The bars of one run and of several. A bar that isn't met is reported, it fails nothing.

use crate::bar::Bar;
use crate::results::Results;
use crate::rows::{INDEX_BUILDS, INDEXED, PARTS, PLAIN, PROGRAM, Row};
use crate::table::count;

/// The bars that one run is measured by.
pub(crate) fn of_run(results: &Results) -> Vec<Bar> {
    let mut bars = Vec::new();
    if let Some(own) = results.own(PROGRAM) {
        if let Some(value) = own.times_floor {
            bars.push(Bar::at_most(
                "whole program with its proof: time over the floor's with indexes",
                1.4,
                value,
            ));
        }
        for (name, label) in
            [("pymongo", "the script's"), ("squidex 100", "that of Squidex's algorithm (100)")]
        {
            if let Some(other) = results.row(INDEXED, name) {
                let value = other.seconds.median / own.seconds.median;
                bars.push(Bar::at_least(
                    format!("{label} time with indexes over the whole program's"),
                    4.5,
                    value,
                ));
            }
        }
        // There is no program without any proof: the same build, and the indexes as the floor builds them.
        if let (Some(build), Some(indexes)) = (results.own(PLAIN), results.row(PARTS, INDEX_BUILDS)) {
            let value = own.seconds.median / (build.seconds.median + indexes.seconds.median);
            bars.push(Bar::at_most("whole program: time over its build and index builds alone", 1.15, value));
        }
        if let Some(value) = own.client_cpu_seconds {
            bars.push(Bar::at_most("whole program: processor seconds of the client", 1.4, value));
        }
    }
    if let Some(value) = results.own(PLAIN).and_then(|own| own.times_floor) {
        bars.push(Bar::at_most("without indexes: time over the floor's", 1.3, value));
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
        let matches = |run: &&Results| run.fixture.commits == commits && is_small(run) == small;
        all.iter().find(matches).and_then(rate)
    };
    if let (Some(few), Some(many)) = (find(1_000_000, false), find(10_000_000, false)) {
        bars.push(Bar::at_least("events/s at 10 M commits over those at 1 M", 0.8, many / few));
    }
    for small in all.iter().filter(|run| is_small(run)) {
        let commits = small.fixture.commits;
        if let (Some(large), Some(value)) = (find(commits, false), rate(small)) {
            let what = format!("events/s with {} GB of cache at {} commits", small.cache_gb, count(commits));
            bars.push(Bar::at_least(what, 0.8, value / large));
        }
    }
    bars
}

/// Returns true if the server had a small cache.
pub(crate) fn is_small(results: &Results) -> bool {
    results.cache_gb < 1.0
}
