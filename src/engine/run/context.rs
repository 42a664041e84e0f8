//! The state that all steps of a run share, and the only way to begin a run.

use std::sync::Arc;

use statefold_projections::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::leader::Leadership;
use crate::engine::run::request::{Caller, Rebuild};
use crate::error::Result;
use crate::observe::Progress;
use crate::pipeline::{Governor, Workers};
use crate::store::{Mandate, RunThrottle, Store, StreamIndex};

/// Inputs of a run, apart from the lease and the request.
pub(crate) struct RunInputs<'a> {
    /// Connected database.
    pub(crate) store: &'a Store,
    /// All registered projections.
    pub(crate) registry: &'a Registry,
    /// Settings of the program.
    pub(crate) settings: &'a Settings,
    /// Direction of the event store's stream index; `None` if there is no event store yet.
    pub(crate) stream_index: Option<StreamIndex>,
    /// Where progress is shown.
    pub(crate) progress: &'a watch::Sender<Progress>,
}

/// One run: the state that all its steps share.
pub(crate) struct Run {
    pub(super) store: Store,
    pub(super) registry: Registry,
    pub(super) settings: Settings,
    pub(super) stream_index: StreamIndex,
    /// Whether there is an event store.
    pub(super) has_events: bool,
    pub(super) leadership: Arc<Leadership>,
    pub(super) mandate: Mandate,
    pub(super) caller: Caller,
    /// What the caller asked for.
    pub(super) request: Rebuild,
    pub(super) workers: Arc<Workers>,
    pub(super) progress: watch::Sender<Progress>,
    /// Cancelled when the caller cancels, and when the lease is lost.
    pub(super) cancel: CancellationToken,
    pub(super) governor: Governor,
}

impl Run {
    /// A run under a lease that was just taken.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) if the worker threads can't be started.
    pub(crate) fn new(
        inputs: &RunInputs<'_>,
        leadership: &Arc<Leadership>,
        caller: Caller,
        request: Rebuild,
    ) -> Result<Self> {
        let RunInputs { store, registry, settings, stream_index, progress } = inputs;
        Ok(Self {
            store: (*store).clone(),
            registry: (*registry).clone(),
            settings: (*settings).clone(),
            // An application that starts for the first time may create its event store later.
            stream_index: stream_index.clone().unwrap_or_default(),
            has_events: stream_index.is_some(),
            leadership: Arc::clone(leadership),
            mandate: leadership.mandate.clone(),
            caller,
            request,
            workers: Arc::new(Workers::new(settings.tuning().threads)?),
            progress: (*progress).clone(),
            cancel: leadership.cancel.clone(),
            governor: govern(store, settings, leadership, progress),
        })
    }
}

/// Governor of this leader's run, which slows it down or holds it.
fn govern(
    store: &Store,
    settings: &Settings,
    leadership: &Leadership,
    progress: &watch::Sender<Progress>,
) -> Governor {
    let throttle = settings.throttle();
    let source = Arc::new(RunThrottle::new(store, leadership.mandate.token, throttle.max_lag));
    Governor::new(source, throttle.throttle, progress.clone(), leadership.cancel.clone())
}
