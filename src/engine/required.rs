//! Snapshots of the projections that a projection requires.

use std::sync::Arc;

use statefold_projections::Registered;

use crate::config::Settings;
use crate::error::Result;
use crate::pipeline::Required;
use crate::store::{RequiredProjection, SnapshotLookup, Store};

fn lookup(
    store: &Store,
    projection: &Registered,
    build_of: impl Fn(&str) -> Option<String>,
) -> Option<SnapshotLookup> {
    let spec = projection.spec();
    let required = |name: &String| RequiredProjection { name: name.clone(), build: build_of(name) };
    let required: Vec<RequiredProjection> = spec.required().iter().map(required).collect();
    (!required.is_empty()).then(|| SnapshotLookup {
        store: store.clone(),
        projection: spec.name().to_owned(),
        required,
    })
}

/// What a projection requires, if anything: the active generations, which need not exist yet.
pub(crate) fn required_later(
    store: &Store,
    projection: &Registered,
    settings: &Settings,
) -> Option<Required> {
    let lookup = lookup(store, projection, |_| None)?;
    Some(Required::new(Arc::new(lookup), settings.tuning().lookup_bytes_max, settings.tuning().readers))
}

/// What a projection requires, if anything: of each required projection the build with the id that `build_of`
/// gives, else the active generation.
///
/// # Errors
/// [`crate::Error::Unsupported`] if there is neither.
pub(crate) async fn required_of(
    store: &Store,
    projection: &Registered,
    settings: &Settings,
    build_of: impl Fn(&str) -> Option<String>,
) -> Result<Option<Required>> {
    let Some(lookup) = lookup(store, projection, build_of) else { return Ok(None) };
    lookup.collections().await?;
    let tuning = settings.tuning();
    Ok(Some(Required::new(Arc::new(lookup), tuning.lookup_bytes_max, tuning.readers)))
}

/// What a projection requires, if anything: the active generations.
///
/// # Errors
/// [`crate::Error::Unsupported`] if one of them doesn't exist.
pub(crate) async fn active_required(
    store: &Store,
    projection: &Registered,
    settings: &Settings,
) -> Result<Option<Required>> {
    required_of(store, projection, settings, |_| None).await
}
