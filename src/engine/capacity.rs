//! The disk and the oplog that a build needs, against what there is.

use serde::Serialize;
use statefold_projections::Registered;

use crate::plan::{Demand, Estimate};
use crate::store::Store;

/// Capacity for a build, in bytes. A value that can't be read is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CapacityPlan {
    /// Upper bound of the disk space that the new collections need, indexes included.
    pub disk_bytes: u64,
    /// Free space on the server's file system.
    pub disk_free_bytes: Option<u64>,
    /// Oplog entries that the build adds.
    pub oplog_added_bytes: u64,
    /// Maximum size of the oplog.
    pub oplog_bytes: Option<u64>,
    /// Time between the oldest and the newest entry of the oplog, in seconds.
    pub oplog_seconds: Option<u64>,
    /// Shortages, in words. A rebuild is refused if there is one, unless it is told to ignore them.
    pub shortages: Vec<String>,
}

/// Compares the needs of these builds with disk and oplog. Also returns notes on what couldn't be read.
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
