//! The memory that the folds of one pass use together, against the budget.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory of several users, in bytes. Each user reports its own; nothing is measured here.
#[derive(Debug)]
pub(crate) struct Memory {
    users: Vec<AtomicUsize>,
    peak: AtomicUsize,
    budget: usize,
}

impl Memory {
    /// A count for this many users, who share a budget.
    pub(crate) fn new(users: usize, budget: usize) -> Self {
        Self { users: (0..users).map(|_| AtomicUsize::new(0)).collect(), peak: AtomicUsize::new(0), budget }
    }

    /// Notes the memory a user has now, and returns by how much all together exceed the budget.
    pub(crate) fn uses(&self, user: usize, bytes: usize) -> usize {
        if let Some(slot) = self.users.get(user) {
            slot.store(bytes, Ordering::Relaxed);
        }
        let all: usize = self.users.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum();
        self.peak.fetch_max(all, Ordering::Relaxed);
        all.saturating_sub(self.budget)
    }

    /// The most memory that was in use at any time.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Memory that all users together may have.
    pub(crate) fn budget(&self) -> usize {
        self.budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_all_users_counts() {
        let memory = Memory::new(2, 100);
        assert_eq!((memory.uses(0, 60), memory.uses(1, 60), memory.uses(0, 10)), (0, 20, 0));
        assert_eq!(memory.peak(), 120);
    }
}
