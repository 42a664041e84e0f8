//! The flags, as clap sees them.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::lifecycle::{CutOverMode, Share};

/// Rebuilds the snapshots of event-sourced systems on MongoDB.
#[derive(Debug, Parser)]
#[command(name = "statefold", version, max_term_width = 100, arg_required_else_help = true)]
pub(super) struct Cli {
    /// What to print: words, or JSON for machines
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text)]
    pub(super) output: Format,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "STATEFOLD_LOG_FORMAT")]
    pub(super) log_format: LogFormat,
    /// Which log lines to show: error, warn, info, debug, trace, or a filter like `statefold=debug`
    #[arg(long, global = true, value_name = "LEVEL", env = "STATEFOLD_LOG")]
    pub(super) log: Option<String>,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show active generations, unfinished builds and the lock
    Status(super::status::StatusArgs),
    /// Show what a rebuild would do and how long it would take; changes nothing
    Plan(PlanArgs),
    /// What a server's start does: bring all projections to the version of this program
    ///
    /// Never asks. Any number of servers may do this at the same time: one leads, the others wait for
    /// it, and take over if it dies. Up to date means that nothing is touched.
    Migrate(MigrateArgs),
    /// Build projections from the event store into their next generation
    ///
    /// Without --yes this prints the plan and changes nothing. The active generation stays readable
    /// and untouched until the new one is complete and agrees with the event store; then the pointer
    /// moves. An unfinished build is resumed.
    Rebuild(RebuildArgs),
    /// Cut over to generations that were built with `rebuild --postpone`
    ///
    /// Catches up, verifies again, then moves the readers. Without --yes it says what it would do.
    Cutover(CutoverArgs),
    /// Go back to the generation that was active before
    ///
    /// It is caught up and verified first, as a new one would be. Rolling back once more leads forward again.
    /// Without --yes it says what it would do.
    Rollback(CutoverArgs),
    /// Record an existing collection, built by an application, as the active generation
    ///
    /// It is verified first; nothing in it is changed. Then `--mode rename` can take its name, and `rollback` can
    /// go back to it. Without --yes it is only verified.
    Adopt(AdoptArgs),
    /// Prove that collections hold what the event store gives; changes nothing
    ///
    /// Folds every stream once more and compares: missing, extra and differing snapshots, field by field. The
    /// application may go on writing. Exits with 5 if something differs.
    Verify(VerifyArgs),
    /// Keep the active generations current, until it is stopped: what changes is folded anew
    ///
    /// For applications that don't write their own snapshots. Any number of processes may do this at the
    /// same time: one follows, the others wait for it, and take over if it dies. It goes on where the last
    /// one was. Exit code 0 on Ctrl-C.
    Follow(super::follow::FollowArgs),
    /// End unfinished builds: drop their staging collections and records
    Abort(super::abort::AbortArgs),
    /// Let unfinished builds wait, from any terminal
    ///
    /// Within some seconds a run waits until `resume`, keeping its lease. A build begun again stays paused.
    Pause(super::pause::PauseArgs),
    /// Let paused builds go on
    Resume(super::pause::ResumeArgs),
    /// Drop old generations beyond the kept ones, and what dead builds left behind
    ///
    /// Without --yes this lists what would go and what has to stay, each with its size and the reason, and
    /// changes nothing. A collection that statefold didn't build goes only if it is named in full.
    Cleanup(super::cleanup::CleanupArgs),
    /// Show the streams that could not be folded, or fold them once more
    Errors(ErrorsArgs),
    /// Show who leads and who holds the application's lock, or release that lock
    Lock(super::lock::LockArgs),
    /// Make the event store refuse events, or take them again
    ReadOnly(super::read_only::ReadOnlyArgs),
    /// Make a large, realistic Squidex event store to try things on
    Fixture(super::fixture::FixtureArgs),
    /// Print a completion script for a shell
    Completions(super::completions::CompletionsArgs),
}

/// Where the database is. Flags come before the environment, that before the file.
#[derive(Debug, Clone, Args)]
pub(super) struct Connection {
    /// Connection string, as mongodb://host/?replicaSet=rs0 or mongodb+srv://…
    #[arg(long, env = "MONGODB_URI", hide_env_values = true)]
    pub(super) uri: Option<String>,
    /// Name of the database
    #[arg(long, env = "STATEFOLD_DATABASE")]
    pub(super) database: Option<String>,
    /// Settings file [default: statefold.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "STATEFOLD_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Do it, don't ask
    #[arg(short, long)]
    pub(super) yes: bool,
}

