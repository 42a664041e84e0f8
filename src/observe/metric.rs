//! The metrics: one table. From it they are described and made to exist; a test holds `docs/operations.md`
//! against what is exported.
//!
//! Every series has one real value of each of its labels, and is there, at zero, from the beginning of a run.

use metrics::{Label, SharedString, Unit};

use crate::observe::progress::Phase;
use crate::observe::wait::Wait;

/// Which kind of metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// A present value.
    Gauge,
    /// Observations, counted by size.
    Histogram,
}

/// A label, and with it the values that it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricLabel {
    /// Name of a projection of the run.
    Projection,
    /// What streams are folded for.
    Work,
    /// Phase of a projection: of all, one is 1.
    Phase,
    /// What a run waits for: of all, those are 1.
    Reason,
    /// Version of this program.
    Version,
    /// A process that takes part in builds, as `host:pid`.
    Worker,
}

/// What streams are folded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A new generation.
    Build,
    /// A generation that has them already, of which they changed.
    Refold,
    /// Nothing but a comparison.
    Verify,
}

impl Work {
    /// All of them.
    const ALL: [Self; 3] = [Self::Build, Self::Refold, Self::Verify];

    /// Its name in the metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Refold => "refold",
            Self::Verify => "verify",
        }
    }
}

impl MetricLabel {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Projection => "projection",
            Self::Work => "work",
            Self::Phase => "phase",
            Self::Reason => "reason",
            Self::Version => "version",
            Self::Worker => "worker",
        }
    }

    /// All values that it has, in a run with these projections.
    fn values(self, projections: &[SharedString]) -> Vec<SharedString> {
        match self {
            Self::Projection => projections.to_vec(),
            Self::Work => Work::ALL.map(|work| work.name().into()).into(),
            Self::Phase => Phase::ALL.map(|phase| phase.label().into()).into(),
            Self::Reason => Wait::ALL.map(|wait| wait.name().into()).into(),
            Self::Version => vec![env!("CARGO_PKG_VERSION").into()],
            // Others come when they are there.
            Self::Worker => Vec::new(),
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Metric {
    /// Its name, with its base unit, and `_total` for counters.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// Its unit.
    pub unit: Unit,
    /// Its labels.
    pub labels: &'static [MetricLabel],
    /// What it says.
    pub help: &'static str,
}

/// Writes the table: each metric as a constant, and all of them in [`ALL`].
macro_rules! table {
    ($($constant:ident: $kind:ident in $unit:ident, [$($label:ident)*], $name:literal, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: MetricKind::$kind,
                unit: Unit::$unit,
                labels: &[$(MetricLabel::$label),*],
                help: $help,
            };
        )*
        /// All metrics.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

table! {
    PHASE: Gauge in Count, [Projection Phase], "statefold_phase", "1 for the phase that a projection is in";
    WAITING: Gauge in Count, [Reason], "statefold_waiting", "1 for what the run waits for";

    COMMITS: Counter in Count, [Projection Work], "statefold_commits_total", "Commits read";
    COMMITS_PLANNED: Gauge in Count, [Projection Work], "statefold_commits_planned",
        "Commits that will have been read at the end of the pass that has begun, as far as it can be told";
    EVENTS: Counter in Count, [Projection Work], "statefold_events_total", "Events folded";
    BYTES: Counter in Bytes, [Projection Work], "statefold_read_bytes_total", "Bytes of commits read";
    STREAMS: Counter in Count, [Projection Work], "statefold_streams_total", "Streams completed";
    FAILED_STREAMS: Counter in Count, [Projection Work], "statefold_failed_streams_total",
        "Streams that could not be folded, whenever they were tried";
    READ_SECONDS: Histogram in Seconds, [Projection Work], "statefold_batch_read_seconds",
        "Time a fold waited for its next batch";
    SNAPSHOTS: Counter in Count, [Projection], "statefold_snapshots_total",
        "Snapshots of new generations written";
    WRITE_SECONDS: Histogram in Seconds, [Projection], "statefold_batch_write_seconds",
        "Time one insert took";
    PARTITIONS_LEFT: Gauge in Count, [Projection], "statefold_partitions_left",
        "Partitions still to do in this phase";
    SPILL_BYTES: Gauge in Bytes, [], "statefold_spill_bytes", "Size of the spill file";

    WORKERS: Gauge in Count, [], "statefold_workers",
        "Processes that take part in builds, as a leader that shares one sees them";
    WORKER_RATE: Gauge in Count, [Worker], "statefold_worker_commits_per_second",
        "Commits that a worker folds in a second";
    WORKER_PARTITIONS: Gauge in Count, [Worker], "statefold_worker_partitions_done",
        "Partitions that a worker has finished";
    WORKER_MEMORY: Gauge in Bytes, [Worker], "statefold_worker_memory_bytes", "Memory of a worker";

    DIRTY: Gauge in Count, [Projection], "statefold_dirty_streams",
        "Streams that changed since they were folded";
    LAG_SECONDS: Gauge in Seconds, [Projection], "statefold_lag_seconds",
        "Age of the oldest change that this process has to fold";
    REFOLDED: Counter in Count, [Projection], "statefold_refolded_streams_total",
        "Streams refolded because they had changed";

    FENCED: Gauge in Count, [], "statefold_fenced", "1 while the fence of a cut-over of this process stands";
    FENCE_SECONDS: Histogram in Seconds, [], "statefold_fence_seconds",
        "Time a fence stood, of each attempt to cut over";
    DRAIN_SECONDS: Histogram in Seconds, [], "statefold_drain_seconds",
        "Time from a flip without a fence until all was folded that arrived before it";
    ACTIVE_GENERATION: Gauge in Count, [Projection], "statefold_active_generation",
        "Number of the generation that readers use, 0 if there is none";
    LAST_CUT_OVER: Gauge in Seconds, [Projection], "statefold_last_cutover_timestamp_seconds",
        "When readers were moved to the active generation, 0 if never";

    LAST_VERIFY: Gauge in Seconds, [Projection], "statefold_last_verify_timestamp_seconds",
        "When the active generation was last verified as a whole, 0 if never";
    VERIFY_DIFFERENCES: Gauge in Count, [Projection], "statefold_verify_differences",
        "Differences that this verification found";
    READ_ONLY_SINCE: Gauge in Seconds, [], "statefold_read_only_since_timestamp_seconds",
        "Since when the event store is in read-only mode, 0 if it isn't";

    LEASE_TOKEN: Gauge in Count, [], "statefold_lease_token",
        "Token of the lease that this process holds, 0 if none";
    TAKEOVERS: Counter in Count, [], "statefold_lease_takeovers_total",
        "Leases taken over from a leader that was gone";
    LEASES_LOST: Counter in Count, [], "statefold_leases_lost_total", "Leases that this process lost";
    BUILD_INFO: Gauge in Count, [Version], "statefold_build_info", "Always 1";
}

/// Describes all metrics to the installed recorder, if there is one.
pub fn describe() {
    for Metric { name, kind, unit, help, .. } in ALL {
        match kind {
            MetricKind::Counter => metrics::describe_counter!(*name, *unit, *help),
            MetricKind::Gauge => metrics::describe_gauge!(*name, *unit, *help),
            MetricKind::Histogram => metrics::describe_histogram!(*name, *unit, *help),
        }
    }
}

/// Lets every series exist that a run with these projections may have; those that do stay as they are.
pub(crate) fn exist(projections: &[SharedString]) {
    for metric in ALL {
        let mut series: Vec<Vec<Label>> = vec![Vec::new()];
        for label in metric.labels {
            let values = label.values(projections);
            let longer = |labels: &Vec<Label>, value: &SharedString| {
                let label = Label::new(label.name(), value.clone());
                labels.iter().cloned().chain([label]).collect()
            };
            series =
                series.iter().flat_map(|labels| values.iter().map(|value| longer(labels, value))).collect();
        }
        for labels in series {
            match metric.kind {
                MetricKind::Counter => metrics::counter!(metric.name, labels).increment(0),
                MetricKind::Gauge => metrics::gauge!(metric.name, labels).increment(0.0),
                // That it is asked for makes it exist.
                MetricKind::Histogram => drop(metrics::histogram!(metric.name, labels)),
            }
        }
    }
    metrics::gauge!(BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_kind_and_no_metric_is_there_twice() {
        for (at, metric) in ALL.iter().enumerate() {
            assert!(metric.name.starts_with("statefold_"), "{}", metric.name);
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == MetricKind::Counter,
                "{}",
                metric.name
            );
            assert!(ALL.iter().skip(at + 1).all(|other| other.name != metric.name), "{}", metric.name);
        }
    }
}
