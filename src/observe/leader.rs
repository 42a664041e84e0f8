//! The leader, as a value that followers, health checks and the lock report share.

use serde::Serialize;

/// The work of a leader, as it reported it with its last renewal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Doing {
    /// Name of the projection.
    pub projection: String,
    /// Phase of the run.
    pub phase: String,
    /// Done share of this phase, in percent.
    pub percent: u8,
    /// Commits read in this phase.
    pub commits: u64,
    /// Commits to read in this phase, as counted when planning; 0 if it reads none.
    pub commits_planned: u64,
    /// Time left in this phase, in seconds, as far as it can be told.
    pub eta_seconds: Option<u64>,
    /// The reason why it reads and writes nothing for now, in words.
    pub held: Option<String>,
}

impl Doing {
    /// In words: `Assets building 43 %, 12 s left`.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = format!("{} {}", self.projection, self.phase);
        if self.percent > 0 {
            line.push_str(&format!(" {} %", self.percent));
        }
        if let Some(reason) = &self.held {
            line.push_str(&format!(", waiting: {reason}"));
        } else if let Some(eta) = self.eta_seconds {
            line.push_str(&format!(", {eta} s left"));
        }
        line.trim().to_owned()
    }
}

/// The holder of the lease.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Leader {
    /// Its name, unique per attempt to lead.
    pub owner: String,
    /// Its host.
    pub host: String,
    /// Its process id.
    pub pid: Option<u32>,
    /// Version of its statefold.
    pub version: String,
    /// Its fencing token.
    pub token: i64,
    /// Number of its renewals.
    pub beat: i64,
    /// The time it has led since, in RFC 3339.
    pub since: Option<String>,
    /// Seconds since its last renewal, by the server's clock.
    pub last_beat_seconds: f64,
    /// The deployment it belongs to, where known.
    pub deployment: Option<String>,
    /// Whether that deployment is certainly not the one of this process: the lease was copied together with
    /// a database.
    pub foreign: bool,
    /// Its work.
    pub doing: Doing,
}

impl Leader {
    /// Its host and process, in words.
    #[must_use]
    pub fn name(&self) -> String {
        let pid = self.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
        let mut name = format!("{}{pid}", self.host);
        if self.foreign {
            let deployment = self.deployment.as_deref().unwrap_or("?");
            name.push_str(&format!(
                " of the deployment {deployment}, which is not this one: this database is a restored copy"
            ));
        }
        name
    }

    /// Its host, process, token and work, in words.
    #[must_use]
    pub fn line(&self) -> String {
        let since = self.since.as_deref().unwrap_or("an unknown time");
        let (name, token, ago) = (self.name(), self.token, self.last_beat_seconds.max(0.0));
        let doing = self.doing.line();
        let doing = if doing.is_empty() { "not yet saying what it does".to_owned() } else { doing };
        format!("{name}, token {token}, since {since}, last heard of {ago:.0} s ago, {doing}")
    }
}