/// What may be tuned.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Tuning")]
pub(super) struct TuningArgs {
    /// Threads that fold [default: the machine's cores]
    #[arg(long, value_name = "N", env = "STATEFOLD_THREADS")]
    pub(super) threads: Option<usize>,
    /// Cursors read, and partitions written, at the same time [default: 2]
    #[arg(long, value_name = "N", env = "STATEFOLD_READERS")]
    pub(super) readers: Option<usize>,
    /// In which order the event store is read: natural, spill or stream [default: as `plan` shows]
    #[arg(long, value_name = "STRATEGY", env = "STATEFOLD_STRATEGY")]
    pub(super) strategy: Option<String>,
    /// Memory for states, as `512MiB` or `2GiB` [default: a quarter of what this process may use]
    #[arg(long, value_name = "SIZE", env = "STATEFOLD_MEMORY")]
    pub(super) memory: Option<String>,
    /// Folder for commits that are spilled, on a disk: one that is kept in memory (tmpfs, as `/tmp` on some
    /// systems) takes memory beyond `--memory` [default: the system's for temporary files]
    #[arg(long, value_name = "FOLDER", env = "STATEFOLD_SPILL_DIR")]
    pub(super) spill_dir: Option<PathBuf>,
    /// Number of partitions, at most: a stream is never divided [default: by the number of commits]
    #[arg(long, value_name = "N", env = "STATEFOLD_PARTITIONS")]
    pub(super) partitions: Option<u32>,
    /// Commits of a batch from the server [default: 1000]
    #[arg(long, value_name = "N", env = "STATEFOLD_BATCH_COMMITS")]
    pub(super) batch_commits: Option<u32>,
    /// Documents of an insert batch [default: 1000]
    #[arg(long, value_name = "N", env = "STATEFOLD_BATCH_DOCS")]
    pub(super) batch_docs: Option<usize>,
    /// Bytes of an insert batch, as `4MiB` [default: 4MiB]
    #[arg(long, value_name = "SIZE", env = "STATEFOLD_BATCH_BYTES")]
    pub(super) batch_bytes: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Projections, by name without case [default: all]
    pub(super) projections: Vec<String>,
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(flatten)]
    pub(super) tuning: TuningArgs,
}

/// How leadership is taken, kept and waited for.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Lease")]
pub(super) struct LeaseArgs {
    /// How long the lease is valid after each renewal; a dead leader is replaced after it [default: 30s]
    #[arg(long, value_name = "TIME", env = "STATEFOLD_LEASE_TTL")]
    pub(super) lease_ttl: Option<String>,
    /// Pause between two looks at a lease or lock that somebody else holds [default: 5s]
    #[arg(long, value_name = "TIME", env = "STATEFOLD_POLL")]
    pub(super) poll: Option<String>,
    /// How long to wait for lease and lock, as `10m` [default: for ever; for a rebuild's cut-over 1m]
    #[arg(long, value_name = "TIME", env = "STATEFOLD_WAIT")]
    pub(super) wait: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// How often this process tries to migrate before it gives up [default: 3]
    #[arg(long, value_name = "N", env = "STATEFOLD_ATTEMPTS")]
    pub(super) attempts: Option<u32>,
    #[command(flatten)]
    pub(super) lease: LeaseArgs,
    #[command(flatten)]
    pub(super) politeness: PolitenessArgs,
    #[command(flatten)]
    pub(super) checks: ChecksArgs,
    /// Serve /metrics, /livez and /readyz here while it runs, as 127.0.0.1:9090
    #[arg(long, value_name = "ADDR", env = "STATEFOLD_LISTEN")]
    pub(super) listen: Option<String>,
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) interval: u64,
    #[command(flatten)]
    pub(super) tuning: TuningArgs,
}

/// What has to be right before a cut-over.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ChecksArgs {
    /// Publish although so many streams could not be folded: a number, or a share like 0.5% [default: 0]
    #[arg(long, value_name = "N|P%", env = "STATEFOLD_MAX_ERRORS")]
    pub(super) max_errors: Option<String>,
    /// What to verify before the cut-over: `full` (every stream folded once more and compared), a share of the
    /// streams as `5%`, or only their `heads` [default: full]
    #[arg(long, value_name = "full|P%|heads", env = "STATEFOLD_VERIFY")]
    pub(super) verify: Option<String>,
}

/// How readers find a generation.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ReadersArgs {
    /// How readers find the generation: by the `pointer` in the control document, by a `view` with the name of the
    /// target, or by the one name they have built in (`rename`) [default: as they find the active one, else pointer]
    #[arg(long, value_name = "MODE", value_parser = CutOverMode::from_str)]
    pub(super) mode: Option<CutOverMode>,
    /// Cut over although servers run that can't read the new version
    #[arg(long)]
    pub(super) force: bool,
}

