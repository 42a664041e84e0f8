//! Command line of the race, and the error type of its modules.

use std::path::PathBuf;

use clap::Parser;

/// Any error, as text for the user.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
/// Result with any error.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Kills and stops servers that migrate, and checks their result.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Connection string of a replica set that is used for nothing else
    #[arg(long, env = "MONGODB_URI", hide_env_values = true)]
    pub(crate) uri: String,
    /// Duration, in seconds
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Number of servers that run at the same time
    #[arg(long, default_value_t = 5)]
    pub(crate) servers: usize,
    /// Number of commits in the event store
    #[arg(long, default_value_t = 20_000)]
    pub(crate) commits: u64,
    /// Time a lease is valid, such as 2s
    #[arg(long, default_value = "2s")]
    pub(crate) ttl: String,
    /// Interval at which the lease is read, such as 300ms
    #[arg(long, default_value = "300ms")]
    pub(crate) poll: String,
    /// Take over at once from processes that have certainly ended
    #[arg(long)]
    pub(crate) judge: bool,
    /// Seed of the random choices
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Folder for the servers' logs
    #[arg(long, default_value = "race-logs")]
    pub(crate) logs: PathBuf,
}

/// Environment variable that makes this program a server with this version of the projection.
pub(crate) const VERSION: &str = "RACE_VERSION";
