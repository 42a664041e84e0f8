//! What all steps of a run share, and the one way to begin a run.

use std::sync::Arc;

use statefold_projections::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::leader::Leadership;
use crate::engine::run::limits::govern;
use crate::engine::run::request::Rebuild;
use crate::error::Result;
use crate::observe::Progress;
use crate::pipeline::{Governor, Workers};
use crate::store::{IndexDirection, Mandate, Store};

/// What a run begins with.
pub(crate) struct Begun<'a> {
    /// The connected database.
    pub(crate) store: &'a Store,
    /// All registered projections.
    pub(crate) registry: &'a Registry,
    /// The settings.
    pub(crate) settings: &'a Settings,
    /// Direction of the event store's stream index; `None` if there is no event store yet.
    pub(crate) direction: Option<IndexDirection>,
    /// Where progress is shown.
    pub(crate) progress: &'a watch::Sender<Progress>,
}

/// What all steps of a run share.
pub(crate) struct Run {
    pub(super) store: Store,
    pub(super) registry: Registry,
    pub(super) settings: Settings,
    pub(super) direction: IndexDirection,
    /// Whether there is an event store.
    pub(super) has_events: bool,
    pub(super) leadership: Arc<Leadership>,
    pub(super) mandate: Mandate,
    pub(super) caller: Caller,
    /// What was asked for.
    pub(super) request: Rebuild,
    pub(super) workers: Arc<Workers>,
    pub(super) progress: watch::Sender<Progress>,
    /// Cancelled when the caller cancels, and when the lease is lost.
    pub(super) cancel: CancellationToken,
    pub(super) governor: Governor,
}

/// Who began a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// An operator. All projections are published together or none, and the migration lock is held for the
    /// cut-over alone, so that servers of the application may start meanwhile.
    Operator,
    /// A server that starts. It holds the migration lock already, and publishes each projection as soon as that
    /// is finished.
    Start,
}

impl Run {
    /// A run under a lease that was just taken.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) if the worker threads can't be started.
    pub(crate) fn new(
        begun: &Begun<'_>,
        leadership: &Arc<Leadership>,
        caller: Caller,
        request: Rebuild,
    ) -> Result<Self> {
        let Begun { store, registry, settings, direction, progress } = *begun;
        Ok(Self {
            store: store.clone(),
            registry: registry.clone(),
            settings: settings.clone(),
            // An application that starts for the first time may make its event store later.
            direction: direction.unwrap_or(IndexDirection::Descending),
            has_events: direction.is_some(),
            leadership: Arc::clone(leadership),
            mandate: leadership.mandate.clone(),
            caller,
            request,
            workers: Arc::new(Workers::new(settings.tuning().threads)?),
            progress: progress.clone(),
            cancel: leadership.cancel.clone(),
            governor: govern(store, settings, leadership, progress),
        })
    }
}
