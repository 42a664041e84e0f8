//! Results of a run: all measurements, stored as one JSON file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bar::Bar;
use crate::error::Result;
use crate::machine::{Machine, Versions};
use crate::outcome::Outcome;
use crate::rows::Row;

/// The results of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) fixture: Fixture,
    pub(crate) cache_gb: f64,
    pub(crate) rounds: u32,
    /// Strategy that counts as statefold's default.
    pub(crate) default_strategy: String,
    pub(crate) memory: Option<String>,
    pub(crate) machine: Machine,
    pub(crate) versions: Versions,
    /// Variants of the read floor that were tried before the rounds, with their seconds.
    pub(crate) read_variants: Vec<(String, f64)>,
    /// The variant that was measured.
    pub(crate) read_floor: String,
    /// Comparison with the reference, by contender; only of those that are compared.
    pub(crate) compared: BTreeMap<String, String>,
    /// All outcomes by contender, in the order of the rounds.
    pub(crate) outcomes: BTreeMap<String, Vec<Outcome>>,
    /// Rows of the tables, computed from the outcomes.
    pub(crate) rows: Vec<Row>,
    pub(crate) bars: Vec<Bar>,
}

/// The event store that was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fixture {
    pub(crate) commits: u64,
    pub(crate) seed: i64,
    /// Commits under the prefix of the projection, including those of streams it leaves out.
    pub(crate) prefix_commits: u64,
    /// Events of the projection.
    pub(crate) events: u64,
    pub(crate) snapshots: u64,
}

impl Results {
    /// File name of a run.
    fn name(&self) -> String {
        format!("end-to-end-{}-cache-{}gb.json", self.fixture.commits, self.cache_gb)
    }

    /// Writes the file and returns its path.
    ///
    /// # Errors
    /// An error of the file system.
    pub(crate) fn save(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let path = folder.join(self.name());
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(path)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If the file can't be read, or isn't such a file.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    /// A row by its group and name.
    pub(crate) fn row(&self, group: &str, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.group == group && row.name == name)
    }

    /// The row of statefold's default strategy.
    pub(crate) fn own(&self, group: &str) -> Option<&Row> {
        self.row(group, &format!("statefold {}", self.default_strategy))
    }
}
