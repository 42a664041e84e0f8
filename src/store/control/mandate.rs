//! The right to write, for as long as a lease lasts.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::store::connection::Store;
use crate::store::control::clock::BootInstant;

/// The right to write under a token, for as long as the lease is known to be held.
#[derive(Debug, Clone)]
pub(crate) struct Mandate {
    /// The fencing token.
    pub(crate) token: i64,
    until: Arc<Mutex<BootInstant>>,
    pub(in crate::store) sessions: Arc<SessionLog>,
}

impl Mandate {
    /// A mandate that expires at `until`, with the sessions noted in the store's own control document.
    pub(crate) fn new(token: i64, until: BootInstant) -> Self {
        Self { token, until: Arc::new(Mutex::new(until)), sessions: Arc::default() }
    }

    /// A mandate that expires at `until`, under the lease of this store.
    pub(crate) fn under(store: &Store, token: i64, until: BootInstant) -> Self {
        Self { sessions: Arc::new(SessionLog::at(&store.names.control_id)), ..Self::new(token, until) }
    }

    /// An expired mandate, for read-only use.
    pub(in crate::store) fn none() -> Self {
        Self::new(0, BootInstant::now())
    }

    /// The mandate for another token: it lasts as long as this one.
    pub(crate) fn with_token(&self, token: i64) -> Self {
        Self { token, ..self.clone() }
    }

    /// Extends the mandate until `until`.
    pub(crate) fn extend(&self, until: BootInstant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Ends the mandate now.
    pub(crate) fn end(&self) {
        self.extend(BootInstant::now());
    }

    /// Checks that the mandate hasn't expired: to be called before each write. It reads this machine's
    /// clock, so that a process that was suspended learns at once when it resumes that its time is over.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if it has expired.
    pub(crate) fn check(&self) -> Result<()> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if BootInstant::now() < until {
            return Ok(());
        }
        Err(Error::LeaseLost { token: self.token, reason: "it was not renewed in time".into() })
    }
}

/// The noted sessions of a holder of the lease, and the control document they are noted in.
#[derive(Debug, Default)]
pub(in crate::store) struct SessionLog {
    /// Id of that control document; `None` means the one of the store.
    pub(super) control_id: Option<String>,
    ids: Mutex<HashSet<Vec<u8>>>,
}

impl SessionLog {
    /// An empty log for the control document with this id.
    pub(in crate::store) fn at(control_id: &str) -> Self {
        Self { control_id: Some(control_id.to_owned()), ids: Mutex::default() }
    }

    pub(super) fn ids(&self) -> std::sync::MutexGuard<'_, HashSet<Vec<u8>>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
