//! The progress of a run, as a value.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::observe::leader::{Doing, Leader};

/// The phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Counting and dividing the streams.
    #[default]
    Planning,
    /// Folding streams into staging.
    Building,
    /// Building indexes.
    Indexing,
    /// Refolding streams that were touched meanwhile.
    CatchingUp,
    /// Comparing staging with the event store.
    Checking,
    /// Folding everything once more, to compare the results.
    Verifying,
    /// Giving final names and setting the pointer.
    Publishing,
    /// Keeping the active generation current.
    Following,
    /// Everything is done.
    Done,
    /// Waiting for another process.
    Waiting,
}

impl Phase {
    /// All phases.
    pub(crate) const ALL: [Self; 10] = [
        Self::Planning,
        Self::Building,
        Self::Indexing,
        Self::CatchingUp,
        Self::Checking,
        Self::Verifying,
        Self::Publishing,
        Self::Following,
        Self::Done,
        Self::Waiting,
    ];

    /// The name, as shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Building => "building",
            Self::Indexing => "indexing",
            Self::CatchingUp => "catching up",
            Self::Checking => "checking",
            Self::Verifying => "verifying",
            Self::Publishing => "publishing",
            Self::Following => "following",
            Self::Done => "done",
            Self::Waiting => "waiting",
        }
    }

    /// Its value as a label of metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::CatchingUp => "catching_up",
            other => other.name(),
        }
    }
}

/// The progress of a run with the projection it is working on.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Name of the projection.
    pub projection: String,
    /// The phase it is in.
    pub phase: Phase,
    /// The phase of each projection of the run; while that waits, the one it will be in afterwards.
    pub phases: BTreeMap<String, Phase>,
    /// Partitions of this phase.
    pub partitions: u32,
    /// Partitions of this phase that are done.
    pub partitions_done: u32,
    /// Commits to read, as counted when planning; those of resumed partitions left out.
    pub commits_total: u64,
    /// Commits read.
    pub commits: u64,
    /// Events folded.
    pub events: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Done share of a build that several processes share, 0 to 1: commits and partitions here are those of
    /// this process alone.
    pub shared: Option<f64>,
    /// Streams completed.
    pub streams: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// Streams that could not be folded.
    pub failed_streams: u64,
    /// Time since this phase began, in seconds.
    pub phase_seconds: f64,
    /// Streams refolded because they had changed.
    pub refolded: u64,
    /// Streams that were touched since they were folded.
    pub dirty: u64,
    /// Age of the oldest change that isn't folded, in seconds.
    pub lag_seconds: u32,
    /// The reason why nothing is read or written for now, in words: a pause, replication that lags, slow
    /// batches.
    pub held: Option<String>,
    /// For how long, in seconds.
    pub held_seconds: u64,
    /// Whether everything is done that was begun, with the hook of a start.
    pub ready: bool,
    /// Whether the fence of this run's cut-over stands: the event store refuses events.
    pub fenced: bool,
    /// The awaited event or holder while the run waits, in words.
    pub waits_for: Option<String>,
    /// The leader while the run waits for another statefold.
    pub leader: Option<Leader>,
}

impl Progress {
    /// Begins to count the work on a projection, or on none: all is as at the beginning, but for what the run
    /// as a whole is in.
    pub(crate) fn begin(&mut self, projection: &str) {
        let (phases, fenced) = (std::mem::take(&mut self.phases), self.fenced);
        *self = Self { projection: projection.to_owned(), phases, fenced, ..Self::default() };
    }

