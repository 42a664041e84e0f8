//! The claims that a process has in a build: which parts it reads, and which partitions it builds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bson::{Document, doc};

use crate::pipeline::ports::Part;

/// What one process claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Task {
    /// To read the part of the natural order with this number.
    Read(u32),
    /// To build the partition with this number.
    Build(u32),
}

impl Task {
    /// The part that is read.
    pub(crate) fn part(self) -> Option<u32> {
        match self {
            Self::Read(part) => Some(part),
            Self::Build(_) => None,
        }
    }

    /// The partition that is built.
    pub(crate) fn partition(self) -> Option<u32> {
        match self {
            Self::Build(partition) => Some(partition),
            Self::Read(_) => None,
        }
    }
}

/// The claims of this process in one build.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(in crate::store) worker: String,
    held: Mutex<HashMap<Task, i64>>,
    taken: AtomicBool,
}

impl Claims {
    /// No claims yet, of the worker with this id.
    pub(crate) fn of(worker: &str) -> Self {
        Self { worker: worker.to_owned(), held: Mutex::default(), taken: AtomicBool::new(false) }
    }

    /// The condition that a task is still claimed by this process.
    pub(in crate::store) fn condition(&self, task: Task) -> Document {
        doc! { "Claim.Worker": &self.worker, "Claims": self.number(task), "Open": true }
    }

    /// Number of the claim of a task; without one, a number that nothing has.
    pub(in crate::store) fn number(&self, task: Task) -> i64 {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&task).copied().unwrap_or(-1)
    }

    /// What is claimed and not given back.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tasks: Vec<Task> = held.keys().copied().collect();
        tasks.sort_unstable();
        tasks
    }

    /// Whether anything was ever claimed.
    pub(crate) fn were_taken(&self) -> bool {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether this process has claimed a task, and not finished it.
    pub(crate) fn holds(&self, task: Task) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&task)
    }

    pub(in crate::store) fn hold(&self, task: Task, number: i64) {
        self.taken.store(true, Ordering::Relaxed);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(task, number);
    }

    /// Forgets a claim: the task is finished.
    pub(in crate::store) fn release(&self, task: Task) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&task);
    }
}

/// A task that isn't finished.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unfinished {
    /// The task.
    pub(crate) task: Task,
    /// The part to read, if it is that.
    pub(crate) part: Option<Part>,
    /// How often it was claimed.
    pub(crate) claims: i64,
    /// The worker that has claimed it last.
    pub(crate) worker: Option<String>,
    /// How often a worker failed at it.
    pub(crate) failures: i64,
    /// What the last of these said.
    pub(crate) failure: Option<String>,
}
