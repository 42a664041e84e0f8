//! The pauses between two attempts.

use std::time::Duration;

use backon::ExponentialBuilder;

/// Attempts after the first one.
pub(crate) const RETRIES: usize = 6;

/// The pauses before a transient failure is retried: an election takes some seconds.
pub(crate) fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(RETRIES)
}
