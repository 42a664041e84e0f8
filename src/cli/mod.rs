//! The command line: flags in, words or JSON out, an exit code. One file for each verb.
//!
//! [`main`] is a library function: a program with its own projections has the same command line.

mod args;
mod command;
mod consent;
mod definitions;
mod exit;
mod screen;
mod settings;
mod squidex;
mod text;
mod values;
mod verbs;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use statefold_projections::Registry;

use crate::cli::args::Connection;
use crate::cli::exit::{EXIT_USAGE, Failed};
use crate::cli::screen::logging::{self, LogFormat};
use crate::cli::screen::output::{Format, Output};
use crate::cli::settings::{Raw, load};
use crate::cli::squidex::SquidexArgs;
use crate::cli::verbs::{
    abort, adopt, artefacts, cleanup, completions, cutover, errors, fixture, follow, health, history, lock,
    migrate, pause, plan, projections, read_only, rebuild, serve, status, verify, work,
};
use crate::next_step::NextStep;
use crate::operator::refuse_slip;

/// Rebuilds the snapshots of event-sourced systems on MongoDB.
#[derive(Debug, Parser)]
#[command(name = "statefold", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli<P: Args> {
    /// What to print: words, or JSON for machines
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "STATEFOLD_LOG_FORMAT")]
    log_format: LogFormat,
    /// Which log lines to show: error, warn, info, debug, trace, or a filter like `statefold=debug`
    #[arg(long, global = true, value_name = "LEVEL", env = "STATEFOLD_LOG")]
    log: Option<String>,
    /// What decides about the projections
    #[command(flatten)]
    projections: P,
    #[command(subcommand)]
    verb: Verb,
}

/// The projections are those of the program, whatever the flags.
#[derive(Debug, Args)]
struct NoArgs {}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show active generations, unfinished builds and the migration lock
    Status(status::StatusArgs),
    /// Show what a rebuild would do and how long it would take; changes nothing
    Plan(plan::PlanArgs),
    /// Do what a server's start does: bring all projections to the version of this program
    ///
    /// Never asks. Any number of servers may do this at the same time: one leads, the others wait for
    /// it, and take over if it dies. Up to date means that nothing is touched.
    Migrate(migrate::MigrateArgs),
    /// Build projections from the event store into their next generation
    ///
    /// Without --yes this prints the plan and changes nothing. The active generation stays readable
    /// and untouched until the new one is complete and agrees with the event store; then the pointer
    /// moves. An unfinished build is resumed.
    Rebuild(rebuild::RebuildArgs),
    /// Cut over to generations that were built with `rebuild --postpone`
    ///
    /// Catches up, verifies again, then moves the readers. Without --yes it says what it would do.
    Cutover(cutover::CutoverArgs),
    /// Go back to the generation that was active before
    ///
    /// It is caught up and verified first, as a new one would be. Rolling back once more leads forward again.
    /// Without --yes it says what it would do.
    Rollback(cutover::CutoverArgs),
    /// Record an existing collection, built by an application, as the active generation
    ///
    /// It is verified first; nothing in it is changed. Then `--mode rename` can take its name, and `rollback`
    /// can go back to it. Without --yes it is only verified.
    Adopt(adopt::AdoptArgs),
    /// Prove that collections hold what the event store gives; changes nothing but a note of that
    ///
    /// Folds every stream once more and compares: missing, extra and differing snapshots, field by field.
    /// What only statefold wrote is proven instead, if it can be. The application may keep writing. Exits
    /// with 5 if something differs.
    Verify(verify::VerifyArgs),
    /// Keep the active generations current, until it is stopped: what changes is refolded
    ///
    /// For applications that don't write their own snapshots. Any number of processes may do this at the
    /// same time: one follows, the others wait for it, and take over if it dies. It resumes where the
    /// last one stopped. Exit code 0 on Ctrl-C.
    Follow(follow::FollowArgs),
    /// Take part in the builds that others lead, as on any number of machines at the same time
    ///
    /// Claims partitions of whatever build is open to workers (`rebuild --workers N`, `migrate --workers N`),
    /// builds them as the leader would, and leaves when nothing is left. One that dies is replaced: its
    /// partitions are built by the others.
    Work(work::WorkArgs),
    /// Serve a live page about the database, with metrics and health checks; changes nothing
    ///
    /// Until it is stopped. Exit code 0 on Ctrl-C.
    Serve(serve::ServeArgs),
    /// End unfinished builds: drop their staging collections and records
    Abort(abort::AbortArgs),
    /// Let unfinished builds wait, from any terminal
    ///
    /// Within some seconds a run waits until `resume`, keeping its lease. A build begun again stays paused.
    Pause(pause::PauseArgs),
    /// Resume paused builds
    Resume(pause::ResumeArgs),
    /// Drop old generations beyond the kept ones, and what dead builds left behind
    ///
    /// Without --yes this lists what would go and what has to stay, each with its size and the reason, and
    /// changes nothing. A collection that statefold didn't build goes only if it is named in full.
    Cleanup(cleanup::CleanupArgs),
    /// Show who built, verified, cut over, rolled back, paused, forced and released what, and when
    History(history::HistoryArgs),
    /// Show the streams that could not be folded, or fold them once more
    Errors(errors::ErrorsArgs),
    /// Show who leads and who holds the migration lock, or release that lock
    Lock(lock::LockArgs),
    /// Make the event store refuse events, or take them again
    ReadOnly(read_only::ReadOnlyArgs),
    /// Check, try and test projections that are written as data, in TOML or JSON files
    Projections(projections::ProjectionsArgs),
    /// Make a large, realistic Squidex event store to try things on
    Fixture(fixture::FixtureArgs),
    /// Ask a rebuild, migrate or follow that listens whether it is alive or ready
    ///
    /// For health checks where there is neither shell nor curl, as in a container. Exits with 0 if so, 4 if
    /// it isn't ready, 1 if nobody answers.
    Health(health::HealthArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Write manual pages, and completion scripts for all shells, into a folder: for packages
    #[command(hide = true)]
    Artefacts(artefacts::ArtefactsArgs),
}

