//! A drill: generations are cut over to and rolled back to while an application writes and reads without a
//! pause. `scripts/drill` starts it.
//!
//! Every acknowledged event is recorded here, outside the engine, and searched for after each cut-over.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is text")]

mod args;
mod engine;
mod probe;
mod readers;
mod report;
mod script;
#[expect(clippy::unwrap_used, clippy::panic, dead_code, reason = "shared with the tests")]
#[allow(clippy::indexing_slicing, reason = "shared with the tests")]
mod support;
mod writers;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Failure};

fn main() -> ExitCode {
    if std::env::var(engine::ENGINE).is_ok() {
        return statefold::cli::main(&statefold::squidex::registry());
    }
    // `cargo bench` adds this flag for harnesses of its own.
    let args = Args::parse_from(std::env::args_os().filter(|argument| argument != "--bench"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(script::run(&args)));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("drill: {error}");
            ExitCode::FAILURE
        }
    }
}
