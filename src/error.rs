//! The errors of the library, in classes that tell a caller what to do about them.

use std::error::Error as StdError;

use thiserror::Error;

use statefold_projections::RegistryError;

use crate::next_step::NextStep;

/// Result of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause below an error.
pub type Source = Box<dyn StdError + Send + Sync>;

/// The class of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// The trouble may go away by itself, so trying again is right.
    Transient,
    /// The event store or a snapshot is not as it should be.
    Data,
    /// An operator has to change something before trying again.
    Operator,
    /// Cancelled from outside; the work done is kept.
    Interrupted,
    /// A fault of this program.
    Bug,
}

/// An error of the library.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Invalid settings, with all problems that were found.
    #[error("{}", .0.join("\n"))]
    Config(Vec<String>),
    /// A projection that isn't registered, or can't be.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The server doesn't answer.
    #[error("{doing}: the server can't be reached")]
    Unreachable {
        /// The step that failed.
        doing: String,
        /// The driver's reason.
        #[source]
        source: Source,
    },
    /// No majority of the members of the replica set confirms writes.
    #[error("no majority of the replica set confirms writes: {members}")]
    NoMajority {
        /// The states of the members, in words.
        members: String,
    },
    /// The server took longer than the deadline.
    #[error("{doing}: no answer within {seconds} s")]
    Deadline {
        /// The step that failed.
        doing: String,
        /// The deadline, in seconds.
        seconds: u64,
    },
    /// The user of the connection lacks a right, or the credentials are wrong.
    #[error("{doing}: not permitted")]
    Permission {
        /// The step that failed.
        doing: String,
        /// The server's reason.
        #[source]
        source: Source,
    },
    /// The server has no space left.
    #[error("{doing}: the server's disk is full")]
    DiskFull {
        /// The step that failed.
        doing: String,
        /// The server's reason.
        #[source]
        source: Source,
    },
    /// Any other failure that the server or the driver reported.
    #[error("{doing} failed")]
    Server {
        /// The step that failed.
        doing: String,
        /// Code of the server, if it gave one.
        code: Option<i32>,
        /// Whether trying again may help.
        transient: bool,
        /// The server's reason.
        #[source]
        source: Source,
    },
    /// A server, topology, database or request that isn't supported, with the reason.
    #[error("{0}")]
    Unsupported(String),
    /// The database has no event store, and others have one: its name may be a slip.
    #[error("the database {database} has no event store; these have one: {}", .others.join(", "))]
    NoEventStore {
        /// Name of the database.
        database: String,
        /// The databases that have one.
        others: Vec<String>,
    },
    /// Readers use the new generation already; what comes after that failed, and the next start does it.
    #[error("readers use the new generation already, but what comes after that failed")]
    Moved {
        /// What failed.
        #[source]
        source: Box<Error>,
    },
    /// A request that another step has to go before.
    #[error("{reason}")]
    NotReady {
        /// The reason.
        reason: String,
        /// The steps that lead on; any one of them does.
        next: Vec<NextStep>,
    },
    /// Refused because of what is at stake, unless it is insisted on.
    #[error("refused: {}", .reasons.join("; "))]
    Refused {
        /// The reasons.
        reasons: Vec<String>,
        /// The setting that does it all the same.
        unless: Insistence,
    },
    /// The migration lock is held by somebody else.
    #[error("the migration lock `{document}` is held {holder}")]
    LockHeld {
        /// Collection and id of the version document.
        document: String,
        /// The holder, and since when it holds the lock, as far as it is known.
        holder: String,
    },
    /// Another statefold leads, and it is alive.
    #[error("another statefold is at work: {holder}")]
    LeaseHeld {
        /// The holder of the lease, since when it leads, and its work.
        holder: String,
    },
    /// This process no longer leads. It wrote nothing after it knew.
    #[error("the lease was lost (token {token}): {reason}")]
    LeaseLost {
        /// The token this process worked with.
        token: i64,
        /// The reason.
        reason: String,
    },
    /// This process has tried to migrate as often as it may.
    #[error("the start failed after {attempts} attempts")]
    BootFailed {
        /// Number of attempts.
        attempts: u32,
        /// The error of the first attempt.
        #[source]
        first: Box<Error>,
    },
    /// The token is no longer the newest: another process took over, and nothing more is written.
    #[error("another statefold took over: token {token} is no longer valid for {what}")]
    Fenced {
        /// The token this process worked with.
        token: i64,
        /// The thing that the token is no longer valid for.
        what: String,
    },
    /// A build can't make this step from the state it is in.
    #[error("build {build} is {actual}; that step needs {expected}")]
    State {
        /// Id of the build.
        build: String,
        /// The state it would have to be in.
        expected: String,
        /// The state it is in.
        actual: String,
    },
    /// The new generation is not equal to the event store.
    #[error("{0}")]
    Mismatch(String),
    /// The cut-over could not be made; the finished generation is kept.
    #[error("the cut-over could not be made in {tries} tries: {reason}")]
    NotCutOver {
        /// Number of attempts.
        tries: u32,
        /// The reason of the last failure.
        reason: String,
    },
    /// The event store is read-only, by [`crate::operator::read_only_on`].
    #[error("the event store is read-only: {reason}, since {since} by {owner}")]
    ReadOnly {
        /// The reason that was given.
        reason: String,
        /// Host and process that made it read-only.
        owner: String,
        /// The time since which it is read-only, in RFC 3339.
        since: String,
    },
    /// The settings say that this server writes no events ([`crate::config::Settings::with_read_only`]).
    #[error("this server is set to read-only (MODE_READONLY) and writes no events")]
    ReadOnlyServer,
    /// The fence of a cut-over refused events for longer than the writer waits; it is worth another try.
    #[error("the event store refuses events ({fence}), also after {waited_ms} ms")]
    WritesFenced {
        /// Its reason, owner and start, in words.
        fence: String,
        /// Time waited, in milliseconds.
        waited_ms: u128,
    },
    /// A stream has another last event than the writer expected: somebody else appended to it.
    #[error("the last event of {stream} is {actual}, not {expected} (-1: it has none)")]
    Conflict {
        /// Name of the stream.
        stream: String,
        /// Number of the last event that was expected, -1 for none.
        expected: i64,
        /// Number of the last event, -1 for none.
        actual: i64,
    },
    /// The fence could not be lifted: the event store refuses events.
    #[error("the event store refuses events: its fence could not be lifted: {reason}")]
    FenceStands {
        /// Why it could not be lifted.
        reason: String,
        /// What happened before, if the cut-over failed.
        #[source]
        source: Source,
    },
    /// The options of the event store can't be changed, so that a fence can be neither raised nor lifted.
    #[error(
        "the event store's options can't be changed: {reason}, also after {waited_ms} ms; nothing was changed"
    )]
    FenceBusy {
        /// The obstacle.
        reason: String,
        /// Time waited, in milliseconds.
        waited_ms: u128,
    },
    /// More failed streams than allowed: nothing was published.
    #[error(
        "{projection}: {failed_streams} of {streams} streams could not be folded, \
         allowed are {allowed}; nothing was published"
    )]
    FailedStreams {
        /// Name of the projection.
        projection: String,
        /// Streams that could not be folded.
        failed_streams: u64,
        /// All streams of the projection.
        streams: u64,
        /// The threshold, as given.
        allowed: String,
        /// Some of the streams, each with its reason.
        examples: Vec<String>,
    },
    /// The database was written by a newer statefold, or built with a newer projection.
    #[error("{what} is of version {found}; this statefold knows up to {known}")]
    Newer {
        /// The thing that is newer.
        what: String,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The states need more memory than allowed, and natural order without spill was asked for.
    #[error(
        "the states need more than the memory budget of {budget} MiB, and only natural order without spill \
         was allowed"
    )]
    MemoryBudget {
        /// The budget, in MiB.
        budget: usize,
    },
    /// The work was cancelled; what was built so far is kept.
    #[error("interrupted; what is built so far is kept")]
    Interrupted,
    /// The folder for spilled commits can't be written to, or has no space left.
    #[error("{doing} {folder}")]
    SpillFolder {
        /// The step that failed.
        doing: &'static str,
        /// The folder.
        folder: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file or a socket of this machine failed.
    #[error("{doing}")]
    Io {
        /// The step that failed.
        doing: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A fault of this program.
    #[error("a task of statefold failed: {0}")]
    Bug(String),
}

/// The setting that insists on what is refused for what is at stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Insistence {
    /// The request is forced, as by [`crate::Purge::force`].
    Force,
    /// The margin of disk and oplog is ignored: [`crate::Throttle::ignore_margin`].
    IgnoreMargin,
}