impl Verb {
    /// The command as typed, to repeat it in a hint.
    fn command(&self) -> command::Command {
        match self {
            Self::Status(args) => args.command(),
            Self::Plan(args) => args.command(),
            Self::Migrate(args) => args.command(),
            Self::Rebuild(args) => args.command(),
            Self::Cutover(args) => args.command(cutover::Way::Forward),
            Self::Rollback(args) => args.command(cutover::Way::Back),
            Self::Adopt(args) => args.command(),
            Self::Verify(args) => args.command(),
            Self::Follow(args) => args.command(),
            Self::Work(args) => args.command(),
            Self::Serve(args) => args.command(),
            Self::Abort(args) => args.command(),
            Self::Pause(args) => args.command(),
            Self::Resume(args) => args.command(),
            Self::Cleanup(args) => args.command(),
            Self::History(args) => args.command(),
            Self::Errors(args) => args.command(),
            Self::Lock(args) => args.command(),
            Self::ReadOnly(args) => args.command(),
            Self::Projections(args) => args.command(),
            Self::Fixture(args) => args.command(),
            Self::Health(_) => health::HealthArgs::command(),
            Self::Completions(_) | Self::Artefacts(_) => completions::CompletionsArgs::command(),
        }
    }

    /// Where the database is, for a verb that has one.
    fn connection(&self) -> Option<&Connection> {
        Some(match self {
            Self::Status(args) => &args.connection,
            Self::Plan(args) => &args.connection,
            Self::Migrate(args) => &args.connection,
            Self::Rebuild(args) => &args.connection,
            Self::Cutover(args) => &args.connection,
            Self::Rollback(args) => &args.connection,
            Self::Adopt(args) => &args.connection,
            Self::Verify(args) => &args.connection,
            Self::Follow(args) => &args.connection,
            Self::Work(args) => &args.connection,
            Self::Serve(args) => &args.connection,
            Self::Abort(args) => &args.connection,
            Self::Pause(args) => &args.connection,
            Self::Resume(args) => &args.connection,
            Self::Cleanup(args) => &args.connection,
            Self::Fixture(args) => &args.connection,
            Self::History(args) => &args.connection,
            Self::Errors(args) => args.connection(),
            Self::Lock(args) => args.connection(),
            Self::ReadOnly(args) => args.connection(),
            Self::Projections(_) | Self::Health(_) | Self::Completions(_) | Self::Artefacts(_) => {
                return None;
            }
        })
    }
}