    /// Done share of this phase, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn share(&self) -> f64 {
        let share = match self.phase {
            Phase::Building if self.shared.is_some() => self.shared.unwrap_or(0.0),
            Phase::Building | Phase::Verifying if self.commits_total > 0 => {
                self.commits as f64 / self.commits_total as f64
            }
            Phase::Done => 1.0,
            _ if self.partitions > 0 => f64::from(self.partitions_done) / f64::from(self.partitions),
            _ => 0.0,
        };
        share.clamp(0.0, 1.0)
    }

    /// Events folded per second, in the building phase.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    pub fn events_per_second(&self) -> f64 {
        if self.phase_seconds > 0.0 { self.events as f64 / self.phase_seconds } else { 0.0 }
    }

    /// Time left in this phase, at its rate so far; `None` before that can be told.
    #[must_use]
    pub fn eta(&self) -> Option<Duration> {
        let share = self.share();
        (share > 0.01 && self.phase_seconds > 0.5)
            .then(|| Duration::from_secs_f64(self.phase_seconds * (1.0 - share) / share))
    }

    /// One line: `done/total %, events/s, snapshots, failed streams, phase, ETA`.
    #[must_use]
    pub fn line(&self) -> String {
        self.line_within(usize::MAX)
    }

    /// That line in so many columns, if they suffice for its most important part: the others are left out,
    /// the least important ones first.
    #[must_use]
    pub fn line_within(&self, columns: usize) -> String {
        if let Some(waits_for) = &self.waits_for {
            return format!("waiting for {waits_for}");
        }
        // Each with its rank: the larger, the sooner it is left out.
        let mut parts = vec![(0, format!("{} {}", self.projection, self.phase.name()))];
        if self.phase == Phase::Building {
            let percent = self.share() * 100.0;
            let (done, total, rate) = (self.commits, self.commits_total, self.events_per_second());
            // A worker doesn't know how many will be its own.
            let is_alone = total > 0 && self.shared.is_none();
            let of = if is_alone { format!("/{total}") } else { String::new() };
            parts.push((6, format!(" {done}{of} commits")));
            parts.extend((is_alone || self.shared.is_some()).then(|| (1, format!(" {percent:.0} %"))));
            parts.push((4, format!(", {rate:.0} events/s")));
            parts.push((7, format!(", {} snapshots", self.snapshots)));
        } else if self.phase == Phase::Following {
            parts.push((4, format!(", {} streams refolded", self.refolded)));
        } else if self.partitions > 0 {
            parts.push((1, format!(" {}/{} partitions", self.partitions_done, self.partitions)));
        }
        if self.dirty > 0 {
            parts.push((5, format!(", {} dirty streams, {} s behind", self.dirty, self.lag_seconds)));
        }
        if self.failed_streams > 0 {
            parts.push((3, format!(", {} failed streams", self.failed_streams)));
        }
        if let Some(reason) = &self.held {
            parts.push((2, format!(", waiting for {} s: {reason}", self.held_seconds)));
        } else if let Some(eta) = self.eta() {
            parts.push((2, format!(", {} s left", eta.as_secs().max(1))));
        }
        let width =
            |parts: &[(u8, String)]| parts.iter().map(|(_, part)| part.chars().count()).sum::<usize>();
        while width(&parts) > columns
            && let Some(last) = parts.iter().map(|(rank, _)| *rank).max().filter(|rank| *rank > 0)
        {
            parts.retain(|(rank, _)| *rank != last);
        }
        parts.into_iter().map(|(_, part)| part).collect()
    }
}

impl Doing {
    /// Summarises a progress.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 100")]
    pub fn of(progress: &Progress) -> Self {
        Self {
            projection: progress.projection.clone(),
            phase: progress.phase.name().to_owned(),
            percent: (progress.share() * 100.0).round() as u8,
            commits: progress.commits,
            commits_planned: progress.commits_total,
            eta_seconds: progress.eta().map(|eta| eta.as_secs().max(1)),
            held: progress.held.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_time_left_follow_from_what_is_done() {
        let progress = Progress {
            projection: "Assets".into(),
            phase: Phase::Building,
            commits_total: 400,
            commits: 100,
            events: 120,
            snapshots: 20,
            phase_seconds: 2.0,
            ..Progress::default()
        };
        assert!((progress.share() - 0.25).abs() < 1e-9);
        assert_eq!(progress.eta(), Some(Duration::from_secs(6)));
        assert_eq!(
            progress.line(),
            "Assets building 100/400 commits 25 %, 60 events/s, 20 snapshots, 6 s left"
        );
    }

    #[test]
    fn a_shared_build_is_as_far_as_all_processes_are() {
        let progress = Progress {
            projection: "Assets".into(),
            phase: Phase::Building,
            commits_total: 400,
            commits: 100,
            phase_seconds: 2.0,
            shared: Some(0.5),
            ..Progress::default()
        };
        assert_eq!(progress.line(), "Assets building 100 commits 50 %, 0 events/s, 0 snapshots, 2 s left");
        let worker = Progress { commits_total: 0, shared: None, ..progress };
        assert_eq!(worker.line(), "Assets building 100 commits, 0 events/s, 0 snapshots");
    }

    #[test]
    fn a_narrow_line_gives_up_the_least_important_part_first() {
        let progress = Progress {
            projection: "Assets".into(),
            phase: Phase::Building,
            commits_total: 4000,
            commits: 1000,
            events: 1200,
            snapshots: 20,
            failed_streams: 2,
            phase_seconds: 2.0,
            ..Progress::default()
        };
        let lines = [80, 70, 60, 40, 25, 10].map(|columns| progress.line_within(columns));
        assert_eq!(
            lines,
            [
                "Assets building 1000/4000 commits 25 %, 600 events/s, 2 failed streams, 6 s left",
                "Assets building 25 %, 600 events/s, 2 failed streams, 6 s left",
                "Assets building 25 %, 2 failed streams, 6 s left",
                "Assets building 25 %, 6 s left",
                "Assets building 25 %",
                "Assets building",
            ]
        );
    }

    #[test]
    fn before_anything_is_known_nothing_is_promised() {
        let progress = Progress::default();
        assert!(progress.share().abs() < f64::EPSILON && progress.eta().is_none());
        // A partition that is redone is counted twice.
        let over = Progress { phase: Phase::Building, commits_total: 10, commits: 15, ..Progress::default() };
        assert!((over.share() - 1.0).abs() < f64::EPSILON);
    }
}