impl ReadersArgs {
    /// As typed.
    pub(super) fn typed(&self) -> impl Iterator<Item = String> {
        let mode = self.mode.map(|mode| format!("--mode {mode}"));
        mode.into_iter().chain(self.force.then(|| "--force".to_owned()))
    }
}

#[derive(Debug, Args)]
pub(super) struct CutoverArgs {
    /// Projections, by name without case [default: all that have something to go to]
    pub(super) projections: Vec<String>,
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(flatten)]
    pub(super) readers: ReadersArgs,
    #[command(flatten)]
    pub(super) checks: ChecksArgs,
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) interval: u64,
    #[command(flatten)]
    pub(super) lease: LeaseArgs,
    #[command(flatten)]
    pub(super) tuning: TuningArgs,
}

#[derive(Debug, Args)]
pub(super) struct AdoptArgs {
    /// The projection whose snapshots they are, by name without case
    pub(super) projection: String,
    /// The collection that the application reads; once for each target of the projection, in order
    #[arg(long = "collection", value_name = "NAME", required = true)]
    pub(super) collections: Vec<String>,
    /// Number of the generation [default: the number at the end of the collection's name, else 1]
    #[arg(long, value_name = "N")]
    pub(super) generation: Option<u32>,
    /// Record it although some snapshots differ from the event store
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) interval: u64,
    #[command(flatten)]
    pub(super) lease: LeaseArgs,
    #[command(flatten)]
    pub(super) tuning: TuningArgs,
}

#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// Projections, by name without case [default: all]
    pub(super) projections: Vec<String>,
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Begin anew instead of resuming an unfinished build
    #[arg(long)]
    pub(super) fresh: bool,
    /// Begin although disk or oplog may not suffice, as `plan` shows
    #[arg(long, env = "STATEFOLD_IGNORE_MARGIN")]
    pub(super) ignore_margin: bool,
    /// Stop when everything is built and verified; `statefold cutover` goes on
    #[arg(long)]
    pub(super) postpone: bool,
    #[command(flatten)]
    pub(super) readers: ReadersArgs,
    #[command(flatten)]
    pub(super) checks: ChecksArgs,
    /// Serve /metrics, /livez and /readyz here while it runs, as 127.0.0.1:9090
    #[arg(long, value_name = "ADDR", env = "STATEFOLD_LISTEN")]
    pub(super) listen: Option<String>,
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) interval: u64,
    #[command(flatten)]
    pub(super) lease: LeaseArgs,
    #[command(flatten)]
    pub(super) politeness: PolitenessArgs,
    #[command(flatten)]
    pub(super) tuning: TuningArgs,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Projections, by name without case [default: all that have an active generation]
    pub(super) projections: Vec<String>,
    /// An existing collection to verify instead of the active generation, whoever built it; once for each
    /// target of the projection, in order
    #[arg(long = "collection", value_name = "NAME")]
    pub(super) collections: Vec<String>,
    /// Compare only a share of the streams, as 5%: always the same ones
    #[arg(long, value_name = "P%", default_value = "100%")]
    pub(super) sample: Share,
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) interval: u64,
    #[command(flatten)]
    pub(super) tuning: TuningArgs,
}

/// How a run makes way for the live system.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Politeness")]
pub(super) struct PolitenessArgs {
    /// Wait before writing more while a secondary is further behind, or `off` [default: 10s]
    #[arg(long, value_name = "TIME", env = "STATEFOLD_MAX_LAG")]
    pub(super) max_lag: Option<String>,
    /// Pause writing while batches take longer, by their median, as `50ms` [default: never]
    #[arg(long, value_name = "TIME", env = "STATEFOLD_THROTTLE")]
    pub(super) throttle: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ErrorsArgs {
    #[command(subcommand)]
    pub(super) verb: ErrorsVerb,
}

#[derive(Debug, Subcommand)]
pub(super) enum ErrorsVerb {
    /// List them: of the newest build of a projection, or of all builds
    List {
        /// Projection, by name without case
        projection: Option<String>,
        #[command(flatten)]
        connection: Connection,
        /// Show at most so many, 0 for all
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i64).range(0..))]
        limit: i64,
    },
    /// Fold them once more: after the event store was mended, or with a program that can read them
    ///
    /// Into the generation they belong to: the active one, or an unfinished build. Exit code 6 if some
    /// still can't be folded.
    Retry {
        /// Projections, by name without case, and streams [default: all]
        #[arg(value_name = "PROJECTION|STREAM")]
        names: Vec<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show those of one stream, with the event they are about
    Show {
        /// Name of the stream
        stream: String,
        #[command(flatten)]
        connection: Connection,
    },
}
