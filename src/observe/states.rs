//! The sets of states among the metrics: of each set, what is the case is 1, and all else 0.

use metrics::gauge;

use crate::observe::metric;
use crate::observe::progress::{Phase, Progress};
use crate::observe::wait::Wait;

/// Shows the phase of each projection; while the run waits for another process, that is the phase of those
/// that aren't done.
pub(super) fn show_phases(progress: &Progress) {
    for (projection, phase) in &progress.phases {
        let waits = progress.phase == Phase::Waiting && *phase != Phase::Done;
        show_phase(projection, Some(if waits { Phase::Waiting } else { *phase }));
    }
}

/// Shows the phase of a projection; `None` once no run is at work on it.
pub(super) fn show_phase(projection: &str, now: Option<Phase>) {
    for phase in Phase::ALL {
        let labels = [("projection", projection.to_owned()), ("phase", phase.label().to_owned())];
        gauge!(metric::PHASE.name, &labels).set(value(now == Some(phase)));
    }
}

/// Shows what a run waits for, apart from what holds it; `None` if for nothing.
pub(super) fn show_wait(now: Option<Wait>) {
    show_among(now, |wait| !wait.is_hold());
}

/// Shows what holds a run; `None` if nothing does.
pub(super) fn show_hold(now: Option<Wait>) {
    show_among(now, Wait::is_hold);
}

fn show_among(now: Option<Wait>, is_among: impl Fn(Wait) -> bool) {
    for wait in Wait::ALL.into_iter().filter(|wait| is_among(*wait)) {
        gauge!(metric::WAITING.name, "reason" => wait.name()).set(value(now == Some(wait)));
    }
}

/// Whether something is the case, as a metric.
pub(super) fn value(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}
