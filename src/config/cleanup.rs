//! Settings of clean-up.

use std::time::Duration;

/// Settings of clean-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanupSettings {
    /// Generations that are kept beside the active one, to roll back to; 1 by default.
    pub keep: usize,
    /// Minimum time a generation is kept after readers left it.
    pub keep_for: Option<Duration>,
    /// Time after which eligible collections and records are dropped at the end of each rebuild or
    /// migration. By default nothing is dropped automatically.
    pub after: Option<Duration>,
}

impl Default for CleanupSettings {
    fn default() -> Self {
        Self { keep: 1, keep_for: None, after: None }
    }
}
