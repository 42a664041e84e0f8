//! Streams that are worth folding once more, because a fault is likelier there than elsewhere.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Most names that are kept.
const NAMES_MAX: usize = 2000;

/// The longest stream of each partition, and streams that were folded in another order than the others.
#[derive(Debug, Default)]
pub(crate) struct Notable(Mutex<BTreeSet<String>>);

impl Notable {
    /// Notes streams, as long as there are not too many.
    pub(crate) fn note(&self, names: impl IntoIterator<Item = String>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = NAMES_MAX.saturating_sub(kept.len());
        kept.extend(names.into_iter().take(left));
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
