//! A job: one contender in a process of its own, told what to do as JSON and answering with its outcome.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::outcome::Outcome;

/// A task and the database it works on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) uri: String,
    pub(crate) database: String,
    pub(crate) task: Task,
}

/// The work of a contender.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Read the events and drop them.
    Read { ranges: u32, batch: u32 },
    /// Write the snapshots of the reference.
    Write { raw_command: bool },
    /// Run statefold.
    Statefold { strategy: String, memory: Option<String> },
    /// Rebuild with the algorithm of Squidex.
    Squidex { batch: usize, indexes: bool },
    /// Run the Python script.
    Pymongo { python: PathBuf, indexes: bool },
    /// Fold on the server, by an aggregation.
    Aggregation,
    /// Read the commits of these projections, and write and index what was built of them: the floor.
    Floor { projections: Vec<String> },
    /// Run statefold on these projections.
    Kinds { projections: Vec<String>, memory: Option<String> },
}

impl Job {
    /// Runs the job in a new process and waits for its end.
    ///
    /// # Errors
    /// If the process fails, or prints no outcome.
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
