//! The command line of statefold, with the projections that ship.

use std::process::ExitCode;

fn main() -> ExitCode {
    statefold::cli::main(&statefold::squidex::registry())
}
