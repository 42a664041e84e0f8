//! Command line of the drill, and the error type of its modules.

use clap::Parser;

/// Any error, as text for the user.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
/// Result with any error.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Cuts over and rolls back under a live application, and measures the effects on it.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Args {
    /// Connection string of a replica set that is used for nothing else
    #[arg(long, env = "MONGODB_URI", hide_env_values = true)]
    pub(crate) uri: String,
    /// Database, which is recreated
    #[arg(long, default_value = "drill")]
    pub(crate) database: String,
    /// Number of commits in the event store before the drill
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) commits: u64,
    /// Number of writers of the application: half of them append events only, the others write the snapshot
    /// as well
    #[arg(long, default_value_t = 8)]
    pub(crate) writers: usize,
    /// Pause of a writer after each commit, in milliseconds
    #[arg(long, default_value_t = 20)]
    pub(crate) pause: u64,
    /// Number of readers of the application
    #[arg(long, default_value_t = 2)]
    pub(crate) readers: usize,
    /// Number of cut-overs of each kind of fence: half of them lead back, half forward again
    #[arg(long, default_value_t = 200)]
    pub(crate) cutovers: usize,
    /// Way in which readers find a generation: pointer or rename
    #[arg(long, default_value = "pointer")]
    pub(crate) mode: String,
    /// Only this kind of fence: none or short
    #[arg(long)]
    pub(crate) fence: Option<String>,
}
