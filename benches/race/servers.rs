//! The servers: processes of this program that migrate, and the blow that each got.

use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::args::{Args, Result, VERSION};

/// A disturbance of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    /// SIGKILL
    Kill,
    /// SIGTERM
    Terminate,
    /// SIGSTOP, and SIGCONT later
    Stop,
}

impl Blow {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "killed",
            Self::Terminate => "terminated",
            Self::Stop => "stopped",
        }
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) blow: Option<Blow>,
    log: String,
}

/// The end of a server.
pub(crate) enum Ended {
    /// It reported that the database is at its version.
    Done,
    /// It was ended by the blow.
    ByBlow,
    /// It ended in any other way.
    Unexpected(String),
}

impl Server {
    /// Starts a server of a release.
    pub(crate) fn start(args: &Args, database: &str, version: u32, number: usize) -> Result<Self> {
        let log = args.logs.join(format!("v{version}-{number}.log"));
        let settings = args.logs.join("statefold.toml");
        let child = Command::new(std::env::current_exe()?)
            .args(["migrate", "--log-format", "json", "--config"])
            .arg(settings)
            // Slow enough to be disturbed.
            .args(["--threads", "1", "--readers", "1", "--batch-commits", "50", "--batch-docs", "10"])
            .args(["--partitions", "12", "--strategy", "stream"])
            .args([
                "--uri",
                &args.uri,
                "--database",
                database,
                "--lease-ttl",
                &args.ttl,
                "--poll",
                &args.poll,
            ])
            .env(VERSION, version.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        Ok(Self { child, blow: None, log: log.display().to_string() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let done = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status()?;
        if done.success() { Ok(()) } else { Err(format!("SIG{name} could not be sent").into()) }
    }

    /// Reason of its end; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Result<Option<Ended>> {
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        Ok(Some(self.judge(status)))
    }

    fn judge(&self, status: ExitStatus) -> Ended {
        match (status.code(), self.blow) {
            (Some(0), _) => Ended::Done,
            (Some(130), Some(Blow::Terminate)) | (None, Some(Blow::Kill)) => Ended::ByBlow,
            _ => Ended::Unexpected(format!("{status}, see {}", self.log)),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
