//! What all steps of a run share.

use std::sync::Arc;

use statefold_projections::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::leader::Leadership;
use crate::engine::run::request::{Rebuild, Task};
use crate::observe::Progress;
use crate::pipeline::{Governor, Workers};
use crate::store::{Direction, Mandate, Store};

/// What all steps of a run share.
pub(crate) struct Run {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) settings: Settings,
    pub(crate) direction: Direction,
    /// Whether there is an event store.
    pub(crate) has_events: bool,
    pub(crate) leadership: Arc<Leadership>,
    pub(crate) mandate: Mandate,
    pub(crate) lock: LockFor,
    pub(crate) publishing: Publishing,
    /// What was asked for.
    pub(crate) request: Rebuild,
    pub(crate) task: Task,
    pub(crate) workers: Arc<Workers>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) cancel: CancellationToken,
    pub(crate) governor: Governor,
}

/// What the lock of the version document is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockFor {
    /// Only for the cut-over: servers of the application may start meanwhile.
    CutOver,
    /// For the whole run; whoever began it holds it already.
    Run,
}

/// When what is finished is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publishing {
    /// All projections at once, or none.
    Together,
    /// Each as soon as it is finished.
    Each,
}
