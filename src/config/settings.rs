//! Validated settings of a connection and of a run.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::config::cleanup::CleanupSettings;
use crate::config::lease::LeaseSettings;
use crate::config::memory::default_budget;
use crate::config::read_from::ReadFrom;
use crate::config::sharing::Sharing;
use crate::config::throttle::Throttle;
use crate::config::uri;
use crate::error::{Error, Result};
use crate::lifecycle::{ErrorLimit, Fencing, Verify};
use crate::plan::{NaturalBy, Strategy};

/// Maximum size of the documents of an insert command: 16 MiB, less the rest of the command.
const BATCH_BYTES_MAX: usize = (16 << 20) - (64 << 10);

/// Settings of a connection and of runs. The URI may contain a password and is never printed.
#[derive(Debug, Clone)]
pub struct Settings {
    uri: SecretString,
    database: String,
    tuning: Tuning,
    lease: LeaseSettings,
    cleanup: CleanupSettings,
    throttle: Throttle,
    sharing: Sharing,
    read_from: ReadFrom,
    read_only: bool,
    database_metrics: bool,
    spill_folder: PathBuf,
}

/// Tuning of a rebuild; [`Default`] fits most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Number of threads that fold; by default the number of cores.
    pub threads: usize,
    /// Number of cursors and partitions that are read and written at the same time; by default 2, which
    /// keeps a server busy.
    pub readers: usize,
    /// Order in which the event store is read; by default the plan decides.
    pub strategy: Option<Strategy>,
    /// Division of the event store for reading in natural order; by default the best that the server
    /// supports.
    pub natural_by: Option<NaturalBy>,
    /// Approximate number of commits in a part of a scan in natural order; about as many commits may have
    /// to wait for their predecessors.
    pub part_commits: u64,
    /// Memory for states and waiting commits together, in bytes; by default a quarter of the memory this
    /// process may use. Buffers and the driver need some tens of megabytes more.
    pub memory_bytes: usize,
    /// Maximum number of partitions: a stream is never divided. By default it follows from the number of
    /// commits.
    pub partitions: Option<u32>,
    /// Maximum number of commits in a batch from the server; batches of large commits have about 1 MiB.
    pub batch_commits: u32,
    /// Maximum number of documents in an insert batch.
    pub batch_docs: usize,
    /// Maximum size of an insert batch in bytes, unless a single document is larger.
    pub batch_bytes: usize,
    /// Limit of failed streams above which nothing is published.
    pub max_errors: ErrorLimit,
    /// Extent of the verification before a cut-over; by default every stream is refolded and compared.
    pub verify: Verify,
    /// Whether a cut-over makes the event store refuse events for a moment; by default only where a
    /// projection's [readers must never see the past](statefold_projections::Reads::Latest), or where the
    /// server has no change streams.
    pub fence: Option<Fencing>,
    /// Memory for projections that require others, in bytes: half for the snapshots that are looked up, which
    /// are loaded again when there are more, half for the names of the streams that looked them up.
    pub lookup_bytes_max: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        Self {
            threads,
            readers: 2,
            strategy: None,
            natural_by: None,
            part_commits: 25_000,
            memory_bytes: default_budget(),
            partitions: None,
            batch_commits: 1000,
            batch_docs: 1000,
            batch_bytes: 4 * 1024 * 1024,
            max_errors: ErrorLimit::default(),
            verify: Verify::default(),
            fence: None,
            lookup_bytes_max: 512 * 1024 * 1024,
        }
    }
}

impl Settings {
    /// Settings for a database.
    ///
    /// # Errors
    /// [`Error::Config`] with all problems found.
    pub fn new(uri: impl Into<String>, database: impl Into<String>) -> Result<Self> {
        let (uri, database) = (uri.into(), database.into());
        let mut problems = Vec::new();
        problems.extend(uri::problem(&uri).map(str::to_owned));
        if let Some(problem) = database_name_problem(&database) {
            problems.push(problem);
        }
        if !problems.is_empty() {
            return Err(Error::Config(problems));
        }
        Ok(Self {
            uri: uri.into(),
            database,
            tuning: Tuning::default(),
            lease: LeaseSettings::default(),
            cleanup: CleanupSettings::default(),
            throttle: Throttle::default(),
            sharing: Sharing::default(),
            read_from: ReadFrom::default(),
            read_only: false,
            database_metrics: false,
            spill_folder: std::env::temp_dir(),
        })
    }

    /// Replaces the tuning.
    ///
    /// # Errors
    /// [`Error::Config`] if a value is out of its range.
    pub fn with_tuning(mut self, tuning: Tuning) -> Result<Self> {
        let limits = [
            (tuning.threads, 1, 1024, "threads"),
            (tuning.readers, 1, 256, "readers"),
            (tuning.batch_docs, 1, 100_000, "batch_docs"),
            (tuning.batch_bytes, 1, BATCH_BYTES_MAX, "batch_bytes"),
            (usize::try_from(tuning.part_commits).unwrap_or(usize::MAX), 1, usize::MAX, "part_commits"),
            (tuning.memory_bytes, 1 << 20, usize::MAX, "memory_bytes"),
            (tuning.batch_commits as usize, 1, 1_000_000, "batch_commits"),
            (tuning.partitions.unwrap_or(1) as usize, 1, 2048, "partitions"),
        ];
        let out = limits.iter().filter(|(value, low, high, _)| !(low..=high).contains(&value));
        let problems: Vec<String> = out
            .map(|(value, low, high, name)| format!("{name} is {value}, but has to be from {low} to {high}"))
            .collect();
        if !problems.is_empty() {
            return Err(Error::Config(problems));
        }
        self.tuning = tuning;
        Ok(self)
    }

