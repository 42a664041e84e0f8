//! Settings of clean-up.

use std::time::Duration;

/// How much clean-up keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanupSettings {
    /// Generations that are kept beside the active one, to roll back to; 1 by default.
    pub keep: usize,
    /// How long a generation is kept at least after readers left it.
    pub keep_for: Option<Duration>,
    /// What has been eligible for so long is dropped at the end of each rebuild or migration. By default
    /// nothing is dropped by itself.
    pub after: Option<Duration>,
}

impl Default for CleanupSettings {
    fn default() -> Self {
        Self { keep: 1, keep_for: None, after: None }
    }
}
