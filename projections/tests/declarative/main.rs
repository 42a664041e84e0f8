//! The interpreter of projections as data, held against a real server: the same documents, updates and
//! events, made from a seed, and the same bytes, or an error on both sides.
//!
//! `STATEFOLD_CASES` is the number of random cases, `STATEFOLD_SEED` where they begin.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod case;
mod coverage;
mod expressions;
mod random;
mod server;
mod shipped;
mod stages;
mod updates;
mod values;

use crate::case::Case;
use crate::coverage::Coverage;
use crate::random::Random;
use crate::server::Server;

const BATCH: usize = 400;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Runs cases on both sides, and fails with those that differ.
fn hold(name: &str, cases: impl Iterator<Item = Case>) {
    let mut server = Server::connect(name);
    let (mut coverage, mut different) = (Coverage::default(), Vec::new());
    let mut cases = cases.peekable();
    while cases.peek().is_some() {
        let batch: Vec<Case> = cases.by_ref().take(BATCH).collect();
        for (case, theirs) in batch.iter().zip(server.run(&batch)) {
            let ours = case.run();
            let outcome = coverage.count(case, &ours, &theirs);
            if outcome.is_different() {
                different.push(format!("{case}\n  here:   {}\n  server: {}", ours.show(), theirs.show()));
            }
        }
    }
    println!("{coverage}");
    let shown: Vec<String> = different.iter().take(40).cloned().collect();
    assert!(different.is_empty(), "{} cases differ:\n{}", different.len(), shown.join("\n"));
}

#[test]
fn every_operator_with_every_pair_of_types_is_as_on_the_server() {
    hold("pairs", expressions::pairs(&mut Random::new(setting("STATEFOLD_SEED", 1))).into_iter());
}

#[test]
fn random_expressions_are_as_on_the_server() {
    let mut random = Random::new(setting("STATEFOLD_SEED", 1) ^ 0xE1);
    hold("expressions", (0..setting("STATEFOLD_CASES", 4000)).map(|_| expressions::random(&mut random)));
}

#[test]
fn random_stages_are_as_on_the_server() {
    let mut random = Random::new(setting("STATEFOLD_SEED", 1) ^ 0x57);
    hold("stages", (0..setting("STATEFOLD_CASES", 4000) / 2).map(|_| stages::random(&mut random)));
}

#[test]
fn every_update_operator_with_every_pair_of_types_is_as_on_the_server() {
    hold("changes", updates::pairs(&mut Random::new(setting("STATEFOLD_SEED", 1))).into_iter());
}

#[test]
fn random_updates_are_as_on_the_server() {
    let mut random = Random::new(setting("STATEFOLD_SEED", 1) ^ 0x0D);
    hold("updates", (0..setting("STATEFOLD_CASES", 4000)).map(|_| updates::random(&mut random)));
}
