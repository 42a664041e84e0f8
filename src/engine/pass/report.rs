//! Plan and actual costs of one pass over the event store.

use serde::Serialize;

use crate::plan::{Choice, Estimate, Strategy};

/// A pass over the event store: how it was planned, and what it took.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PassReport {
    /// Strategy by which the event store was read.
    pub strategy: Strategy,
    /// Why that strategy was chosen.
    pub reason: String,
    /// How the event store was divided among readers; absent in stream order.
    pub divided_by: Option<String>,
    /// Expected time for reading, folding and writing, in seconds.
    pub planned_seconds: f64,
    /// Time that it took, in seconds; without the time for which it was paused or waited for secondaries.
    pub seconds: f64,
    /// That time, in seconds.
    pub held_seconds: f64,
    /// Part of that time until everything was read (and folded, or spilled), in seconds; 0 in stream order.
    pub read_seconds: f64,
    /// Memory that all states together were expected to need, in bytes; 0 if only a few are in memory at a
    /// time.
    pub planned_memory_bytes: u64,
    /// Peak memory of states and waiting commits together, as counted, in bytes; 0 in stream order.
    pub memory_bytes: u64,
    /// Size of the spill file, in bytes.
    pub spilled_bytes: u64,
    /// Expected number of snapshots.
    pub planned_snapshots: u64,
}

impl PassReport {
    pub(crate) fn planned(choice: &Choice, estimates: &[Estimate]) -> Self {
        Self {
            strategy: choice.strategy,
            reason: choice.reason.clone(),
            planned_seconds: estimates.iter().map(|estimate| estimate.seconds).sum(),
            planned_memory_bytes: match choice.strategy {
                Strategy::Natural => estimates.iter().map(|estimate| estimate.state_bytes).sum(),
                Strategy::Spill | Strategy::Stream | Strategy::Exchange => 0,
            },
            planned_snapshots: estimates.iter().map(|estimate| estimate.snapshots).sum(),
            divided_by: None,
            seconds: 0.0,
            held_seconds: 0.0,
            read_seconds: 0.0,
            memory_bytes: 0,
            spilled_bytes: 0,
        }
    }
}
