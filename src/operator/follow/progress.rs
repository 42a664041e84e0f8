//! Progress of a follower, for all its projections together.

use statefold_projections::Registered;
use tokio::sync::watch;

use crate::observe::{Phase, Progress, Recorder};
use crate::store::FeedLag;

/// The progress of all projections together; metrics are each projection's own.
pub(super) struct Shown {
    projections: String,
    progress: watch::Sender<Progress>,
}

impl Shown {
    pub(super) fn new(projections: &[Registered], progress: &watch::Sender<Progress>) -> Self {
        let names: Vec<&str> = projections.iter().map(|projection| projection.spec().name()).collect();
        Self { projections: names.join(", "), progress: progress.clone() }
    }

    /// Shows which projections have a generation that is followed; the others wait for one.
    pub(super) fn followed<'a>(&self, all: impl Iterator<Item = (&'a str, bool)>) {
        let phase = |followed: bool| if followed { Phase::Following } else { Phase::Waiting };
        Recorder::phases(&self.progress, all.map(|(projection, followed)| (projection, phase(followed))));
    }

    /// Shows how far the follower is behind before a round.
    pub(super) fn behind(&self, behind: FeedLag) {
        self.progress.send_modify(|progress| {
            if progress.phase != Phase::Following {
                progress.begin(&self.projections);
                progress.phase = Phase::Following;
            }
            progress.dirty = behind.streams as u64;
            progress.lag_seconds = behind.seconds;
        });
    }

    /// Shows how many streams a round refolded.
    pub(super) fn refolded(&self, streams: u64) {
        self.progress.send_modify(|progress| {
            progress.refolded += streams;
            (progress.dirty, progress.lag_seconds) = (0, 0);
        });
    }
}
