//! The right to write, for as long as a lease lasts.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::store::connection::Store;

/// The right to write under a token, for as long as the lease is known to be held.
#[derive(Debug, Clone)]
pub(crate) struct Mandate {
    /// The fencing token.
    pub(crate) token: i64,
    until: Arc<Mutex<Instant>>,
    pub(in crate::store) sessions: Arc<SessionLog>,
}

impl Mandate {
    /// A mandate until then.
    pub(crate) fn new(token: i64, until: Instant) -> Self {
        Self { token, until: Arc::new(Mutex::new(until)), sessions: Arc::default() }
    }

    /// As [`new`](Self::new), under the lease of this store.
    pub(crate) fn under(store: &Store, token: i64, until: Instant) -> Self {
        Self { sessions: Arc::new(SessionLog::at(&store.names.control_id)), ..Self::new(token, until) }
    }

    /// One that is over: to read with.
    pub(in crate::store) fn none() -> Self {
        Self::new(0, Instant::now())
    }

    /// Goes on until then.
    pub(crate) fn extend(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Ends now.
    pub(crate) fn end(&self) {
        self.extend(Instant::now());
    }

    /// Asks before each write. Reads this machine's clock: a process that was stopped and goes on
    /// learns here, at once, that its time is over.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub(crate) fn check(&self) -> Result<()> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() < until {
            return Ok(());
        }
        Err(Error::LeaseLost { token: self.token, reason: "it was not renewed in time".into() })
    }
}

/// The sessions of a holder that are noted, and where.
#[derive(Debug, Default)]
pub(in crate::store) struct SessionLog {
    /// Id of the control document with the lease; that of the store if there is none.
    pub(super) control_id: Option<String>,
    ids: Mutex<HashSet<Vec<u8>>>,
}

impl SessionLog {
    /// Nothing yet, to be noted there.
    pub(in crate::store) fn at(control_id: &str) -> Self {
        Self { control_id: Some(control_id.to_owned()), ids: Mutex::default() }
    }

    pub(super) fn ids(&self) -> std::sync::MutexGuard<'_, HashSet<Vec<u8>>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
