//! Settings of throttling, in favour of the live system.

use std::time::Duration;

/// Settings of throttling: when a run waits for the live system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throttle {
    /// Limit of replication lag: writing waits while that of the slowest secondary is larger; `None` never
    /// waits. By default 10 s.
    pub max_lag: Option<Duration>,
    /// Time to write a batch: writing pauses while the median of the latest batches is longer.
    pub throttle: Option<Duration>,
    /// Whether to begin although disk or oplog may not suffice.
    pub ignore_margin: bool,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { max_lag: Some(Duration::from_secs(10)), throttle: None, ignore_margin: false }
    }
}
