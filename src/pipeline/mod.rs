//! Moves commits from the event store through the fold into staging: tasks, channels, cancellation.
//!
//! It sees the outside only through [`ports`]; it never names a driver, and decides nothing that
//! `plan` or `lifecycle` can decide. Invariant: every channel is bounded, and after the first error
//! nothing more is written.

mod build;
mod check;
mod partition;
pub mod ports;
mod workers;

pub(crate) use build::{Job, PartitionsDone, run};
pub(crate) use check::{check, check_partition, recorded_heads_sum, stored_heads_sum};
pub(crate) use workers::Workers;
