//! The end-to-end benchmark: statefold against the floor of the driver, Squidex's own algorithm, a
//! plain script and a server-side aggregation, interleaved, on one server, with results compared
//! document by document. `scripts/bench` starts it; it writes `BENCHMARKS.md`.
//!
//! Every contender runs in a process of its own (`job`), which prints its measurement as one line.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is text")]

mod aggregation;
mod args;
mod bar;
mod bars;
mod chart;
mod compare;
mod contender;
mod database;
mod dispatch;
mod error;
mod fixture;
mod job;
mod kinds;
mod live;
mod machine;
mod meter;
mod outcome;
mod read;
mod report;
mod results;
mod rows;
mod run;
mod squidex;
mod statefold;
mod table;
mod write;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Verb};
use crate::error::Result;
use crate::job::Job;

fn main() -> ExitCode {
    // `cargo bench` adds this flag for harnesses of its own.
    let cli = Cli::parse_from(std::env::args_os().filter(|argument| argument != "--bench"));
    match go(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benchmark: {error}");
            ExitCode::FAILURE
        }
    }
}

fn go(cli: Cli) -> Result<()> {
    match cli.verb {
        Verb::Run(args) => finished(run::run(args)),
        Verb::Job { job } => {
            let job: Job = serde_json::from_str(&job)?;
            let outcome = finished(dispatch::run(&job))?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
        Verb::Live(args) => finished(live::run(args)),
        Verb::Kinds(args) => finished(kinds::run(args)),
        Verb::Report(args) => report::write(&args),
    }
}

/// Runs something to its end, on a runtime that is never shut down: the driver's tasks may panic if their
/// runtime goes first, and the process ends anyway.
fn finished<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    std::mem::forget(runtime);
    result
}
