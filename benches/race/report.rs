//! The report of the race.

use std::time::{Duration, Instant};

use crate::args::Args;
use crate::history::{Findings, check};
use crate::recording::Seen;
use crate::servers::Blow;

/// A blow to a server, and the time until another server led.
pub(crate) struct Gap {
    pub(crate) blow: Blow,
    /// The token of the server, if it led.
    pub(crate) token: Option<i64>,
    pub(crate) at: Instant,
    pub(crate) ended: Option<Duration>,
}

/// All counts and findings.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) started: usize,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) unexpected: Vec<String>,
    /// Collection of each generation, and true if it equals the undisturbed one.
    pub(crate) generations: Vec<(String, bool)>,
    findings: Findings,
    writes: usize,
}

impl Report {
    /// Checks the recorded writes, and completes the gaps.
    pub(crate) fn finish(&mut self, seen: &Seen) {
        self.findings = check(&seen.history);
        self.writes = seen.history.len();
        for gap in &mut self.gaps {
            let Some(held) = gap.token else { continue };
            let next = seen.tokens.iter().find(|(token, at)| *token > held && *at >= gap.at);
            gap.ended = next.map(|(_, at)| at.duration_since(gap.at));
        }
    }

    pub(crate) fn is_well(&self) -> bool {
        self.findings.violations.is_empty()
            && self.unexpected.is_empty()
            && self.generations.iter().all(|(_, same)| *same)
    }

    pub(crate) fn print(&self, args: &Args) {
        let (rounds, started) = (self.generations.len(), self.started);
        println!("{rounds} rounds, {started} servers started, {} at a time", args.servers);
        println!("lease valid {}, looked at every {}", args.ttl, args.poll);
        for blow in [Blow::Kill, Blow::Stop, Blow::Terminate] {
            let all: Vec<&Gap> = self.gaps.iter().filter(|gap| gap.blow == blow).collect();
            let leaders = all.iter().filter(|gap| gap.token.is_some()).count();
            let mut times: Vec<Duration> = all.iter().filter_map(|gap| gap.ended).collect();
            times.sort_unstable();
            let middle = times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64);
            let worst = times.last().map_or(0.0, Duration::as_secs_f64);
            println!(
                "{:>10}: {} servers, {leaders} of them leading; until the next led ({} times): \
                 median {middle:.2} s, worst {worst:.2} s",
                blow.name(),
                all.len(),
                times.len(),
            );
        }
        let found = &self.findings;
        println!(
            "history: {} writes; the lease was taken {} times, {} of them from a leader that had not given \
             it back; {} flips, {} late writes to old staging",
            self.writes, found.taken, found.taken_over, found.flips, found.late_writes
        );
        println!("violations: {}", found.violations.len());
        for violation in &found.violations {
            println!("  {violation}");
        }
        let same = self.generations.iter().filter(|(_, same)| *same).count();
        println!("generations equal to the undisturbed one: {same} of {rounds}");
        for (collection, _) in self.generations.iter().filter(|(_, same)| !same) {
            println!("  {collection} differs");
        }
        println!("servers that ended as they should not: {}", self.unexpected.len());
        for how in &self.unexpected {
            println!("  {how}");
        }
    }
}
