//! `statefold` as a process of its own: started, sent signals, waited for.

use std::fs::{File, read_to_string};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Db;
use crate::support::database::eventually;

/// A short lease, taken over only when it has run out.
pub(crate) const SHORT: &str = "ttl = \"3s\"\npoll = \"200ms\"\njudge_processes = false";
/// A lease that doesn't run out while a test runs.
pub(crate) const LONG: &str = "ttl = \"1h\"\npoll = \"200ms\"\njudge_processes = false";

/// A process at work; it is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    folder: tempfile::TempDir,
}

/// A process that ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    /// Starts the program with these arguments on a database, with a settings file that holds this
    /// table `[lease]`. It works on one partition after the other, and helps nobody: these tests count what
    /// is kept.
    pub(crate) fn start(db: &Db, arguments: &[&str], lease: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let uri = db.engine_uri();
        let settings = format!(
            "uri = \"{uri}\"\ndatabase = \"{}\"\nthreads = 1\nreaders = 1\nstrategy = \"stream\"\n\
             partitions = 6\nhelp_build = false\n[lease]\n{lease}\n",
            db.name
        );
        let file = folder.path().join("settings.toml");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_statefold"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("STATEFOLD_") || text.starts_with("MODE_") || text == "MONGODB_URI" {
                command.env_remove(&name);
            }
        }
        let output = |name: &str| File::create(folder.path().join(name)).unwrap();
        command
            .args(arguments)
            .args(["--output", "json", "--config"])
            .arg(&file)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"));
        Self { child: command.spawn().unwrap(), folder }
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(format!("-{name}")).arg(pid).status().unwrap().success());
    }

    fn printed(&self, name: &str) -> String {
        read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Waits until it has said this on standard error.
    pub(crate) async fn says(&self, text: &str) {
        eventually(text, || async { self.printed("stderr").contains(text) }).await;
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> Ended {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let (stdout, stderr) = (self.printed("stdout"), self.printed("stderr"));
                return Ended { code: status.code(), stdout, stderr };
            }
            assert!(Instant::now() < deadline, "it goes on and on: {}", self.printed("stderr"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// What it printed, after it ended with this exit code.
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// What was built of a projection, in the outcome of a leader.
pub(crate) fn built<'a>(outcome: &'a Value, projection: &str) -> &'a Value {
    let all = outcome["report"]["projections"].as_array().unwrap_or_else(|| panic!("{outcome}"));
    all.iter().find(|one| one["projection"] == projection).unwrap_or_else(|| panic!("{outcome}"))
}
