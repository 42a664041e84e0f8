//! The claims that a process has in a build: which partitions it builds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bson::{Document, doc};

/// The claims of this process in one build.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(in crate::store) worker: String,
    held: Mutex<HashMap<u32, i64>>,
}

impl Claims {
    /// No claims yet, of the worker with this id.
    pub(crate) fn of(worker: &str) -> Self {
        Self { worker: worker.to_owned(), held: Mutex::default() }
    }

    /// The condition that a partition is still claimed by this process.
    pub(in crate::store) fn condition(&self, partition: u32) -> Document {
        doc! { "Claim.Worker": &self.worker, "Claims": self.number(partition), "Open": true }
    }

    /// Number of the claim of a partition; without one, a number that nothing has.
    pub(in crate::store) fn number(&self, partition: u32) -> i64 {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&partition).copied().unwrap_or(-1)
    }

    /// The partitions that are claimed and not given back.
    pub(crate) fn partitions(&self) -> Vec<u32> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut partitions: Vec<u32> = held.keys().copied().collect();
        partitions.sort_unstable();
        partitions
    }

    /// Whether this process has claimed a partition, and not finished it.
    pub(crate) fn holds(&self, partition: u32) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&partition)
    }

    pub(in crate::store) fn hold(&self, partition: u32, number: i64) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, number);
    }

    /// Forgets a claim: the partition is finished.
    pub(in crate::store) fn release(&self, partition: u32) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }
}

/// A partition that isn't finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// Number of the partition.
    pub(crate) partition: u32,
    /// How often it was claimed.
    pub(crate) claims: i64,
    /// The worker that has claimed it last.
    pub(crate) worker: Option<String>,
}
