//! The only place where work on a projection is counted: progress for watchers, metrics for the installed
//! recorder.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Label, SharedString, counter, gauge, histogram};
use tokio::sync::watch;

use crate::fold::FoldCounts;
use crate::observe::metric::{self, Metric, Work};
use crate::observe::progress::{Phase, Progress};
use crate::observe::states::show_phases;

/// Counts the work on one projection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    projection: Arc<str>,
    work: Work,
    progress: watch::Sender<Progress>,
    pass: Mutex<Pass>,
}

/// How far a pass is.
struct Pass {
    /// When the present phase began.
    began: Instant,
    /// Commits that it is to read.
    planned: u64,
    /// Commits that were read since it was planned.
    read: u64,
}

impl Recorder {
    /// A recorder of a build, whose progress begins with nothing done.
    pub(crate) fn new(projection: &str, progress: &watch::Sender<Progress>) -> Self {
        Self::of(projection, Work::Build, progress)
    }

    /// A recorder of what is folded to be compared alone.
    pub(crate) fn verifying(projection: &str, progress: &watch::Sender<Progress>) -> Self {
        Self::of(projection, Work::Verify, progress)
    }

    fn of(projection: &str, work: Work, progress: &watch::Sender<Progress>) -> Self {
        progress.send_modify(|progress| progress.begin(projection));
        let pass = Mutex::new(Pass { began: Instant::now(), planned: 0, read: 0 });
        Self {
            inner: Arc::new(Inner { projection: projection.into(), work, progress: progress.clone(), pass }),
        }
    }

    fn update(&self, change: impl FnOnce(&mut Progress)) {
        let began = self.inner.pass().began;
        self.inner.progress.send_modify(|progress| {
            change(progress);
            progress.phase_seconds = began.elapsed().as_secs_f64();
        });
    }

    /// The labels that a metric has for this work.
    fn labels(&self, metric: &Metric) -> Vec<Label> {
        self.inner.labels(metric, self.inner.work)
    }

    fn set(&self, metric: &Metric, value: f64) {
        gauge!(metric.name, self.labels(metric)).set(value);
    }

    fn count(&self, metric: &Metric, value: u64) {
        counter!(metric.name, self.labels(metric)).increment(value);
    }

    fn observe(&self, metric: &Metric, time: Duration) {
        histogram!(metric.name, self.labels(metric)).record(time.as_secs_f64());
    }

    /// Enters a phase that has this many partitions.
    pub(crate) fn enter(&self, phase: Phase, partitions: usize) {
        self.inner.pass().began = Instant::now();
        self.update(|progress| {
            if *progress.projection != *self.inner.projection {
                progress.begin(&self.inner.projection);
            }
            progress.phase = phase;
            progress.shared = None;
            progress.phases.insert(self.inner.projection.to_string(), phase);
            show_phases(progress);
        });
        self.partitions(partitions);
    }

    /// Shows the share, 0 to 1, that all processes of a shared build have done.
    pub(crate) fn shared(&self, share: f64) {
        self.update(|progress| progress.shared = Some(share));
    }

    /// Begins a phase that will read this many commits, with all counts at zero.
    pub(crate) fn begin(&self, phase: Phase, commits: u64) {
        self.inner.plan(commits);
        self.update(|progress| {
            progress.begin(&self.inner.projection);
            progress.commits_total = commits;
        });
        self.enter(phase, 0);
    }

    /// Begins a phase of several projections, each of which will read this many commits: progress shows them
    /// together, with all counts at zero, metrics each by itself.
    pub(crate) fn begin_together(progress: &watch::Sender<Progress>, phase: Phase, parts: &[(&Self, u64)]) {
        for (recorder, commits) in parts {
            recorder.begin(phase, *commits);
        }
        let names: Vec<&str> = parts.iter().map(|(recorder, _)| &*recorder.inner.projection).collect();
        progress.send_modify(|progress| {
            progress.begin(&names.join(", "));
            progress.commits_total = parts.iter().map(|(_, commits)| commits).sum();
            progress.phase = phase;
        });
    }

    /// Notes how many partitions this phase has to write.
    pub(crate) fn partitions(&self, partitions: usize) {
        let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
        self.update(|progress| {
            progress.partitions = partitions;
            progress.partitions_done = 0;
        });
        self.set(&metric::PARTITIONS_LEFT, f64::from(partitions));
    }

