//! The end-to-end benchmark: statefold against the floor of the driver, Squidex's own algorithm, a
//! plain script and a server-side aggregation, interleaved, on one server, with results compared
//! document by document. `scripts/bench` starts it; `BENCHMARKS.md` is what it makes.
//!
//! Every contender runs in a process of its own (`job`), which prints its measurement as one line.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is text")]

mod aggregation;
mod args;
mod bars;
mod chart;
mod compare;
mod contender;
mod database;
mod fixture;
mod job;
mod machine;
mod meter;
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

/// What went wrong, in words for the one who started the benchmark.
type Failure = Box<dyn std::error::Error + Send + Sync>;
/// Result of everything here.
type Result<T> = std::result::Result<T, Failure>;

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
        Verb::Run(args) => runtime()?.block_on(run::run(args)),
        Verb::Job { job } => {
            let outcome = runtime()?.block_on(serde_json::from_str::<job::Job>(&job)?.work())?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
        Verb::Report(args) => report::write(&args),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
