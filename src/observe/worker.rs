//! A process that takes part in builds, as it is shown.

use std::collections::BTreeSet;

use metrics::gauge;
use serde::Serialize;

use crate::observe::metric;

/// A process that takes part in a build.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WorkerRow {
    /// Its id.
    pub id: String,
    /// Host it runs on.
    pub host: String,
    /// Its process id.
    pub pid: Option<u32>,
    /// Its version of statefold.
    pub version: String,
    /// Whether it leads the build.
    pub leads: bool,
    /// The build it is at work on, if any.
    pub build: Option<String>,
    /// Numbers of the partitions that it has claimed and not finished.
    pub partitions: Vec<u32>,
    /// Numbers of the parts of the event store that it reads for all.
    pub parts: Vec<u32>,
    /// Partitions it has finished.
    pub partitions_done: u64,
    /// Commits it has folded.
    pub commits: u64,
    /// Commits it folded per second since the beat before.
    pub commits_per_second: f64,
    /// Memory of its process, in bytes, where the system tells.
    pub memory_bytes: Option<u64>,
    /// When it came, in RFC 3339.
    pub since: Option<String>,
    /// Number of its last beat.
    pub beat: i64,
    /// Seconds since then, by the server's clock.
    pub last_beat_seconds: f64,
}

/// What a worker tells of itself with each beat.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct WorkerDoing {
    pub(crate) build: Option<String>,
    pub(crate) partitions: Vec<u32>,
    pub(crate) parts: Vec<u32>,
    pub(crate) partitions_done: u64,
    pub(crate) commits: u64,
    pub(crate) commits_per_second: f64,
    pub(crate) memory_bytes: Option<u64>,
}

impl WorkerRow {
    /// What it does, in a few words.
    #[must_use]
    pub fn line(&self) -> String {
        let leads = if self.leads { ", which leads" } else { "" };
        let heard = format!("last heard of {:.0} s ago", self.last_beat_seconds);
        let Some(build) = &self.build else {
            return format!("{}{leads}, waits for a build, {heard}", self.name());
        };
        let memory = self.memory_bytes.map_or_else(String::new, |bytes| format!(", {} MiB", bytes >> 20));
        format!(
            "{}{leads}, on {build}: {} ({} finished), {:.0} commits/s{memory}, {heard}",
            self.name(),
            self.tasks(),
            self.partitions_done,
            self.commits_per_second
        )
    }

    /// What it has claimed: `partitions 3 4`, or `reads parts 1 2`.
    #[must_use]
    pub fn tasks(&self) -> String {
        let (kind, numbers) = match self.parts.as_slice() {
            [] => ("partitions", &self.partitions),
            _ => ("reads parts", &self.parts),
        };
        let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        if numbers.is_empty() {
            "claims nothing now".to_owned()
        } else {
            format!("{kind} {}", numbers.join(" "))
        }
    }

    /// The process, in a few words.
    #[must_use]
    pub fn name(&self) -> String {
        match self.pid {
            Some(pid) => format!("{} (pid {pid})", self.host),
            None => self.host.clone(),
        }
    }
}

/// The workers as a leader shows them in its metrics; those that have left are shown as doing nothing.
#[derive(Debug, Default)]
pub(crate) struct WorkersShown(BTreeSet<String>);

impl WorkersShown {
    /// Shows these.
    pub(crate) fn show<'a>(&mut self, workers: impl Iterator<Item = &'a WorkerRow>) {
        let set = |worker: &str, rate: f64, done: f64, memory: f64| {
            let of = [(metric::WORKER_RATE, rate), (metric::WORKER_PARTITIONS, done)];
            for (shown, value) in of.into_iter().chain([(metric::WORKER_MEMORY, memory)]) {
                gauge!(shown.name, "worker" => worker.to_owned()).set(value);
            }
        };
        let mut here = BTreeSet::new();
        #[expect(clippy::cast_precision_loss, reason = "numbers to look at")]
        for row in workers {
            let worker = format!("{}:{}", row.host, row.pid.unwrap_or(0));
            let memory = row.memory_bytes.unwrap_or(0) as f64;
            set(&worker, row.commits_per_second, row.partitions_done as f64, memory);
            here.insert(worker);
        }
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        gauge!(metric::WORKERS.name).set(here.len() as f64);
        for gone in self.0.difference(&here) {
            set(gone, 0.0, 0.0, 0.0);
        }
        self.0.extend(here);
    }
}
