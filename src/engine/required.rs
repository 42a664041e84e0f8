//! Snapshots of the projections that a projection requires.

use std::sync::Arc;

use statefold_projections::{Lookup, NoLookup, Registered};

use crate::config::Settings;
use crate::error::Result;
use crate::store::{SnapshotLookup, Store};

/// Loads the active snapshots of the projections that a projection requires.
pub(crate) async fn required_snapshots(
    store: &Store,
    projection: &Registered,
    settings: &Settings,
) -> Result<Arc<dyn Lookup>> {
    let spec = projection.spec();
    if spec.required().is_empty() {
        return Ok(Arc::new(NoLookup));
    }
    let (mut lookup, mut budget) = (SnapshotLookup::default(), settings.tuning().lookup_bytes_max);
    for required in spec.required() {
        for (target, collection) in store.snapshots().active_collections(spec.name(), required).await? {
            lookup.load(store, &target, &collection, &mut budget).await?;
        }
    }
    Ok(Arc::new(lookup))
}
