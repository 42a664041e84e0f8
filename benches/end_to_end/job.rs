//! One contender in a process of its own: what it is told, what it answers.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::meter::{Measured, peak_memory_mb};
use crate::{Result, aggregation, database, read, squidex, statefold, write};

/// What to do, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) uri: String,
    pub(crate) database: String,
    pub(crate) task: Task,
}

/// What to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Read the events and drop them.
    Read { ranges: u32, batch: u32 },
    /// Write the snapshots that are there already.
    Write { raw_command: bool },
    /// Run statefold.
    Statefold { strategy: String, memory: Option<String> },
    /// Do what Squidex's rebuilder does.
    Squidex { batch: usize, indexes: bool },
    /// Run the Python script.
    Pymongo { python: PathBuf, indexes: bool },
    /// Let the server do it.
    Aggregation,
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Outcome {
    /// The whole of it.
    pub(crate) seconds: f64,
    /// Parts of it, in seconds.
    pub(crate) parts: BTreeMap<String, f64>,
    pub(crate) server_cpu_seconds: f64,
    pub(crate) client_cpu_seconds: f64,
    pub(crate) client_peak_mb: f64,
    /// Events folded, where any were.
    pub(crate) events: u64,
    /// Commits read or snapshots written.
    pub(crate) documents: u64,
    /// Where the snapshots are.
    pub(crate) collection: Option<String>,
}

impl Outcome {
    /// What this process took.
    pub(crate) fn of(measured: &Measured) -> Self {
        Self {
            seconds: measured.seconds,
            server_cpu_seconds: measured.server_cpu_seconds,
            client_cpu_seconds: measured.client_cpu_seconds,
            client_peak_mb: peak_memory_mb("self").unwrap_or_default(),
            ..Self::default()
        }
    }

    /// A part of the time.
    pub(crate) fn part(&self, name: &str) -> f64 {
        self.parts.get(name).copied().unwrap_or_default()
    }
}

impl Job {
    /// Does it, in this process.
    ///
    /// # Errors
    /// Whatever goes wrong: a contender that fails is no result.
    pub(crate) async fn work(self) -> Result<Outcome> {
        let db = database::connect(&self.uri, &self.database).await?;
        match &self.task {
            Task::Read { ranges, batch } => read::work(&db, *ranges, *batch).await,
            Task::Write { raw_command } => write::work(&db, *raw_command).await,
            Task::Statefold { strategy, memory } => {
                statefold::work(&self, database::server_pid(&db).await?, strategy, memory.as_deref())
            }
            Task::Squidex { batch, indexes } => squidex::work(&db, *batch, *indexes).await,
            Task::Aggregation => aggregation::work(&db).await,
            Task::Pymongo { .. } => Err("the script is a process of its own".into()),
        }
    }

    /// Does it in a new process, and waits for it.
    ///
    /// # Errors
    /// If the process fails, with what it said.
    pub(crate) fn spawn(&self, server: u32) -> Result<Outcome> {
        let mut command = match &self.task {
            Task::Pymongo { python, indexes } => {
                let mut command = Command::new(python);
                command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pymongo/rebuild.py"));
                command.args(["--uri", &self.uri, "--database", &self.database]);
                command.args(["--server-pid", &server.to_string()]);
                command.args(indexes.then_some("--indexes"));
                command
            }
            _ => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("job").arg(serde_json::to_string(self)?);
                command
            }
        };
        let output = command.stdin(Stdio::null()).output()?;
        let _ = std::io::stderr().write_all(&output.stderr);
        if !output.status.success() {
            return Err(format!("{:?} ended with {}", self.task, output.status).into());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.trim().lines().last().unwrap_or_default();
        serde_json::from_str(line).map_err(|error| format!("{:?} said {line:?}: {error}", self.task).into())
    }
}
