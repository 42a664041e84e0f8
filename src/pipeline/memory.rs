//! How much memory the folds of one pass use together, against the budget.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory of several users, in bytes. Each tells what it uses; nothing is measured here.
#[derive(Debug)]
pub(crate) struct Memory {
    users: Vec<AtomicUsize>,
    peak: AtomicUsize,
    budget: usize,
}

impl Memory {
    /// For so many users together.
    pub(crate) fn new(users: usize, budget: usize) -> Self {
        Self { users: (0..users).map(|_| AtomicUsize::new(0)).collect(), peak: AtomicUsize::new(0), budget }
    }

    /// Notes what a user uses now, and returns by how much all together are over the budget.
    pub(crate) fn uses(&self, user: usize, bytes: usize) -> usize {
        if let Some(slot) = self.users.get(user) {
            slot.store(bytes, Ordering::Relaxed);
        }
        let all: usize = self.users.iter().map(|one| one.load(Ordering::Relaxed)).sum();
        self.peak.fetch_max(all, Ordering::Relaxed);
        all.saturating_sub(self.budget)
    }

    /// The most there was at a time.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// What all together may use.
    pub(crate) fn budget(&self) -> usize {
        self.budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_counts_not_one() {
        let memory = Memory::new(2, 100);
        assert_eq!((memory.uses(0, 60), memory.uses(1, 60), memory.uses(0, 10)), (0, 20, 0));
        assert_eq!(memory.peak(), 120);
    }
}
