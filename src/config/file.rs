//! The file `statefold.toml`, whose settings are all optional.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};

/// Settings in a file. Unknown names are errors.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Connection string.
    pub uri: Option<String>,
    /// Name of the database.
    pub database: Option<String>,
    /// Threads that fold.
    pub threads: Option<usize>,
    /// Number of cursors and partitions that are read and written at the same time.
    pub readers: Option<usize>,
    /// Order in which the event store is read: `natural`, `spill` or `stream`.
    pub strategy: Option<String>,
    /// Memory for states, with a unit: `"2 GiB"`.
    pub memory: Option<String>,
    /// Folder for commits that are spilled.
    pub spill_dir: Option<PathBuf>,
    /// Number of partitions.
    pub partitions: Option<u32>,
    /// Number of commits in a batch from the server.
    pub batch_commits: Option<u32>,
    /// Number of documents in an insert batch.
    pub batch_docs: Option<usize>,
    /// Bytes of an insert batch, with a unit: `"4 MiB"`.
    pub batch_bytes: Option<String>,
    /// Limit of failed streams: `"3"` or `"0.5%"`.
    pub max_errors: Option<String>,
    /// Extent of the verification before a cut-over: `full`, `heads`, or a share such as `5%`.
    pub verify: Option<String>,
    /// Limit of replication lag for writing, `"10s"`, or `"off"`.
    pub max_lag: Option<String>,
    /// Time to write a batch above which writing pauses: `"50ms"`.
    pub throttle: Option<String>,
    /// Address for metrics and health checks.
    pub listen: Option<String>,
    /// Settings of lease and migration lock, and of waiting for them.
    #[serde(default)]
    pub lease: LeaseFile,
    /// Settings of clean-up.
    #[serde(default)]
    pub cleanup: CleanupFile,
}

/// The table `[cleanup]` of the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanupFile {
    /// Generations kept to roll back to.
    pub keep: Option<usize>,
    /// Minimum time a generation is kept: `"7d"`.
    pub keep_for: Option<String>,
    /// Time after which eligible collections are dropped at the end of a rebuild or migration: `"7d"`.
    pub after: Option<String>,
}

/// The table `[lease]` of the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseFile {
    /// Validity of the lease after a renewal: `"30s"`.
    pub ttl: Option<String>,
    /// Pause between two renewals.
    pub renew: Option<String>,
    /// Pause between two looks at a lease or migration lock that somebody else holds.
    pub poll: Option<String>,
    /// Time limit of waiting for them.
    pub wait: Option<String>,
    /// Attempts of one process to migrate.
    pub attempts: Option<u32>,
    /// Whether the lease of a process that certainly ended is taken over at once.
    pub judge_processes: Option<bool>,
    /// Collection of version document and control document.
    pub collection: Option<String>,
    /// Id of the version document.
    pub version_id: Option<String>,
    /// Id of the control document.
    pub control_id: Option<String>,
    /// Name of this deployment.
    pub deployment: Option<String>,
}

/// Reads a settings file.
///
/// # Errors
/// [`Error::Io`] if it can't be read, [`Error::Config`] if it isn't valid.
pub fn read_file(path: &Path) -> Result<FileSettings> {
    let doing = format!("reading {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|source| Error::Io { doing, source })?;
    toml::from_str(&text).map_err(|error| Error::Config(vec![format!("{}: {error}", path.display())]))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_the_documentation_has_every_setting_but_the_pauses_of_a_renewal() {
        let documentation = include_str!("../../docs/operations.md");
        let (_, block) = documentation.split_once("```toml\n").unwrap();
        let (block, _) = block.split_once("```").unwrap();
        let settings: FileSettings = toml::from_str(block).unwrap();
        let missing: Vec<String> = format!("{settings:#?}")
            .lines()
            .filter(|line| line.ends_with(": None,"))
            .map(|line| line.trim().to_owned())
            .collect();
        let left_out = ["readers", "partitions", "batch_commits", "batch_docs", "renew"];
        assert_eq!(missing, left_out.map(|name| format!("{name}: None,")));
    }

    #[test]
    fn a_misspelt_setting_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("statefold.toml");
        std::fs::write(&path, "database = \"Squidex\"\nthreads = 2\n").unwrap();
        let settings = read_file(&path).unwrap();
        assert_eq!((settings.database.as_deref(), settings.threads), (Some("Squidex"), Some(2)));
        std::fs::write(&path, "databse = \"Squidex\"\n").unwrap();
        assert!(read_file(&path).unwrap_err().to_string().contains("databse"));
        let missing = read_file(&folder.path().join("none.toml")).unwrap_err();
        assert!(matches!(missing, Error::Io { .. }));
    }
}
