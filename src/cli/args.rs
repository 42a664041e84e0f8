//! The flags, as clap sees them.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::lifecycle::CutOverMode;

/// Where the database is. Flags come before the environment, the environment before the file.
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
    /// Accept a database without an event store although another one has events
    #[arg(long)]
    pub(super) allow_empty: bool,
}

/// Whether a verb that changes something may: without a flag it only says what it would do.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct ConsentArgs {
    /// Do it: without this flag it is only said what would be done
    #[arg(short, long, conflicts_with = "dry_run")]
    pub(super) yes: bool,
    /// Only say what would be done, as without --yes
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Accepts `--yes` on a verb that does what it says without being asked twice.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct NeverAsksArgs {
    /// Has no effect: this verb never asks
    #[arg(short, long, hide = true)]
    yes: bool,
}

/// Sizes, parallelism and strategy of a pass.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Tuning")]
pub(super) struct TuningArgs {
    /// Threads that fold [default: the machine's cores]
    #[arg(long, value_name = "N", env = "STATEFOLD_THREADS")]
    pub(super) threads: Option<usize>,
    /// Cursors read, and partitions written, at the same time [default: 2]
    #[arg(long, value_name = "N", env = "STATEFOLD_READERS")]
    pub(super) readers: Option<usize>,
    /// In which order the event store is read: natural, spill, stream or exchange [default: as `plan` shows]
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
    /// Members of the replica set that the event store is read from: primary, secondary, nearest, or a
    /// secondary with tags, as `nodeType:ANALYTICS`; changes are followed on the primary [default: primary]
    #[arg(long, value_name = "MEMBERS", env = "STATEFOLD_READ_PREFERENCE")]
    pub(super) read_preference: Option<String>,
    /// Allow a mongos of a sharded cluster, on which no release of statefold was ever run
    #[arg(long, global = true, env = "STATEFOLD_SHARDED_CLUSTER")]
    pub(super) sharded_cluster: bool,
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

/// How leadership is taken, kept and waited for.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Lease")]
pub(super) struct LeaseArgs {
    /// How long the lease is valid after each renewal; a dead leader is replaced after it [default: 30s]
    #[arg(long, value_name = "TIME", env = "STATEFOLD_LEASE_TTL")]
    pub(super) lease_ttl: Option<String>,
    /// Pause between two looks at a lease or migration lock that somebody else holds [default: 5s]
    #[arg(long, value_name = "TIME", env = "STATEFOLD_POLL")]
    pub(super) poll: Option<String>,
    /// How long to wait for whoever has the lease, the migration lock or the options of the event store, as
    /// `10m` [default: 1m, and not at all for a leader that is alive; migrate and follow wait for ever]
    #[arg(long, value_name = "TIME", env = "STATEFOLD_WAIT")]
    pub(super) wait: Option<String>,
}

/// Conditions of a cut-over.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ChecksArgs {
    /// Publish although so many streams could not be folded: a number, or a share like 0.5% [default: 0]
    #[arg(long, value_name = "N|P%", env = "STATEFOLD_MAX_ERRORS")]
    pub(super) max_errors: Option<String>,
    /// What to verify before the cut-over: `proof` (what is stored by digest, the heads of all streams, and
    /// 1% of the streams folded once more; another share as `5%`), `full` (every stream folded once more and
    /// compared), or only the `heads` [default: proof]
    #[arg(long, value_name = "proof|P%|full|heads", env = "STATEFOLD_VERIFY")]
    pub(super) verify: Option<String>,
    /// Whether the event store refuses events for some milliseconds at the cut-over: `short`, or `none`, with
    /// which a stream that changed in the last moment may be read as it was before, for some milliseconds
    /// [default: none; short where a projection declares that its readers must never see the past]
    #[arg(long, value_name = "none|short", env = "STATEFOLD_FENCE")]
    pub(super) fence: Option<String>,
}

impl ChecksArgs {
    /// The flags as typed, but for `--max-errors`, which a hint may change.
    pub(super) fn typed(&self) -> impl Iterator<Item = String> {
        let verify = self.verify.iter().map(|extent| format!("--verify {extent}"));
        verify.chain(self.fence.iter().map(|fence| format!("--fence {fence}")))
    }
}