    /// Notes how many streams are dirty, and for how long the oldest has been.
    pub(crate) fn lag(&self, streams: usize, seconds: u32) {
        self.set(&metric::LAG_SECONDS, f64::from(seconds));
        self.set(&metric::DIRTY, number(streams as u64));
        self.update(|progress| {
            progress.dirty = streams as u64;
            progress.lag_seconds = seconds;
        });
    }

    /// Notes how long a fold waited for its batch.
    pub(crate) fn batch_read(&self, waited: Duration) {
        self.observe(&metric::READ_SECONDS, waited);
    }

    /// Adds these counts.
    pub(crate) fn folded(&self, counts: &FoldCounts) {
        self.inner.pass().read += counts.commits;
        self.inner.count(self.inner.work, counts);
        self.update(|progress| {
            progress.commits += counts.commits;
            progress.events += counts.events;
            progress.bytes += counts.bytes;
            progress.streams += counts.streams;
            progress.failed_streams += counts.failed_streams;
        });
    }

    /// Adds the counts of streams that were refolded. They are none of the pass, whose progress is shown.
    pub(crate) fn folded_again(&self, counts: &FoldCounts) {
        self.inner.count(Work::Refold, counts);
        let labels = self.inner.labels(&metric::COMMITS_PLANNED, Work::Refold);
        gauge!(metric::COMMITS_PLANNED.name, labels).increment(number(counts.commits));
    }

    /// Counts refolded streams.
    pub(crate) fn refolded(&self, streams: u64) {
        self.count(&metric::REFOLDED, streams);
        self.update(|progress| progress.refolded += streams);
    }

    /// Resets what was read so far, because everything is read again.
    pub(crate) fn read_again(&self) {
        let planned = self.inner.pass().planned;
        self.inner.plan(planned);
        self.update(|progress| {
            (progress.commits, progress.events, progress.bytes) = (0, 0, 0);
        });
    }

    /// Counts inserted documents and notes how long the insert took. What is only compared is inserted
    /// nowhere.
    pub(crate) fn written(&self, documents: u64, took: Duration) {
        if self.inner.work != Work::Verify {
            self.count(&metric::SNAPSHOTS, documents);
            self.observe(&metric::WRITE_SECONDS, took);
        }
        self.update(|progress| progress.snapshots += documents);
    }

    /// Counts a partition, if it succeeded.
    pub(crate) fn partition_done(&self, succeeded: bool) {
        if !succeeded {
            return;
        }
        let mut left = 0;
        self.update(|progress| {
            progress.partitions_done += 1;
            left = progress.partitions.saturating_sub(progress.partitions_done);
        });
        self.set(&metric::PARTITIONS_LEFT, f64::from(left));
    }
}

impl Inner {
    fn pass(&self) -> MutexGuard<'_, Pass> {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn labels(&self, metric: &Metric, work: Work) -> Vec<Label> {
        let value = |label: &metric::MetricLabel| -> SharedString {
            match label {
                metric::MetricLabel::Work => work.name().into(),
                _ => Arc::clone(&self.projection).into(),
            }
        };
        metric.labels.iter().map(|label| Label::new(label.name(), value(label))).collect()
    }

    fn count(&self, work: Work, counts: &FoldCounts) {
        let count = |metric: &Metric, value: u64| {
            counter!(metric.name, self.labels(metric, work)).increment(value);
        };
        count(&metric::COMMITS, counts.commits);
        count(&metric::EVENTS, counts.events);
        count(&metric::BYTES, counts.bytes);
        count(&metric::STREAMS, counts.streams);
        count(&metric::FAILED_STREAMS, counts.failed_streams);
    }

    /// Plans to read so many commits from now on. What is left of the former plan is given up: so the metric
    /// is always what has been read and what will be.
    fn plan(&self, commits: u64) {
        let mut pass = self.pass();
        let change = number(commits) + number(pass.read) - number(pass.planned);
        (pass.planned, pass.read) = (commits, 0);
        let labels = self.labels(&metric::COMMITS_PLANNED, self.work);
        gauge!(metric::COMMITS_PLANNED.name, labels).increment(change);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.plan(0);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number to look at")]
fn number(count: u64) -> f64 {
    count as f64
}
