//! Settings of politeness to the live system.

use std::time::Duration;

/// How a run makes way for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throttle {
    /// Writing waits while the worst secondary is further behind; `None` never waits. By default 10 s.
    pub max_lag: Option<Duration>,
    /// Writing pauses while a batch takes longer than this, by the median of the latest.
    pub throttle: Option<Duration>,
    /// Begin although disk or oplog may not suffice.
    pub ignore_margin: bool,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { max_lag: Some(Duration::from_secs(10)), throttle: None, ignore_margin: false }
    }
}