    /// Replaces the settings of the lease.
    ///
    /// # Errors
    /// [`Error::Config`] if they don't fit together.
    pub fn with_lease(mut self, lease: LeaseSettings) -> Result<Self> {
        lease.check()?;
        self.lease = lease;
        Ok(self)
    }

    /// Replaces the settings of sharing builds.
    ///
    /// # Errors
    /// [`Error::Config`] with all problems found.
    pub fn with_sharing(mut self, sharing: Sharing) -> Result<Self> {
        let problems = sharing.problems();
        if !problems.is_empty() {
            return Err(Error::Config(problems));
        }
        self.sharing = sharing;
        Ok(self)
    }

    /// Replaces the members that the event store is read from.
    #[must_use]
    pub fn reading_from(mut self, read_from: ReadFrom) -> Self {
        self.read_from = read_from;
        self
    }

    /// Which members the event store is read from.
    #[must_use]
    pub fn read_from(&self) -> &ReadFrom {
        &self.read_from
    }

    /// How builds are shared.
    #[must_use]
    pub fn sharing(&self) -> &Sharing {
        &self.sharing
    }

    /// Replaces the settings of throttling.
    #[must_use]
    pub fn with_throttle(mut self, throttle: Throttle) -> Self {
        self.throttle = throttle;
        self
    }

    /// The settings of throttling.
    #[must_use]
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// Replaces the settings of clean-up.
    #[must_use]
    pub fn with_cleanup(mut self, cleanup: CleanupSettings) -> Self {
        self.cleanup = cleanup;
        self
    }

    /// The settings of clean-up.
    #[must_use]
    pub fn cleanup(&self) -> &CleanupSettings {
        &self.cleanup
    }

    /// Sets whether this server must not write events. It migrates all the same, like a Squidex server with
    /// its own setting `MODE_READONLY`.
    #[must_use]
    pub fn with_read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets whether a rebuild, a migration or a follower looks at the database every ten seconds, to show in
    /// its metrics what other processes did: active generation, last cut-over, last verification, read-only
    /// mode. By default it doesn't: without a recorder nobody would see it.
    #[must_use]
    pub fn with_database_metrics(mut self, database_metrics: bool) -> Self {
        self.database_metrics = database_metrics;
        self
    }

    /// Whether the metrics show what the database says.
    pub(crate) fn has_database_metrics(&self) -> bool {
        self.database_metrics
    }

    /// The settings of the lease.
    #[must_use]
    pub fn lease(&self) -> &LeaseSettings {
        &self.lease
    }

    /// Whether this server must not write events.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Sets the folder for spilled commits; by default the system's folder for temporary files. A folder in
    /// memory (tmpfs) takes memory beyond [`Tuning::memory_bytes`].
    #[must_use]
    pub fn with_spill_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spill_folder = folder.into();
        self
    }

    /// The folder for spilled commits.
    #[must_use]
    pub fn spill_folder(&self) -> &Path {
        &self.spill_folder
    }

    /// The tuning.
    #[must_use]
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// Name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn uri(&self) -> &str {
        self.uri.expose_secret()
    }
}

/// The problem of a database name, by MongoDB's rules; `None` if it is valid.
pub(crate) fn database_name_problem(name: &str) -> Option<String> {
    let bad = name.chars().find(|char| "/\\. \"$*<>:|?\0".contains(*char));
    match (name.is_empty(), bad) {
        (true, _) => Some("the database needs a name".to_owned()),
        _ if name.contains(char::is_control) => {
            Some(format!("the name of the database has a control character, perhaps a line end: {name:?}"))
        }
        (_, Some(bad)) => Some(format!("the name of a database can't contain {bad:?}: {name}")),
        _ if name.len() > 63 => Some(format!("the name of a database has at most 63 bytes: {name}")),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_reported_together() {
        let error = Settings::new("localhost", "a b").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the URI has to begin with mongodb:// or mongodb+srv://\n\
             the name of a database can't contain ' ': a b"
        );
        let settings = Settings::new("mongodb://localhost", "db").unwrap();
        let odd = Tuning { threads: 0, batch_docs: 0, ..Tuning::default() };
        let Err(Error::Config(problems)) = settings.with_tuning(odd) else { panic!("accepted") };
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn a_batch_that_no_command_has_room_for_is_refused() {
        let settings = Settings::new("mongodb://localhost", "db").unwrap();
        let with = |batch_bytes| settings.clone().with_tuning(Tuning { batch_bytes, ..Tuning::default() });
        assert!(with(16 << 20).is_err());
        assert!(with(BATCH_BYTES_MAX).is_ok());
    }

    #[test]
    fn a_password_is_not_printed() {
        let settings = Settings::new("mongodb://user:secret@localhost", "db").unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
