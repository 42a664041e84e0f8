//! Settings of builds that several processes share.

/// How a build is shared with other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharing {
    /// Number of processes that are expected to build together, the leader included. With more than one the
    /// event store is read in stream order, by ranges of streams that each worker claims one at a time.
    pub workers: u32,
    /// Whether a leader leaves all partitions to workers.
    pub lead_only: bool,
    /// Whether a server that waits for the leader of a migration takes part in the build meanwhile.
    pub help_build: bool,
    /// Whether the server may be a router of a sharded cluster, on which no release was ever run.
    pub sharded_cluster: bool,
}

impl Default for Sharing {
    fn default() -> Self {
        Self { workers: 1, lead_only: false, help_build: true, sharded_cluster: false }
    }
}

impl Sharing {
    /// What doesn't fit together, as sentences.
    #[must_use]
    pub(crate) fn problems(&self) -> Vec<String> {
        let is_wrong = self.workers == 0 || self.workers > WORKERS_MAX;
        let wrong = is_wrong.then(|| format!("workers must be between 1 and {WORKERS_MAX}"));
        wrong.into_iter().collect()
    }
}

/// More processes than any server could serve.
const WORKERS_MAX: u32 = 1000;
