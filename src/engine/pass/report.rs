//! What one pass over the event store took.

use serde::Serialize;

use crate::plan::{Choice, Estimate, Strategy};

/// The pass over the event store: plan and reality.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PassReport {
    /// How the event store was read.
    pub strategy: Strategy,
    /// Why.
    pub reason: String,
    /// How it was divided; absent in stream order.
    pub divided_by: Option<String>,
    /// Time that was expected for reading, folding and writing, in seconds.
    pub planned_seconds: f64,
    /// Time it took.
    pub seconds: f64,
    /// Time of that until everything was read (and folded, or spilled); 0 in stream order.
    pub read_seconds: f64,
    /// Memory the states were expected to need together, in bytes; 0 where there are only a few at a
    /// time.
    pub planned_memory_bytes: u64,
    /// The most that states and waiting commits needed together, as counted; 0 in stream order.
    pub memory_bytes: u64,
    /// Size of the spill file, in bytes.
    pub spilled_bytes: u64,
    /// Snapshots that were expected.
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
                Strategy::Spill | Strategy::Stream => 0,
            },
            planned_snapshots: estimates.iter().map(|estimate| estimate.snapshots).sum(),
            divided_by: None,
            seconds: 0.0,
            read_seconds: 0.0,
            memory_bytes: 0,
            spilled_bytes: 0,
        }
    }
}
