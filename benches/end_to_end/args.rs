//! The flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures rebuilds end to end. `scripts/bench` starts the server and this.
#[derive(Debug, Parser)]
#[command(name = "end_to_end", arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run all contenders, interleaved, and write what was measured
    Run(RunArgs),
    /// Make the tables of BENCHMARKS.md and the chart from results
    Report(ReportArgs),
    /// One contender, in this process
    #[command(hide = true)]
    Job {
        /// What to do, as JSON
        job: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Commits in the event store
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) commits: u64,
    /// How often each contender runs
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// What to run
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "read,write,statefold,squidex,pymongo,aggregation",
        value_name = "NAMES"
    )]
    pub(crate) contenders: Vec<String>,
    /// Strategies of statefold, the first is its default; `default` leaves the choice to statefold
    #[arg(long, value_delimiter = ',', default_value = "natural,spill,stream", value_name = "NAMES")]
    pub(crate) strategies: Vec<String>,
    /// Memory that statefold may use, as 512MiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// The server's cache, to be noted with the results
    #[arg(long, value_name = "GB", default_value_t = 6.0)]
    pub(crate) cache_gb: f64,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = ".cache/bench", overrides_with = "out")]
    pub(crate) out: PathBuf,
    /// A Python with pymongo; without it that contender is left out
    #[arg(long, value_name = "FILE")]
    pub(crate) python: Option<PathBuf>,
    /// The server
    #[arg(long, env = "MONGODB_URI")]
    pub(crate) uri: String,
    /// The commit that is measured
    #[arg(long, default_value = "unknown")]
    pub(crate) revision: String,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Results of runs; the one the headline is made of comes first
    #[arg(required = true)]
    pub(crate) results: Vec<PathBuf>,
    /// File whose part between the two marks is replaced
    #[arg(long, value_name = "FILE", default_value = "BENCHMARKS.md")]
    pub(crate) markdown: PathBuf,
    /// The chart
    #[arg(long, value_name = "FILE", default_value = "docs/benchmarks.svg")]
    pub(crate) svg: PathBuf,
}
