//! The outcome of one contender: its times, its resources, its counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::meter::{Measured, peak_memory_mb};

/// The measurement of one run of a contender.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Outcome {
    /// Time of the measured part.
    pub(crate) seconds: f64,
    /// Times of its named parts, in seconds.
    pub(crate) parts: BTreeMap<String, f64>,
    pub(crate) server_cpu_seconds: f64,
    pub(crate) client_cpu_seconds: f64,
    pub(crate) client_peak_mb: f64,
    /// Events folded; 0 for a contender that folds none.
    pub(crate) events: u64,
    /// Commits read or snapshots written.
    pub(crate) documents: u64,
    /// Collection the snapshots were written to.
    pub(crate) collection: Option<String>,
}

impl Outcome {
    /// The measured times and CPU seconds, with the peak memory of this process.
    pub(crate) fn of(measured: &Measured) -> Self {
        Self {
            seconds: measured.seconds,
            server_cpu_seconds: measured.server_cpu_seconds,
            client_cpu_seconds: measured.client_cpu_seconds,
            client_peak_mb: peak_memory_mb("self").unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Seconds of a named part; 0 if there is no such part.
    pub(crate) fn part(&self, name: &str) -> f64 {
        self.parts.get(name).copied().unwrap_or_default()
    }
}
