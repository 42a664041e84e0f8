//! Lines of the log that several steps of a run write.

use std::time::Instant;

use crate::lifecycle::HeadsDifference;

/// The indexes of a build are there.
pub(super) fn indexed(build: &str, began: Instant) {
    tracing::info!(%build, seconds = began.elapsed().as_secs_f64(), "indexed");
}

/// The heads of a build were compared with the event store.
pub(super) fn checked(build: &str, difference: &HeadsDifference, milliseconds: i64) {
    let HeadsDifference { moved, new_streams, gone, .. } = difference;
    tracing::info!(%build, moved, new_streams, gone, milliseconds, "checked");
}
