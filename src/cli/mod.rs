//! The command line: flags in, words or JSON out, an exit code. One file per verb.
//!
//! [`main`] is a library function: a program with its own projections has the same command line.

mod abort;
mod adopt;
mod args;
mod cleanup;
mod completions;
mod cutover;
mod errors;
mod exit;
mod fixture;
mod follow;
mod lock;
mod logging;
mod metrics;
mod migrate;
mod output;
mod pause;
mod plan;
mod progress;
mod read_only;
mod rebuild;
mod settings;
mod signals;
mod status;
mod table;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use statefold_projections::Registry;

use args::{Cli, Verb};
use exit::Failed;
use output::Output;

/// Exit code when streams can't be folded.
const EXIT_DEAD_LETTERS: u8 = 6;
/// Exit code of `status --check` when a projection is behind.
const EXIT_PENDING: u8 = 4;

/// Runs the command line with the projections of a registry, and returns the exit code: 0 done or
/// nothing to do, 1 failure, 2 usage or configuration, 3 lock held, 4 pending (`status --check`),
/// 5 the generation differs from the event store, 6 too many dead letters, 7 unreachable, 8 the
/// database is newer than this program, 130 interrupted.
#[must_use]
pub fn main(registry: &Registry) -> ExitCode {
    let cli = Cli::parse();
    logging::install(cli.log_format, cli.log.as_deref());
    let output = Output::new(cli.output);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.note(&format!("error: no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(cli.verb, registry, &output));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            output.failed(&failed);
            ExitCode::from(failed.exit_code())
        }
    }
}

async fn run(verb: Verb, registry: &Registry, output: &Output) -> Result<u8, Failed> {
    match verb {
        Verb::Status(args) => status::run(args, registry, output).await,
        Verb::Plan(args) => plan::run(&args, registry, output).await,
        Verb::Migrate(args) => migrate::run(&args, registry, output).await,
        Verb::Rebuild(args) => rebuild::run(&args, registry, output).await,
        Verb::Cutover(args) => cutover::run(cutover::Way::Forward, &args, registry, output).await,
        Verb::Rollback(args) => cutover::run(cutover::Way::Back, &args, registry, output).await,
        Verb::Adopt(args) => adopt::run(&args, registry, output).await,
        Verb::Verify(args) => verify::run(&args, registry, output).await,
        Verb::Follow(args) => follow::run(&args, registry, output).await,
        Verb::Abort(args) => abort::run(args, registry, output).await,
        Verb::Pause(args) => pause::pause_now(args, registry, output).await,
        Verb::Resume(args) => pause::resume_now(args, registry, output).await,
        Verb::Cleanup(args) => cleanup::run(args, registry, output).await,
        Verb::Errors(args) => errors::run(args, registry, output).await,
        Verb::Lock(args) => lock::run(args, registry, output).await,
        Verb::ReadOnly(args) => read_only::run(args, registry, output).await,
        Verb::Fixture(args) => fixture::run(args, output).await,
        Verb::Completions(args) => completions::run(&args, output),
    }
}
