//! The pauses between two attempts.

use std::time::Duration;

use backon::ExponentialBuilder;

pub(crate) const RETRIES: usize = 6;

/// The pauses before what failed for a transient reason is tried again: an election takes some seconds.
pub(crate) fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(RETRIES)
}
