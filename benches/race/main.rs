//! A race: servers start together, are killed and stopped at random, and must still leave one correct
//! generation. `scripts/race` starts it.
//!
//! Each round registers a higher version of the projection, as a new release does, and starts servers
//! that migrate. Their writes to the lease, the records and the staging collections are recorded from a
//! change stream and checked afterwards.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is text")]

mod args;
mod chaos;
#[path = "../../tests/support/history.rs"]
#[expect(clippy::unwrap_used, clippy::expect_used, dead_code, reason = "shared with the tests")]
mod history;
mod recording;
mod report;
mod servers;
#[path = "../../tests/support/versions.rs"]
#[expect(clippy::unwrap_used, reason = "shared with the tests")]
mod versions;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Failure, VERSION};

fn main() -> ExitCode {
    if let Ok(version) = std::env::var(VERSION) {
        return match version.parse() {
            Ok(version) => statefold::cli::main(&versions::assets_of(version)),
            Err(error) => {
                eprintln!("{VERSION}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    // `cargo bench` adds this flag for harnesses of its own.
    let args = Args::parse_from(std::env::args_os().filter(|argument| argument != "--bench"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(chaos::run(&args)));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("race: {error}");
            ExitCode::FAILURE
        }
    }
}
