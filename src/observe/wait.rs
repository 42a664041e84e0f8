//! What a run may wait for.

/// What a run may wait for, in the metrics; in words it is in the progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Another process, which holds the lease.
    Lease,
    /// The application's migration lock.
    Lock,
    /// Running servers, which can't read the new version.
    Servers,
    /// An active generation that can be followed.
    Generation,
    /// A build that is open to workers.
    Build,
    /// The end of a pause.
    Paused,
    /// Replication, which is behind.
    Lag,
    /// Batches that take long to be written.
    Throttle,
}

impl Wait {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Lease,
        Self::Lock,
        Self::Servers,
        Self::Generation,
        Self::Build,
        Self::Paused,
        Self::Lag,
        Self::Throttle,
    ];

    /// Its name in the metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Lock => "lock",
            Self::Servers => "servers",
            Self::Generation => "generation",
            Self::Build => "build",
            Self::Paused => "paused",
            Self::Lag => "lag",
            Self::Throttle => "throttle",
        }
    }

    /// Whether it is the governor that holds the run, beside whatever else it waits for.
    pub(super) fn is_hold(self) -> bool {
        matches!(self, Self::Paused | Self::Lag | Self::Throttle)
    }
}
