//! Capacity check of a build: disk for the new collections, an oplog that outlasts the run.

use crate::plan::estimate::Estimate;

/// Size of an index entry on disk, in bytes: a high estimate, with page splits and free space.
const INDEX_ENTRY_BYTES: u64 = 80;
/// Size in the oplog of an insert without its document, in bytes.
const OPLOG_ENTRY_BYTES: u64 = 250;
/// Divisor of the free space: one part of so many has to stay free.
const MARGIN: u64 = 5;
/// Duration of a run relative to reading and writing alone: it also builds indexes, catches up and verifies.
const WHOLE_RUN: f64 = 3.0;
/// Minimum length of the oplog that tells a rate of changes, in seconds.
const HISTORY_SECONDS_MIN: u64 = 60;

/// Demand of a build.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Demand {
    /// Upper estimate of the size of the new collections with their indexes, in bytes.
    pub disk_bytes: u64,
    /// Size that writing them adds to the oplog, in bytes.
    pub oplog_bytes: u64,
    /// Duration of the whole run, in seconds.
    pub seconds: f64,
}

impl Demand {
    /// Adds the demand of a projection with so many indexes, not counting `_id`.
    #[must_use]
    pub(crate) fn and(self, estimate: &Estimate, indexes: usize) -> Self {
        let entries = estimate.snapshots.saturating_mul(indexes as u64 + 1);
        Self {
            disk_bytes: self.disk_bytes + estimate.snapshot_bytes + entries * INDEX_ENTRY_BYTES,
            oplog_bytes: self.oplog_bytes + estimate.snapshot_bytes + estimate.snapshots * OPLOG_ENTRY_BYTES,
            seconds: self.seconds + estimate.seconds * WHOLE_RUN,
        }
    }
}

/// The oplog: the history of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Oplog {
    /// Maximum size, in bytes.
    pub bytes_max: u64,
    /// Present size, in bytes.
    pub bytes: u64,
    /// Time from its oldest to its newest entry, in seconds.
    pub seconds: u64,
}

impl Oplog {
    /// Expected growth in so many seconds at the present rate, in bytes.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    pub(crate) fn bytes_in(&self, seconds: f64) -> u64 {
        if self.seconds < HISTORY_SECONDS_MIN {
            return 0;
        }
        (self.bytes as f64 / self.seconds as f64 * seconds) as u64
    }
}

/// Capacity of the server, as far as it can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Free space on the file system of the server, in bytes.
    pub disk_free_bytes: Option<u64>,
    /// The oplog, if there is one.
    pub oplog: Option<Oplog>,
}

impl Capacity {
    /// The shortages in words, with numbers; `size` formats bytes.
    #[must_use]
    pub(crate) fn shortages(&self, demand: &Demand, size: impl Fn(u64) -> String) -> Vec<String> {
        let mut found = Vec::new();
        let usable = |bytes: u64| bytes - bytes / MARGIN;
        if let Some(free) = self.disk_free_bytes
            && demand.disk_bytes > usable(free)
        {
            found.push(format!(
                "the new collections may need {} on disk, of {} that are free (a fifth is to stay free)",
                size(demand.disk_bytes),
                size(free)
            ));
        }
        if let Some(oplog) = self.oplog {
            let others = oplog.bytes_in(demand.seconds);
            if demand.oplog_bytes + others > usable(oplog.bytes_max) {
                found.push(format!(
                    "the build adds about {} to the oplog and the application {} meanwhile, but it holds {}: \
                     secondaries and change streams could lose their place (replSetResizeOplog makes it \
                     larger)",
                    size(demand.oplog_bytes),
                    size(others),
                    size(oplog.bytes_max)
                ));
            }
        }
        found
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn demand() -> Demand {
        let estimate =
            Estimate { snapshots: 1_000_000, snapshot_bytes: GB, seconds: 20.0, ..Estimate::default() };
        Demand::default().and(&estimate, 3)
    }

    fn shortages(capacity: Capacity) -> Vec<String> {
        capacity.shortages(&demand(), |bytes| format!("{} MB", bytes / 1_000_000))
    }

    #[test]
    fn what_is_needed_follows_from_the_estimate() {
        let demand = demand();
        assert_eq!((demand.disk_bytes, demand.oplog_bytes), (1_320_000_000, 1_250_000_000));
        assert!((demand.seconds - 60.0).abs() < 1e-9);
        let twice = demand.and(&Estimate { snapshot_bytes: GB, ..Estimate::default() }, 0);
        assert_eq!(twice.disk_bytes, 2_320_000_000);
    }

    #[test]
    fn a_fifth_of_the_disk_has_to_stay_free() {
        let with = |free| shortages(Capacity { disk_free_bytes: Some(free), oplog: None });
        assert!(with(1_650_000_000).is_empty());
        assert_eq!(
            with(1_649_000_000),
            ["the new collections may need 1320 MB on disk, of 1649 MB that are free (a fifth is to \
                 stay free)"]
        );
    }

    #[test]
    fn the_oplog_has_to_hold_the_build_and_what_comes_meanwhile() {
        let with = |bytes_max, seconds| {
            let oplog = Oplog { bytes_max, bytes: GB, seconds };
            shortages(Capacity { disk_free_bytes: None, oplog: Some(oplog) })
        };
        assert!(with(1_570_000_000, 3600 * 24).is_empty());
        assert!(with(1_560_000_000, 3600 * 24)[0].contains("adds about 1250 MB to the oplog"));
        // The application writes 1 GB in ten minutes, 100 MB in one.
        assert!(with(1_690_000_000, 600).is_empty());
        assert!(
            with(1_680_000_000, 600)[0].contains("the application 100 MB meanwhile, but it holds 1680 MB")
        );
    }

    #[test]
    fn what_is_not_known_refuses_nothing() {
        assert!(shortages(Capacity::default()).is_empty());
        let young = Oplog { bytes_max: 2 * GB, bytes: GB, seconds: 5 };
        assert_eq!(young.bytes_in(1000.0), 0);
    }
}
