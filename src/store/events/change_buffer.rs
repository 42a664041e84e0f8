//! The changes that were seen in the event store, until the feed's user takes them.

use std::sync::{Mutex, PoisonError};

use bson::Timestamp;
use tokio::sync::Notify;

use crate::error::Error;
use crate::lifecycle::Dirty;

/// Memory for the names of dirty streams of one projection.
const DIRTY_BYTES: usize = 64 * 1024 * 1024;

/// The changes seen so far: filled by the task that reads the change stream, emptied by the feed's user.
pub(in crate::store) struct ChangeBuffer {
    state: Mutex<State>,
    /// Woken after each update.
    pub(in crate::store) changed: Notify,
}

/// The state of the feed.
pub(in crate::store) struct State {
    /// Dirty streams, one set for each projection.
    pub(in crate::store) dirty: Vec<Dirty>,
    /// The time up to which all changes were seen.
    pub(in crate::store) position: Timestamp,
    /// Fences of a cut-over whose raising was seen.
    pub(in crate::store) fenced: u64,
    /// Whether no more changes will come.
    pub(in crate::store) ended: bool,
    /// The reason of the end, until it is reported.
    pub(in crate::store) failed: Option<Error>,
}

impl ChangeBuffer {
    /// An empty buffer for so many projections, at this position.
    pub(in crate::store) fn new(projections: usize, since: Timestamp) -> Self {
        let dirty = (0..projections).map(|_| Dirty::new(DIRTY_BYTES)).collect();
        let state = State { dirty, position: since, fenced: 0, ended: false, failed: None };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Changes the state and wakes all who wait for a change.
    pub(in crate::store) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
        result
    }

    /// Reads the state.
    pub(in crate::store) fn look<T>(&self, at: impl FnOnce(&State) -> T) -> T {
        at(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the feed with an error.
    pub(in crate::store) fn fail(&self, error: Error) {
        self.update(|state| {
            state.failed = Some(error);
            state.ended = true;
        });
    }
}
