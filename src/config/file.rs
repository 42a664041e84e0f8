//! The file `statefold.toml`, whose settings are all optional.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::uri::ConnectionString;
use crate::error::{Error, Result};

/// Settings in a file. Unknown names are errors.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Connection string.
    pub uri: Option<ConnectionString>,
    /// Name of the database.
    pub database: Option<String>,
    /// Files with projections as data, instead of those of Squidex: paths from where this file is.
    pub projections: Option<Vec<PathBuf>>,
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
    /// Whether a cut-over makes the event store refuse events for a moment: `none` or `short`.
    pub fence: Option<String>,
    /// Limit of replication lag for writing, `"10s"`, or `"off"`.
    pub max_lag: Option<String>,
    /// Time to write a batch above which writing pauses: `"50ms"`.
    pub throttle: Option<String>,
    /// Members that the event store is read from: `primary`, `secondary`, `nearest`, or tags.
    pub read_preference: Option<String>,
    /// Number of processes that build together, the leader included.
    pub workers: Option<u32>,
    /// Whether a leader leaves all partitions to workers.
    pub lead_only: Option<bool>,
    /// Whether a server that waits for the leader of a migration takes part in the build.
    pub help_build: Option<bool>,
    /// As the setting of this name.
    pub sharded_cluster: Option<bool>,
    /// Address for metrics and health checks.
    pub listen: Option<String>,
    /// Settings of lease and migration lock, and of waiting for them.
    #[serde(default)]
    pub lease: LeaseFile,
    /// Settings of clean-up.
    #[serde(default)]
    pub cleanup: CleanupFile,
    /// How Squidex stores its snapshots; only for its projections.
    #[serde(default)]
    pub squidex: SquidexFile,
}

/// The table `[squidex]` of the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SquidexFile {
    /// Form of the documents of apps, teams, schemas and rules: `document`, `string` or `binary`.
    pub values: Option<String>,
    /// Number of collections that contents are divided into.
    pub content_shards: Option<u32>,
    /// Database of the contents.
    pub content_database: Option<String>,
    /// Whether contents are also in databases of single apps.
    pub dedicated_contents: Option<bool>,
    /// Number of collections that assets are divided into.
    pub asset_shards: Option<u32>,
    /// What becomes of a rule with a trigger or step of an unknown plugin: `keep` or `fail`.
    pub rules: Option<String>,
    /// Projections that a migration brings up to date; all by default.
    pub projections: Option<Vec<String>>,
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
/// [`Error::Config`] if it can't be read, or with every setting that isn't valid.
pub fn read_file(path: &Path) -> Result<FileSettings> {
    let name = path.display();
    let mut text = std::fs::read_to_string(path)
        .map_err(|error| Error::Config(vec![format!("the settings file {name} can't be read: {error}")]))?;
    let mut problems = Vec::new();
    loop {
        let error = match toml::from_str(&text) {
            Ok(settings) if problems.is_empty() => return Ok(settings),
            Ok(_) => return Err(Error::Config(problems)),
            Err(error) => error,
        };
        let start = error.span().map(|span| span.start);
        let at = start.and_then(|start| text.get(..start)).map(|before| before.matches('\n').count());
        let line = at.map_or_else(String::new, |at| format!(" line {}", at + 1));
        problems.push(format!("{name}{line}: {}", without_values(error.message())));
        // Whether the rest is valid is seen without that setting, if it can be read at all.
        let rest = at.and_then(|at| without_setting(&text, at));
        match rest.filter(|rest| text.parse::<toml::Table>().is_ok() && rest.parse::<toml::Table>().is_ok()) {
            Some(rest) => text = rest,
            None => return Err(Error::Config(problems)),
        }
    }
}

/// The text with an empty line in place of this one; in place of the whole table, if it is the head of one.
/// `None` if the line is empty.
fn without_setting(text: &str, at: usize) -> Option<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let is_head = |line: &str| line.trim_start().starts_with('[');
    let whole = is_head(lines.get(at).filter(|line| !line.trim().is_empty())?);
    for (behind, line) in lines.iter_mut().skip(at).enumerate() {
        if behind > 0 && (!whole || is_head(line)) {
            break;
        }
        *line = "";
    }
    Some(lines.join("\n"))
}

/// A reason without what it quotes of the file, which may be a password: the first line, up to a value.
fn without_values(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let is_secret = line.contains("mongodb") || line.contains("string \"");
    if is_secret { line.split(['"', ':']).next().unwrap_or_default().to_owned() } else { line.to_owned() }
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
        let misspelt = read_file(&path).unwrap_err().to_string();
        assert!(misspelt.contains("databse") && misspelt.contains("line 1"), "{misspelt}");
        for slip in [
            "uri = 'mongodb://me:hunter2@h/'x\n",
            "uri = \"mongodb://me:hunter2@h/\ndatabase = \"a\"\n",
            "uri = \"a\"\nuri = \"mongodb://me:hunter2@h/\"\n",
            "uri: mongodb://me:hunter2@h/\n",
            "threads = \"mongodb://me:hunter2@h/\"\n",
            "threads = \"hunter2\"\n",
            "uri = mongodb://me:hunter2@h/\n",
            "hunter2 = 1\n",
        ] {
            std::fs::write(&path, slip).unwrap();
            let said = read_file(&path).unwrap_err().to_string();
            let is_name = slip.starts_with("hunter2");
            assert!(
                said.contains("statefold.toml line ") && (is_name || !said.contains("hunter2")),
                "{said}"
            );
        }
        let missing = read_file(&folder.path().join("none.toml")).unwrap_err();
        assert!(matches!(missing, Error::Config(_)));
    }

    #[test]
    fn all_settings_that_are_wrong_are_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("statefold.toml");
        let text = "databse = \"a\"\nthreads = \"two\"\n[leese]\nttl = \"1s\"\n[lease]\nttl = 3\npol = 1\n";
        std::fs::write(&path, text).unwrap();
        let Err(Error::Config(problems)) = read_file(&path) else { panic!("accepted") };
        let lines: Vec<&str> = problems.iter().filter_map(|problem| problem.split(" line ").nth(1)).collect();
        let starts: Vec<&str> = lines.iter().filter_map(|line| line.split(':').next()).collect();
        let mut sorted = starts.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ["1", "2", "3", "6", "7"], "{problems:?}");
    }
}