/// Runs the command line with the projections of a registry, and returns the exit code: 0 done or
/// nothing to do, 1 failure, 2 usage or configuration, 3 lock held, 4 pending (`status --check`),
/// 5 the generation differs from the event store, 6 too many failed streams, 7 unreachable, 8 the
/// database is newer than this program, 130 interrupted.
#[must_use]
pub fn main(registry: &Registry) -> ExitCode {
    let cli = match parsed::<NoArgs>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    go(cli, async |_: &NoArgs, _: &Verb| Ok(registry.clone()), |_| String::new())
}

/// Runs the command line with the projections of Squidex, which also depend on how that stores its snapshots:
/// on the flags for that, their environment, and the table `[squidex]` of the settings file. The exit codes
/// are those of [`main`].
#[must_use]
pub fn squidex_main() -> ExitCode {
    let cli = match parsed::<SquidexArgs>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let registry = async |args: &SquidexArgs, verb: &Verb| {
        // These need no projections: they work whatever the database holds, and whatever a file says.
        let needs_none = matches!(
            verb,
            Verb::Fixture(_)
                | Verb::History(_)
                | Verb::Lock(_)
                | Verb::Projections(_)
                | Verb::Health(_)
                | Verb::Artefacts(_)
        );
        if !needs_none && let Some(definitions) = args.definitions.read(verb.connection())? {
            return Ok(definitions.registry()?);
        }
        // These need none of what the database says of projections.
        let is_plain = needs_none || matches!(verb, Verb::ReadOnly(_) | Verb::Pause(_) | Verb::Resume(_));
        let connection = verb.connection().filter(|_| !is_plain);
        args.registry(connection, matches!(verb, Verb::Migrate(_) | Verb::Status(_) | Verb::Serve(_))).await
    };
    go(cli, registry, SquidexArgs::typed)
}

/// Parses the command line. A wrong one is said on standard error, and as JSON if that was asked for.
fn parsed<P: Args>() -> std::result::Result<Cli<P>, ExitCode> {
    Cli::<P>::try_parse().map_err(|error| {
        if error.use_stderr() && asks_for_json(std::env::args_os()) {
            Output::new(Format::Json).usage(&error.to_string());
        }
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE))
    })
}

/// Whether these words ask for JSON, although they can't all be understood.
fn asks_for_json(words: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let is_flag = |word: &str| word == "-o" || word == "--output";
    let apart =
        words.windows(2).any(|pair| matches!(pair, [flag, value] if is_flag(flag) && value == "json"));
    apart || words.iter().any(|word| word == "-ojson" || word == "-o=json" || word == "--output=json")
}

/// Runs a parsed command line. The projections and the words that a hint repeats come from its flags.
fn go<P: Args>(
    cli: Cli<P>,
    registry: impl AsyncFnOnce(&P, &Verb) -> crate::error::Result<Registry>,
    typed: impl FnOnce(&P) -> String,
) -> ExitCode {
    let output = Output::new(cli.output);
    let typed = typed(&cli.projections);
    if let Err(error) = logging::install(cli.log_format, cli.log.as_deref()) {
        let failed = Failed::new(error, &cli.verb.command().also(&typed));
        output.failed(&failed);
        return ExitCode::from(failed.exit_code());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.note(&format!("error: no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match registry(&cli.projections, &cli.verb).await {
            Ok(registry) => run::<P>(cli.verb, &typed, &registry, &output).await,
            Err(error) => Err(Failed::new(error, &cli.verb.command().also(&typed))),
        }
    });
    // Never shut down: the driver's tasks may panic if their runtime goes first, and the process ends anyway.
    std::mem::forget(runtime);
    let code = match result {
        Ok(code) => code,
        Err(failed) => {
            output.failed(&failed);
            failed.exit_code()
        }
    };
    ExitCode::from(output.exit_code(code))
}

