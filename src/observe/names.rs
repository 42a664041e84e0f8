//! Names of the metrics, in base units, with `_total` for counters. All but those of the lease have the
//! label `projection`.

/// Commits read.
pub const COMMITS: &str = "statefold_commits_total";
/// Events folded.
pub const EVENTS: &str = "statefold_events_total";
/// Bytes of commits read.
pub const BYTES: &str = "statefold_read_bytes_total";
/// Streams completed.
pub const STREAMS: &str = "statefold_streams_total";
/// Snapshots written.
pub const SNAPSHOTS: &str = "statefold_snapshots_total";
/// Streams that could not be folded.
pub const FAILED_STREAMS: &str = "statefold_failed_streams_total";
/// Time a fold waited for its next batch, in seconds.
pub const READ_SECONDS: &str = "statefold_batch_read_seconds";
/// Time one insert took, in seconds.
pub const WRITE_SECONDS: &str = "statefold_batch_write_seconds";
/// Number of the phase the run is in: 0 planning, 1 building, 2 indexing, 3 checking, 4 publishing, 5 done,
/// 6 waiting, 7 catching up, 8 verifying, 9 following.
pub const PHASE: &str = "statefold_phase";
/// Partitions that are still to do in this phase.
pub const PARTITIONS_LEFT: &str = "statefold_partitions_left";

/// Streams that were touched since they were folded.
pub const DIRTY: &str = "statefold_dirty_streams";
/// Age of the oldest change that isn't folded, in seconds.
pub const LAG_SECONDS: &str = "statefold_lag_seconds";
/// Streams refolded because they had changed.
pub const REFOLDED: &str = "statefold_refolded_streams_total";
/// The fencing token of the lease this process holds; 0 if it holds none. Without label.
pub const LEASE_TOKEN: &str = "statefold_lease_token";
/// Leases taken over from a leader that was gone. Without label.
pub const TAKEOVERS: &str = "statefold_lease_takeovers_total";
/// Leases this process lost. Without label.
pub const LEASES_LOST: &str = "statefold_leases_lost_total";

/// Describes all metrics to the installed recorder, if there is one.
pub fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(COMMITS, Unit::Count, "Commits read from the event store");
    describe_counter!(EVENTS, Unit::Count, "Events folded");
    describe_counter!(BYTES, Unit::Bytes, "Bytes of commits read");
    describe_counter!(STREAMS, Unit::Count, "Streams completed");
    describe_counter!(SNAPSHOTS, Unit::Count, "Snapshots written");
    describe_counter!(FAILED_STREAMS, Unit::Count, "Streams that could not be folded");
    describe_histogram!(READ_SECONDS, Unit::Seconds, "Time a fold waited for its next batch");
    describe_histogram!(WRITE_SECONDS, Unit::Seconds, "Time one insert took");
    describe_gauge!(
        PHASE,
        Unit::Count,
        "Phase of the run: 0 planning, 1 building, 2 indexing, 3 checking, 4 publishing, 5 done, \
         6 waiting, 7 catching up, 8 verifying, 9 following"
    );
    describe_gauge!(DIRTY, Unit::Count, "Streams that were touched since they were folded");
    describe_gauge!(LAG_SECONDS, Unit::Seconds, "Age of the oldest change that isn't folded");
    describe_counter!(REFOLDED, Unit::Count, "Streams refolded because they had changed");
    describe_gauge!(LEASE_TOKEN, Unit::Count, "Token of the lease this process holds, 0 if none");
    describe_counter!(TAKEOVERS, Unit::Count, "Leases taken over from a leader that was gone");
    describe_counter!(LEASES_LOST, Unit::Count, "Leases this process lost");
    describe_gauge!(PARTITIONS_LEFT, Unit::Count, "Partitions still to do in this phase");
}
