//! Everything that a terminal or a program sees: output, tables, progress, logs, signals, metrics.

pub(super) mod logging;
pub(super) mod metrics;
pub(super) mod output;
pub(super) mod progress;
pub(super) mod signals;
pub(super) mod table;
pub(super) mod watch;