impl Error {
    /// A request that one step has to go before.
    pub(crate) fn not_ready(reason: impl Into<String>, next: NextStep) -> Self {
        Self::NotReady { reason: reason.into(), next: vec![next] }
    }

    /// The class of the error.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. }
            | Self::NoMajority { .. }
            | Self::Deadline { .. }
            | Self::FenceBusy { .. }
            | Self::WritesFenced { .. }
            | Self::Server { transient: true, .. } => Class::Transient,
            Self::Mismatch(_) | Self::FailedStreams { .. } | Self::Conflict { .. } => Class::Data,
            Self::BootFailed { first: cause, .. } | Self::Moved { source: cause } => cause.class(),
            Self::Interrupted => Class::Interrupted,
            Self::Bug(_) => Class::Bug,
            _ => Class::Operator,
        }
    }

    /// Stable name of the error, for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Registry(_) => "projection",
            Self::Unreachable { .. } => "unreachable",
            Self::NoMajority { .. } => "no_majority",
            Self::Deadline { .. } => "deadline",
            Self::Permission { .. } => "permission",
            Self::DiskFull { .. } => "disk_full",
            Self::Server { .. } => "server",
            Self::Unsupported(_) => "unsupported",
            Self::NoEventStore { .. } => "no_event_store",
            Self::Moved { .. } => "moved",
            Self::NotReady { .. } => "not_ready",
            Self::Refused { .. } => "refused",
            Self::LockHeld { .. } => "lock_held",
            Self::NotCutOver { .. } => "not_cut_over",
            Self::ReadOnly { .. } => "read_only",
            Self::FenceBusy { .. } => "fence_busy",
            Self::FenceStands { .. } => "fence_stands",
            Self::ReadOnlyServer => "read_only_server",
            Self::WritesFenced { .. } => "writes_fenced",
            Self::Conflict { .. } => "conflict",
            Self::LeaseHeld { .. } => "lease_held",
            Self::LeaseLost { .. } => "lease_lost",
            Self::BootFailed { .. } => "boot_failed",
            Self::Fenced { .. } => "fenced",
            Self::State { .. } => "state",
            Self::Mismatch(_) => "mismatch",
            Self::FailedStreams { .. } => "failed_streams",
            Self::Newer { .. } => "newer_format",
            Self::MemoryBudget { .. } => "memory_budget",
            Self::Interrupted => "interrupted",
            Self::SpillFolder { .. } => "spill_folder",
            Self::Io { .. } => "io",
            Self::Bug(_) => "bug",
        }
    }

    /// The message with the reasons below it, in one line.
    #[must_use]
    pub fn with_sources(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(below) = source {
            let reason = below.to_string();
            if !text.contains(&reason) {
                text.push_str(": ");
                text.push_str(&reason);
            }
            source = below.source();
        }
        text
    }
}
