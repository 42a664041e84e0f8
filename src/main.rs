//! The command line of statefold, with the projections that ship.

use std::process::ExitCode;

// A rebuild makes and drops millions of small strings: this takes a sixth off its processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    statefold::cli::squidex_main()
}
