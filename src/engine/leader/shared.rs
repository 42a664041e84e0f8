//! State that a leader and the keeper of its lease share.

use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::observe::Progress;
use crate::store::{Lock, Mandate, Owner, Store};

/// State that a leader and the keeper of its lease share.
pub(crate) struct HeldLease {
    pub(super) store: Store,
    pub(super) owner: Owner,
    pub(super) mandate: Mandate,
    pub(super) cancel: CancellationToken,
    pub(super) lost: OnceLock<String>,
    pub(super) lock: Mutex<Option<Arc<Lock>>>,
    pub(super) progress: watch::Receiver<Progress>,
}
