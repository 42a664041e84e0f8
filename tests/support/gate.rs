//! Stops a rebuild at a chosen event, so that a test can act while it is at work.

use std::sync::{Arc, Mutex};

use bson::Document;
use statefold::projections::{
    Event, FoldError, Lookup, Projection, Registry, Sink, Spec, StreamKey, squidex::Assets,
};
use statefold::{Rebuild, Tuning, Verify};
use tokio::sync::watch;

use super::commits::last_asset_stream;
use super::{Db, no_waiting};

/// The test's side: where the rebuild stands, and the way to let it go on.
pub(crate) struct Gate {
    reached: watch::Receiver<bool>,
    /// Dropped to open the gate, also if the test fails.
    open: std::sync::mpsc::Sender<()>,
}

/// Where a fold stops.
enum Moment {
    Event(Box<dyn Fn(&Event<'_>) -> bool + Send + Sync>),
    Snapshots(Box<dyn Fn(&str) -> bool + Send + Sync>),
}

/// The projection's side.
struct Barrier {
    at: Moment,
    reached: watch::Sender<bool>,
    opened: Mutex<std::sync::mpsc::Receiver<()>>,
}

/// A projection with a gate in front of one event or stream.
pub(crate) struct Gated<P> {
    inner: P,
    barrier: Arc<Barrier>,
}

impl Gate {
    /// A registry with Squidex's assets, whose fold stops before the first event that `at` is true for.
    pub(crate) fn assets(at: impl Fn(&Event<'_>) -> bool + Send + Sync + 'static) -> (Registry, Self) {
        Self::at(Moment::Event(Box::new(at)))
    }

    /// As [`Self::assets`], but stops before the snapshots of the first stream that `at` is true for.
    pub(crate) fn asset_snapshots(at: impl Fn(&str) -> bool + Send + Sync + 'static) -> (Registry, Self) {
        Self::at(Moment::Snapshots(Box::new(at)))
    }

    fn at(at: Moment) -> (Registry, Self) {
        let (gated, gate) = Self::gated(Assets::new(), at);
        let mut registry = Registry::default();
        registry.register(gated).unwrap();
        (registry, gate)
    }

    /// A projection that stops before the snapshots of the first stream that `at` is true for.
    pub(crate) fn snapshots_of<P: Projection>(
        projection: P,
        at: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> (Gated<P>, Self) {
        Self::gated(projection, Moment::Snapshots(Box::new(at)))
    }

    fn gated<P>(inner: P, at: Moment) -> (Gated<P>, Self) {
        let (sender, reached) = watch::channel(false);
        let (open, opened) = std::sync::mpsc::channel();
        let barrier = Barrier { at, reached: sender, opened: Mutex::new(opened) };
        (Gated { inner, barrier: Arc::new(barrier) }, Self { reached, open })
    }

    /// Waits until the rebuild stands before the gate.
    pub(crate) async fn reached(&self) {
        let mut reached = self.reached.clone();
        tokio::time::timeout(std::time::Duration::from_secs(60), reached.wait_for(|reached| *reached))
            .await
            .expect("the gate was never reached")
            .unwrap();
    }

    /// Lets the rebuild go on.
    pub(crate) fn open(self) {
        drop(self.open);
    }
}

impl Barrier {
    /// Waits at the gate, the first time.
    fn stop(&self) {
        if !self.reached.send_replace(true) {
            // Nothing is ever sent: it ends when the sender is dropped.
            assert!(self.opened.lock().unwrap().recv().is_err());
        }
    }
}

impl<P: Projection> Projection for Gated<P> {
    type State = P::State;

    fn spec(&self) -> &Spec {
        self.inner.spec()
    }

    fn apply(&self, state: &mut Self::State, event: &Event<'_>) -> Result<(), FoldError> {
        if matches!(&self.barrier.at, Moment::Event(at) if at(event)) {
            self.barrier.stop();
        }
        self.inner.apply(state, event)
    }

    fn snapshots(
        &self,
        key: &StreamKey<'_>,
        state: &Self::State,
        others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        if matches!(&self.barrier.at, Moment::Snapshots(at) if at(key.stream())) {
            self.barrier.stop();
        }
        self.inner.snapshots(key, state, others, out)
    }
}

/// Begins a build and stops it where all but the last snapshots are written.
pub(crate) async fn stopped_late(
    db: &Db,
    commits: &[Document],
    verify: Verify,
) -> (statefold::Running, Gate) {
    let last = last_asset_stream(commits);
    let (gated, gate) = Gate::asset_snapshots(move |stream| stream == last);
    let tuning = Tuning { partitions: Some(6), readers: 1, verify, ..no_waiting() };
    let running = statefold::rebuild(&db.settings(tuning), &gated, Rebuild::default());
    gate.reached().await;
    (running, gate)
}
