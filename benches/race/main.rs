//! Servers that start together, are killed and stopped at random, and must leave one correct
//! generation all the same. `scripts/race` starts it.
//!
//! Each round registers a higher version of the projection, as a new release does, and starts servers
//! that migrate. Everything they write to lease, records and staging is recorded from a change stream
//! and checked afterwards.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is text")]

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

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// What went wrong, in words.
type Failure = Box<dyn std::error::Error + Send + Sync>;
/// Result of everything here.
type Result<T> = std::result::Result<T, Failure>;

/// Variable that makes this program one of the servers, with this version of the projection.
const VERSION: &str = "RACE_VERSION";

/// Kills and stops servers that migrate, and checks what they leave.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Connection string of a replica set that is used for nothing else
    #[arg(long, env = "MONGODB_URI", hide_env_values = true)]
    pub(crate) uri: String,
    /// How long to go on, in seconds
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Servers that run at the same time
    #[arg(long, default_value_t = 5)]
    pub(crate) servers: usize,
    /// Commits of the event store
    #[arg(long, default_value_t = 20_000)]
    pub(crate) commits: u64,
    /// How long a lease is valid, as 2s
    #[arg(long, default_value = "2s")]
    pub(crate) ttl: String,
    /// Pause between two looks at the lease, as 300ms
    #[arg(long, default_value = "300ms")]
    pub(crate) poll: String,
    /// Take over at once from processes that certainly run no more
    #[arg(long)]
    pub(crate) judge: bool,
    /// What the chances follow from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Folder for the servers' logs
    #[arg(long, default_value = "race-logs")]
    pub(crate) logs: PathBuf,
}

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
