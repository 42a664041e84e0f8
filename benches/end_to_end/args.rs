//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures rebuilds end to end. `scripts/bench` starts it, together with a server
#[derive(Debug, Parser)]
#[command(name = "end_to_end", arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run all contenders, interleaved, and write the measurements
    Run(RunArgs),
    /// Measure a rebuild beside writers, and the writers beside it
    Live(LiveArgs),
    /// Measure all projections of Squidex, and contents alone, against their floor
    Kinds(KindsArgs),
    /// Write the tables of BENCHMARKS.md and the chart from results
    Report(ReportArgs),
    /// Run one contender, in this process
    #[command(hide = true)]
    Job {
        /// The job, as JSON
        job: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Commits in the event store
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) commits: u64,
    /// Number of runs of each contender
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Contenders to run
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "read,write,statefold,squidex,pymongo,aggregation",
        value_name = "NAMES"
    )]
    pub(crate) contenders: Vec<String>,
    /// Strategies of statefold, its default first; `default` leaves the choice to statefold
    #[arg(long, value_delimiter = ',', default_value = "natural,spill,stream", value_name = "NAMES")]
    pub(crate) strategies: Vec<String>,
    /// Memory that statefold may use, such as 512MiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Size of the server's cache, recorded with the results
    #[arg(long, value_name = "GB", default_value_t = 6.0)]
    pub(crate) cache_gb: f64,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = ".cache/bench", overrides_with = "out")]
    pub(crate) out: PathBuf,
    /// Python with pymongo; without it this contender is left out
    #[arg(long, value_name = "FILE")]
    pub(crate) python: Option<PathBuf>,
    /// Connection string of the server
    #[arg(long, env = "MONGODB_URI")]
    pub(crate) uri: String,
    /// Revision of statefold that is measured
    #[arg(long, default_value = "unknown")]
    pub(crate) revision: String,
}

#[derive(Debug, Args)]
pub(crate) struct LiveArgs {
    /// Commits in the event store
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) commits: u64,
    /// Number of rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Commits that the writers append a second
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: u64,
    /// Connection string of the server
    #[arg(long, env = "MONGODB_URI")]
    pub(crate) uri: String,
}

#[derive(Debug, Args)]
pub(crate) struct KindsArgs {
    /// Commits in the event store
    #[arg(long, value_name = "N", default_value_t = 300_000)]
    pub(crate) commits: u64,
    /// Number of rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Memory that statefold may use, such as 512MiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Connection string of the server
    #[arg(long, env = "MONGODB_URI")]
    pub(crate) uri: String,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Results of runs; the main one comes first
    #[arg(required = true)]
    pub(crate) results: Vec<PathBuf>,
    /// Page whose part between the two marks is replaced
    #[arg(long, value_name = "FILE", default_value = "BENCHMARKS.md")]
    pub(crate) markdown: PathBuf,
    /// File of the chart
    #[arg(long, value_name = "FILE", default_value = "docs/benchmarks.svg")]
    pub(crate) svg: PathBuf,
}
