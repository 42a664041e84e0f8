//! The only place where work is counted: progress for watchers, metrics for the installed recorder.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};
use tokio::sync::watch;

use crate::fold::FoldCounts;
use crate::observe::leader::Leader;
use crate::observe::names;
use crate::observe::progress::{Phase, Progress};

/// Counts the work on one projection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder {
    projection: Arc<str>,
    progress: watch::Sender<Progress>,
    phase_began: Arc<Mutex<Instant>>,
}

impl Recorder {
    /// A recorder for a projection, whose progress begins with nothing done.
    pub(crate) fn new(projection: &str, progress: &watch::Sender<Progress>) -> Self {
        let recorder = Self {
            projection: projection.into(),
            progress: progress.clone(),
            phase_began: Arc::new(Mutex::new(Instant::now())),
        };
        recorder.progress.send_replace(Progress { projection: projection.to_owned(), ..Progress::default() });
        recorder
    }

    /// Notes the token this process leads under, `None` once it leads no more.
    pub(crate) fn leading(token: Option<i64>) {
        #[expect(clippy::cast_precision_loss, reason = "tokens are small")]
        gauge!(names::LEASE_TOKEN).set(token.unwrap_or(0) as f64);
    }

    /// Counts a lease that was taken over from a leader that was gone.
    pub(crate) fn takeover() {
        counter!(names::TAKEOVERS).increment(1);
    }

    /// Counts a lease that this process lost.
    pub(crate) fn lease_lost() {
        counter!(names::LEASES_LOST).increment(1);
    }

    /// Shows that the run waits, for a leader or something else.
    pub(crate) fn waiting(progress: &watch::Sender<Progress>, leader: Option<&Leader>, what: &str) {
        progress.send_modify(|progress| {
            progress.phase = Phase::Waiting;
            progress.waits_for = Some(what.to_owned());
            progress.leader = leader.cloned();
        });
    }

    /// Shows that the run no longer waits.
    pub(crate) fn waiting_over(progress: &watch::Sender<Progress>) {
        progress.send_if_modified(|progress| {
            let waited = progress.phase == Phase::Waiting;
            if waited {
                *progress = Progress::default();
            }
            waited
        });
    }

    /// Shows why the run is held and since when, or that it is held no longer.
    pub(crate) fn held(progress: &watch::Sender<Progress>, held: Option<(&str, Instant)>) {
        progress.send_if_modified(|progress| {
            let seconds = held.map_or(0, |(_, since)| since.elapsed().as_secs());
            let reason = held.map(|(reason, _)| reason);
            let changed = progress.held.as_deref() != reason || progress.held_seconds != seconds;
            (progress.held, progress.held_seconds) = (reason.map(str::to_owned), seconds);
            changed
        });
    }

    /// Shows whether the fence of the run's cut-over stands.
    pub(crate) fn fenced(progress: &watch::Sender<Progress>, fenced: bool) {
        progress.send_modify(|progress| progress.fenced = fenced);
    }

    /// Shows that everything is done.
    pub(crate) fn ready(progress: &watch::Sender<Progress>) {
        progress.send_modify(|progress| {
            progress.phase = Phase::Done;
            progress.ready = true;
            progress.waits_for = None;
            progress.leader = None;
        });
    }

    fn update(&self, change: impl FnOnce(&mut Progress)) {
        let began = *self.phase_began.lock().unwrap_or_else(PoisonError::into_inner);
        self.progress.send_modify(|progress| {
            change(progress);
            progress.phase_seconds = began.elapsed().as_secs_f64();
        });
    }

    fn label(&self) -> String {
        self.projection.to_string()
    }

    /// Enters a phase that has this many partitions.
    pub(crate) fn enter(&self, phase: Phase, partitions: usize) {
        *self.phase_began.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.update(|progress| {
            if *progress.projection != *self.projection {
                *progress = Progress { projection: self.projection.to_string(), ..Progress::default() };
            }
            progress.phase = phase;
        });
        gauge!(names::PHASE, "projection" => self.label()).set(f64::from(phase.position()));
        self.partitions(partitions);
    }

    /// Begins a phase that will read this many commits, with all counts at zero.
    pub(crate) fn begin(&self, phase: Phase, commits: u64) {
        self.update(|progress| {
            let projection = self.projection.to_string();
            *progress = Progress { projection, commits_total: commits, ..Progress::default() };
        });
        self.enter(phase, 0);
    }

    /// Notes how many partitions this phase has to write.
    pub(crate) fn partitions(&self, partitions: usize) {
        let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
        self.update(|progress| {
            progress.partitions = partitions;
            progress.partitions_done = 0;
        });
        gauge!(names::PARTITIONS_LEFT, "projection" => self.label()).set(f64::from(partitions));
    }

    /// Notes how many streams are dirty, and for how long the oldest has been.
    pub(crate) fn lag(&self, streams: usize, seconds: u32) {
        gauge!(names::LAG_SECONDS, "projection" => self.label()).set(f64::from(seconds));
        #[expect(clippy::cast_precision_loss, reason = "a number to look at")]
        gauge!(names::DIRTY, "projection" => self.label()).set(streams as f64);
        self.update(|progress| {
            progress.dirty = streams as u64;
            progress.lag_seconds = seconds;
        });
    }

    /// Notes how long a fold waited for its batch.
    pub(crate) fn batch_read(&self, waited: Duration) {
        histogram!(names::READ_SECONDS, "projection" => self.label()).record(waited.as_secs_f64());
    }

    /// Adds these counts.
    pub(crate) fn folded(&self, counts: &FoldCounts) {
        let count = |name: &'static str, value: u64| {
            counter!(name, "projection" => self.label()).increment(value);
        };
        count(names::COMMITS, counts.commits);
        count(names::EVENTS, counts.events);
        count(names::BYTES, counts.bytes);
        count(names::STREAMS, counts.streams);
        count(names::FAILED_STREAMS, counts.failed_streams);
        self.update(|progress| {
            progress.commits += counts.commits;
            progress.events += counts.events;
            progress.bytes += counts.bytes;
            progress.streams += counts.streams;
            progress.failed_streams += counts.failed_streams;
        });
    }

    /// Counts refolded streams.
    pub(crate) fn refolded(&self, streams: u64) {
        counter!(names::REFOLDED, "projection" => self.label()).increment(streams);
        self.update(|progress| progress.refolded += streams);
    }

    /// Resets what was read so far, because everything is read again.
    pub(crate) fn read_again(&self) {
        self.update(|progress| {
            (progress.commits, progress.events, progress.bytes) = (0, 0, 0);
        });
    }

    /// Counts inserted documents and notes how long the insert took.
    pub(crate) fn written(&self, documents: u64, took: Duration) {
        counter!(names::SNAPSHOTS, "projection" => self.label()).increment(documents);
        histogram!(names::WRITE_SECONDS, "projection" => self.label()).record(took.as_secs_f64());
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
        gauge!(names::PARTITIONS_LEFT, "projection" => self.label()).set(f64::from(left));
    }
}
