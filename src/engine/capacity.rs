//! The disk and the oplog that a build needs, against what there is.

use serde::Serialize;
use statefold_projections::Registered;

use crate::plan::{Demand, Estimate};
use crate::store::Store;

/// Capacity for a build, in bytes. What can't be read is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CapacityPlan {
    /// What the new collections with their indexes may need on disk, at most.
    pub disk_bytes: u64,
    /// What is free on the file system of the server.
    pub disk_free_bytes: Option<u64>,
    /// What the build adds to the oplog.
    pub oplog_added_bytes: u64,
    /// The size the oplog may have.
    pub oplog_bytes: Option<u64>,
    /// From its oldest to its newest entry, in seconds.
    pub oplog_seconds: Option<u64>,
    /// What doesn't suffice: a rebuild is refused then, unless it is told to ignore it.
    pub shortages: Vec<String>,
}

/// Whether disk and oplog suffice for what would be built, and what couldn't be found out.
pub(crate) async fn capacity_plan(
    store: &Store,
    building: &[(&Registered, &Estimate)],
) -> (CapacityPlan, Vec<String>) {
    let demand = building.iter().fold(Demand::default(), |demand, (projection, estimate)| {
        let targets = projection.spec().targets();
        demand.and(estimate, targets.iter().map(|target| target.indexes().len()).sum())
    });
    let (capacity, notes) = store.admin().capacity().await;
    let plan = CapacityPlan {
        disk_bytes: demand.disk_bytes,
        disk_free_bytes: capacity.disk_free_bytes,
        oplog_added_bytes: demand.oplog_bytes,
        oplog_bytes: capacity.oplog.map(|oplog| oplog.bytes_max),
        oplog_seconds: capacity.oplog.map(|oplog| oplog.seconds),
        shortages: capacity.shortages(&demand, |bytes| format!("{:.1} MB", megabytes(bytes))),
    };
    (plan, notes)
}

#[expect(clippy::cast_precision_loss, reason = "a size to look at")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
