//! A drill: generations are built, cut over to, rolled back and cleaned up while an application writes and reads
//! without a pause. `scripts/cutover-drill` starts it.
//!
//! Every acknowledged event is recorded here, outside of the engine, and looked for after each cut-over.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is text")]

mod engine;
mod readers;
mod report;
mod script;
#[expect(clippy::unwrap_used, clippy::panic, dead_code, reason = "shared with the tests")]
#[allow(clippy::indexing_slicing, reason = "shared with the tests")]
mod support;
mod writers;

use std::process::ExitCode;

use clap::Parser;

/// What went wrong, in words.
type Failure = Box<dyn std::error::Error + Send + Sync>;
/// Result of everything here.
type Result<T> = std::result::Result<T, Failure>;

/// Builds, cuts over, rolls back and cleans up under a live application, and counts what it notices.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Args {
    /// Connection string of a replica set that is used for nothing else
    #[arg(long, env = "MONGODB_URI", hide_env_values = true)]
    pub(crate) uri: String,
    /// Database, which is made anew
    #[arg(long, default_value = "cutover_drill")]
    pub(crate) database: String,
    /// Commits of the event store before the drill
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) commits: u64,
    /// Writers of the application
    #[arg(long, default_value_t = 4)]
    pub(crate) writers: usize,
    /// Pause of a writer after each commit, in milliseconds
    #[arg(long, default_value_t = 20)]
    pub(crate) pause: u64,
    /// Readers of the application
    #[arg(long, default_value_t = 2)]
    pub(crate) readers: usize,
    /// Cut-overs: two builds, the others roll back and forth
    #[arg(long, default_value_t = 10)]
    pub(crate) cutovers: usize,
    /// How readers find a generation: pointer or view
    #[arg(long, default_value = "pointer")]
    pub(crate) mode: String,
}

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