/// Refuses a database without an event store where another one has events, unless that is accepted.
async fn refuse_slip_of(verb: &Verb, registry: &Registry) -> crate::error::Result<()> {
    // The page says it itself, and stays while no server answers.
    let works_without = matches!(verb, Verb::Fixture(_) | Verb::Lock(_) | Verb::Serve(_));
    let connection = verb.connection().filter(|connection| !works_without && !connection.allow_empty);
    // Wrong settings are said by the verb, with those of its own flags.
    match connection.map(|connection| load(connection, &Raw::default())) {
        Some(Ok(loaded)) => refuse_slip(&loaded.settings, registry).await,
        _ => Ok(()),
    }
}

/// Runs a verb. A failure takes the command along, which its hint repeats.
async fn run<P: Args>(
    verb: Verb,
    typed: &str,
    registry: &Registry,
    output: &Output,
) -> std::result::Result<u8, Failed> {
    let command = verb.command().also(typed);
    output.lifts_by(command.next(&NextStep::EndReadOnly));
    if let Err(error) = refuse_slip_of(&verb, registry).await {
        return Err(Failed::new(error, &command));
    }
    let result = match &verb {
        Verb::Status(args) => status::run(args, &command, registry, output).await,
        Verb::Plan(args) => plan::run(args, &command, registry, output).await,
        Verb::Migrate(args) => migrate::run(args, &command, registry, output).await,
        Verb::Rebuild(args) => rebuild::run(args, &command, registry, output).await,
        Verb::Cutover(args) => cutover::run(cutover::Way::Forward, args, &command, registry, output).await,
        Verb::Rollback(args) => cutover::run(cutover::Way::Back, args, &command, registry, output).await,
        Verb::Adopt(args) => adopt::run(args, &command, registry, output).await,
        Verb::Verify(args) => verify::run(args, registry, output).await,
        Verb::Follow(args) => follow::run(args, &command, registry, output).await,
        Verb::Work(args) => work::run(args, &command, registry, output).await,
        Verb::Serve(args) => serve::run(args, &command, registry, output).await,
        Verb::Abort(args) => abort::run(args, &command, registry, output).await,
        Verb::Pause(args) => pause::pause_now(args, &command, registry, output).await,
        Verb::Resume(args) => pause::resume_now(args, &command, registry, output).await,
        Verb::Cleanup(args) => cleanup::run(args, &command, registry, output).await,
        Verb::History(args) => history::run(args, output).await,
        Verb::Errors(args) => errors::run(args, &command, registry, output).await,
        Verb::Lock(args) => lock::run(args, &command, registry, output).await,
        Verb::ReadOnly(args) => read_only::run(args, &command, registry, output).await,
        Verb::Fixture(args) => fixture::run(args, &command, registry, output).await,
        Verb::Projections(args) => projections::run(args, output).await,
        Verb::Health(args) => health::run(args, output),
        Verb::Completions(args) => {
            completions::run(args, Cli::<P>::command(), registry, output);
            Ok(0)
        }
        Verb::Artefacts(args) => artefacts::run(args, Cli::<P>::command(), registry),
    };
    result.map_err(|error| Failed::new(error, &command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_logs_less_often_than_a_run() {
        let interval = |words: [&str; 2]| match Cli::<NoArgs>::try_parse_from(words).map(|cli| cli.verb) {
            Ok(Verb::Follow(args)) => Some(args.interval.interval().as_secs()),
            Ok(Verb::Migrate(args)) => Some(args.interval.interval().as_secs()),
            _ => None,
        };
        let both = [["statefold", "follow"], ["statefold", "migrate"]].map(interval);
        assert_eq!(both, [Some(60), Some(5)]);
    }
}
