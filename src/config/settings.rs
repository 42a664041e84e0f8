//! Validated settings of a connection and of a run.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::config::cleanup::CleanupSettings;
use crate::config::lease::LeaseSettings;
use crate::config::memory::default_budget;
use crate::config::throttle::Throttle;
use crate::error::{Error, Result};
use crate::lifecycle::{ErrorLimit, Verify};
use crate::plan::{NaturalBy, Strategy};

/// What an insert command has room for: 16 MiB, less what comes before and behind its documents.
const BATCH_BYTES_MAX: usize = (16 << 20) - (64 << 10);

/// How to reach a database. The URI may hold a password and is never printed.
#[derive(Debug, Clone)]
pub struct Settings {
    uri: SecretString,
    database: String,
    tuning: Tuning,
    lease: LeaseSettings,
    cleanup: CleanupSettings,
    politeness: Throttle,
    read_only: bool,
    spill_folder: PathBuf,
}

/// What may be tuned in a rebuild; [`Default`] fits most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Threads that fold; the machine's cores by default.
    pub threads: usize,
    /// Cursors read and partitions written at the same time; by default 2, which is what keeps a
    /// server busy.
    pub readers: usize,
    /// How the event store is read; by default the plan decides.
    pub strategy: Option<Strategy>,
    /// How the event store is divided to be read in natural order; by default as the server can.
    pub natural_by: Option<NaturalBy>,
    /// Commits of a part that is read at a time in natural order, about: what is read ahead of its
    /// predecessors may be as much.
    pub part_commits: u64,
    /// Memory that states and what waits for them may take together, in bytes; by default a quarter of
    /// what this process may use. Buffers and the driver need some tens of megabytes besides.
    pub memory_bytes: usize,
    /// Number of partitions, at most: a stream is never divided. By default it follows from the
    /// number of commits.
    pub partitions: Option<u32>,
    /// Commits a batch from the server has at most; large commits make smaller batches of about 1 MiB.
    pub batch_commits: u32,
    /// Documents an insert batch has at most.
    pub batch_docs: usize,
    /// Bytes an insert batch has at most, unless a single document is larger.
    pub batch_bytes: usize,
    /// How many streams may fail before nothing is published.
    pub max_errors: ErrorLimit,
    /// What is verified before a cut-over; by default every stream is folded once more and compared.
    pub verify: Verify,
    /// Memory that snapshots of required projections may take, in bytes.
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
        if !uri.starts_with("mongodb://") && !uri.starts_with("mongodb+srv://") {
            problems.push("the URI has to begin with mongodb:// or mongodb+srv://".to_owned());
        }
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
            politeness: Throttle::default(),
            read_only: false,
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

    /// Replaces the settings of politeness to the live system.
    #[must_use]
    pub fn with_throttle(mut self, politeness: Throttle) -> Self {
        self.politeness = politeness;
        self
    }

    /// The settings of politeness to the live system.
    #[must_use]
    pub fn throttle(&self) -> &Throttle {
        &self.politeness
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

    /// Says that this server must not write events (`MODE_READONLY` of the command line). Migrating
    /// goes on, as Squidex documents its own setting.
    #[must_use]
    pub fn with_read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
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

    /// Sets the folder that spilled commits go to; by default the system's for temporary files. One that is
    /// kept in memory (tmpfs) takes memory beyond [`Tuning::memory_bytes`].
    #[must_use]
    pub fn with_spill_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spill_folder = folder.into();
        self
    }

    /// The folder that spilled commits go to.
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

/// Rules of MongoDB for names of databases.
fn database_name_problem(name: &str) -> Option<String> {
    let bad = name.chars().find(|char| "/\\. \"$*<>:|?\0".contains(*char));
    match (name.is_empty(), bad) {
        (true, _) => Some("the database needs a name".to_owned()),
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
