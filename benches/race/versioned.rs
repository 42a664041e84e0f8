//! Squidex's assets with any version, as if a new release had changed their shape.

use statefold::projections::squidex::Assets;
use statefold::projections::{Event, FoldError, Lookup, Projection, Registry, Sink, Spec, StreamKey};

struct Versioned {
    inner: Assets,
    spec: Spec,
}

/// The registry of a release.
pub(crate) fn registry(version: u32) -> Registry {
    let inner = Assets::new();
    let of = inner.spec();
    let mut spec =
        Spec::new(of.name(), version).first_generation(of.first()).streams(of.stream_filter().clone());
    for target in of.targets() {
        spec = spec.target(target.clone());
    }
    let mut registry = Registry::default();
    match registry.register(Versioned { inner, spec }) {
        Ok(_) => registry,
        Err(error) => unreachable!("the projections that ship can be registered: {error}"),
    }
}

impl Projection for Versioned {
    type State = <Assets as Projection>::State;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn apply(&self, state: &mut Self::State, event: &Event<'_>) -> Result<(), FoldError> {
        self.inner.apply(state, event)
    }

    fn snapshots(
        &self,
        key: &StreamKey<'_>,
        state: &Self::State,
        others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        self.inner.snapshots(key, state, others, out)
    }
}
