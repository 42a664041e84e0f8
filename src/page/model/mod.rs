//! What the page shows, as values: from reports to words, numbers and tones. Pure, and without a clock: times
//! are shown as ages by whoever reads the page.

mod announcement;
mod failed;
mod history;
mod lane;
mod seen;
mod tiles;
mod tone;
pub(super) mod words;
mod work;

use std::sync::Arc;

pub(super) use failed::{Failed, FailedStream};
pub(super) use history::{CutOverShown, DeedShown, History, VerifiedShown};
pub(super) use lane::{Generation, Lane};
pub(super) use seen::Seen;
pub(super) use tiles::Tile;
pub(super) use tone::Tone;
pub(super) use work::{Bar, Step, StepState, WorkShown};

use crate::next_step::NextStep;
use crate::observe::{InstanceRow, WorkerRow};
use crate::operator::Overview;

/// Puts a next step into words; `None`: it isn't shown.
pub(super) type Say = Arc<dyn Fn(&NextStep) -> Option<String> + Send + Sync>;

/// The page.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) database: Option<String>,
    pub(super) server: String,
    /// Why there is nothing newer, and when what is shown was seen.
    pub(super) problem: Option<Problem>,
    /// A sentence for who can't see the page, which changes rarely.
    pub(super) announcement: String,
    pub(super) tiles: Vec<Tile>,
    /// Commands that lead on.
    pub(super) next: Vec<String>,
    pub(super) lanes: Vec<Lane>,
    pub(super) lags: Vec<LagShown>,
    pub(super) failed: Failed,
    pub(super) instances: Vec<InstanceRow>,
    pub(super) workers: Vec<WorkerRow>,
    pub(super) history: History,
}

/// Why there is nothing newer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) reason: String,
    pub(super) seen_at: Option<String>,
}

/// How far a projection is behind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LagShown {
    pub(super) projection: String,
    pub(super) line: String,
    pub(super) tone: Tone,
    pub(super) curve: String,
}

impl View {
    /// What is shown of what is known.
    pub(super) fn of(seen: &Seen, say: &Say) -> Self {
        let problem = seen.problem.as_ref();
        let problem = problem.map(|reason| Problem { reason: reason.clone(), seen_at: seen.seen_at.clone() });
        let announcement = announcement::of(seen);
        let Some(overview) = &seen.overview else {
            return Self { problem, announcement, ..Self::default() };
        };
        let status = &overview.status;
        Self {
            database: Some(status.database.clone()),
            server: format!("MongoDB {}", status.server_version),
            problem,
            announcement,
            tiles: tiles::tiles(status, seen.working.as_ref()),
            next: status.next_steps.iter().filter_map(|step| say(step)).collect(),
            lanes: lane::lanes(seen, overview),
            lags: lags(seen, overview),
            failed: failed::failed(&overview.failures),
            instances: status.instances.clone(),
            workers: status.workers.clone(),
            history: history::history(&overview.history),
        }
    }
}

fn lags(seen: &Seen, overview: &Overview) -> Vec<LagShown> {
    let with_active = overview.status.projections.iter().filter(|found| found.active_generation.is_some());
    let shown = with_active.map(|status| {
        let (line, tone) = match &status.lag {
            None => ("can't be told".to_owned(), Tone::Quiet),
            Some(lag) if lag.commits == 0 => ("current".to_owned(), Tone::Good),
            // The application may have folded them: statefold can't know.
            Some(lag) if !lag.followed => (format!("not followed: {}", lag.line()), Tone::Quiet),
            Some(lag) => (lag.line(), if lag.seconds > 60 { Tone::Warn } else { Tone::Busy }),
        };
        let curve = seen.lag_curve(&status.projection);
        LagShown { projection: status.projection.clone(), line, tone, curve }
    });
    shown.collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
pub(super) mod tests;
