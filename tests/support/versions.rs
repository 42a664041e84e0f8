//! Squidex's projections in other versions, as another release of a program would register them.
#![allow(dead_code, reason = "each program uses a part of it")]

use statefold::projections::{
    Event, FoldError, Lookup, Projection, Reads, Registry, Sink, Spec, StreamKey, squidex::Assets,
};

/// Squidex's assets, registered as another version.
struct OfVersion {
    inner: Assets,
    spec: Spec,
}

/// A registry that knows assets only, in this version.
pub(crate) fn assets_of(version: u32) -> Registry {
    let mut registry = Registry::default();
    registry.register(assets(version)).unwrap();
    registry
}

/// As [`assets_of`], with an older version to go back to.
pub(crate) fn assets_with_former(version: u32, former: u32) -> Registry {
    let mut registry = assets_of(version);
    registry.register_former(assets(former)).unwrap();
    registry
}

/// As [`assets_of`], for readers that must never see the past.
pub(crate) fn assets_read_latest(version: u32) -> Registry {
    let OfVersion { inner, spec } = assets(version);
    let mut registry = Registry::default();
    registry.register(OfVersion { inner, spec: spec.reads(Reads::Latest) }).unwrap();
    registry
}

fn assets(version: u32) -> OfVersion {
    let inner = Assets::new();
    let known = inner.spec();
    let spec = Spec::new(known.name(), version)
        .first_generation(known.first())
        .streams(known.stream_filter().clone());
    let spec = known.targets().iter().cloned().fold(spec, Spec::target);
    OfVersion { inner, spec }
}

impl Projection for OfVersion {
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