/// How readers find a generation.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ReadersArgs {
    /// How readers find the generation: by the `pointer` in the control document, by a `view` with the
    /// name of the target, or by the one name they have built in (`rename`) [default: as they find the
    /// active one, else pointer]
    #[arg(long, value_name = "MODE", value_parser = CutOverMode::from_str)]
    pub(super) mode: Option<CutOverMode>,
    /// Cut over although servers run that can't read the new version
    #[arg(long)]
    pub(super) force: bool,
}

impl ReadersArgs {
    /// The flags as typed.
    pub(super) fn typed(&self) -> impl Iterator<Item = String> {
        let mode = self.mode.map(|mode| format!("--mode {mode}"));
        mode.into_iter().chain(self.force.then(|| "--force".to_owned()))
    }
}

/// How a run makes way for the live system.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Throttle")]
pub(super) struct ThrottleArgs {
    /// Wait before writing more while a secondary is further behind, or `off` [default: 10s]
    #[arg(long, value_name = "TIME", env = "STATEFOLD_MAX_LAG")]
    pub(super) max_lag: Option<String>,
    /// Pause writing while batches take longer, by their median, as `50ms` [default: never]
    #[arg(long, value_name = "TIME", env = "STATEFOLD_THROTTLE")]
    pub(super) throttle: Option<String>,
}

/// How a build is shared with other processes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Workers")]
pub(super) struct SharingArgs {
    /// Processes that build together, this one included: the others run `statefold work`, as on other
    /// machines [default: 1, and as many more as wait already]
    #[arg(long, value_name = "N", env = "STATEFOLD_WORKERS")]
    pub(super) workers: Option<u32>,
    /// Leave all partitions to workers: this process divides, proves and cuts over
    #[arg(long, env = "STATEFOLD_LEAD_ONLY")]
    pub(super) lead_only: bool,
}

impl SharingArgs {
    /// The flags as typed.
    pub(super) fn typed(&self) -> impl Iterator<Item = String> {
        let workers = self.workers.map(|workers| format!("--workers {workers}"));
        workers.into_iter().chain(self.lead_only.then(|| "--lead-only".to_owned()))
    }
}

/// Generations that a clean-up keeps.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct KeepArgs {
    /// Generations to keep beside the active one, to roll back to [default: 1] [env: STATEFOLD_KEEP]
    #[arg(long, value_name = "N")]
    pub(super) keep: Option<usize>,
    /// Keep each generation at least so long after readers left it, as `7d` [env: STATEFOLD_KEEP_FOR]
    #[arg(long, value_name = "TIME")]
    pub(super) keep_for: Option<String>,
}

impl KeepArgs {
    /// The flags as typed.
    pub(super) fn typed(&self) -> impl Iterator<Item = String> {
        let keep = self.keep.map(|keep| format!("--keep {keep}"));
        let keep_for = self.keep_for.as_ref().map(|time| format!("--keep-for {time}"));
        keep.into_iter().chain(keep_for)
    }
}

/// How often progress is logged. A verb with another default changes the argument.
#[derive(Debug, Clone, Args)]
pub(super) struct IntervalArgs {
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
}

impl IntervalArgs {
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs(self.interval)
    }
}

/// Where the live page, metrics and health checks are served.
#[derive(Debug, Clone, Args)]
pub(super) struct ListenArgs {
    /// Serve a live page, /metrics, /livez and /readyz here while it runs, as 127.0.0.1:9090
    #[arg(long, value_name = "ADDR", env = "STATEFOLD_LISTEN")]
    pub(super) listen: Option<String>,
    #[command(flatten)]
    pub(super) page: PageArgs,
}

/// Who may see the live page.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct PageArgs {
    /// Show the live page only to whoever knows this: as ?token= in its address, or in a header
    /// `Authorization: Bearer`. Better in the environment, where a list of processes doesn't show it
    #[arg(long, value_name = "TOKEN", env = "STATEFOLD_PAGE_TOKEN", hide_env_values = true)]
    pub(super) page_token: Option<SecretString>,
}

impl PageArgs {
    /// The token, if there is one: an empty text comes from a variable that isn't set.
    pub(super) fn token(&self) -> Option<SecretString> {
        self.page_token.clone().filter(|token| !token.expose_secret().is_empty())
    }
}
