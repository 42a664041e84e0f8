//! What a run shows as a whole: its projections, its lease, what it waits for, its fence, its end.

use std::time::{Duration, Instant};

use metrics::{SharedString, counter, gauge, histogram};
use tokio::sync::watch;

use crate::observe::leader::Leader;
use crate::observe::metric;
use crate::observe::progress::{Phase, Progress};
use crate::observe::recorder::Recorder;
use crate::observe::states::{show_hold, show_phase, show_phases, show_wait, value};
use crate::observe::wait::Wait;

impl Recorder {
    /// Begins a run on these projections: all their metrics exist from now on.
    pub(crate) fn begin_run<'a>(
        progress: &watch::Sender<Progress>,
        projections: impl IntoIterator<Item = &'a str>,
    ) {
        let names: Vec<String> = projections.into_iter().map(str::to_owned).collect();
        let labels: Vec<SharedString> = names.iter().map(|name| name.clone().into()).collect();
        metric::exist(&labels);
        progress.send_modify(|progress| {
            progress.phases = names.into_iter().map(|name| (name, Phase::Planning)).collect();
            show_phases(progress);
        });
    }

    /// Shows that everything is done.
    pub(crate) fn ready(progress: &watch::Sender<Progress>) {
        progress.send_modify(|progress| {
            progress.phase = Phase::Done;
            progress.ready = true;
            progress.waits_for = None;
            progress.leader = None;
            progress.phases.values_mut().for_each(|phase| *phase = Phase::Done);
            show_phases(progress);
            rest(progress);
        });
    }

    /// Shows that the run has ended without being done: no projection is in any phase any more.
    pub(crate) fn failed(progress: &watch::Sender<Progress>) {
        progress.send_if_modified(|progress| {
            progress.phases.keys().for_each(|projection| show_phase(projection, None));
            rest(progress);
            false
        });
    }

    /// Shows the phase of each projection that is followed, or waits to be.
    pub(crate) fn phases<'a>(
        progress: &watch::Sender<Progress>,
        phases: impl IntoIterator<Item = (&'a str, Phase)>,
    ) {
        progress.send_if_modified(|progress| {
            let mut changed = false;
            for (projection, phase) in phases {
                changed |= progress.phases.insert(projection.to_owned(), phase) != Some(phase);
            }
            if changed {
                show_phases(progress);
            }
            changed
        });
    }

    /// Shows that this process follows no more, and will wait for its turn.
    pub(crate) fn stand_by(progress: &watch::Sender<Progress>) {
        progress.send_modify(|progress| {
            progress.begin("");
            progress.phases.values_mut().for_each(|phase| *phase = Phase::Waiting);
            show_phases(progress);
            rest(progress);
        });
    }

    /// Notes the token this process leads under, `None` once it leads no more.
    pub(crate) fn leading(token: Option<i64>) {
        #[expect(clippy::cast_precision_loss, reason = "tokens are small")]
        gauge!(metric::LEASE_TOKEN.name).set(token.unwrap_or(0) as f64);
    }

    /// Counts a lease that was taken over from a leader that was gone.
    pub(crate) fn takeover() {
        counter!(metric::TAKEOVERS.name).increment(1);
    }

    /// Counts a lease that this process lost.
    pub(crate) fn lease_lost() {
        counter!(metric::LEASES_LOST.name).increment(1);
    }

    /// Shows that the run waits, for a leader or something else.
    pub(crate) fn waiting(
        progress: &watch::Sender<Progress>,
        reason: Wait,
        leader: Option<&Leader>,
        what: &str,
    ) {
        progress.send_modify(|progress| {
            progress.phase = Phase::Waiting;
            progress.waits_for = Some(what.to_owned());
            progress.leader = leader.cloned();
            show_phases(progress);
        });
        show_wait(Some(reason));
    }

    /// Shows that the run no longer waits.
    pub(crate) fn waiting_over(progress: &watch::Sender<Progress>) {
        progress.send_if_modified(|progress| {
            let waited = progress.phase == Phase::Waiting;
            if waited {
                progress.begin("");
                show_phases(progress);
            }
            waited
        });
        show_wait(None);
    }

    /// Shows what holds the run and since when, or that it is held no longer.
    pub(crate) fn held(progress: &watch::Sender<Progress>, held: Option<(Wait, &str, Instant)>) {
        progress.send_if_modified(|progress| {
            let seconds = held.map_or(0, |(_, _, since)| since.elapsed().as_secs());
            let reason = held.map(|(_, reason, _)| reason);
            let changed = progress.held.as_deref() != reason || progress.held_seconds != seconds;
            (progress.held, progress.held_seconds) = (reason.map(str::to_owned), seconds);
            changed
        });
        show_hold(held.map(|(wait, _, _)| wait));
    }

    /// Shows that the fence of the run's cut-over stands.
    pub(crate) fn fence_stands(progress: &watch::Sender<Progress>) {
        progress.send_modify(|progress| progress.fenced = true);
        gauge!(metric::FENCED.name).set(value(true));
    }

    /// Shows that the fence of the run's cut-over is lifted, and for how long it stood.
    pub(crate) fn fence_lifted(progress: &watch::Sender<Progress>, stood: Duration) {
        let mut stands = false;
        progress.send_modify(|progress| stands = std::mem::take(&mut progress.fenced));
        gauge!(metric::FENCED.name).set(value(false));
        // A fence may be lifted twice, to be sure.
        if stands {
            histogram!(metric::FENCE_SECONDS.name).record(stood.as_secs_f64());
        }
    }

    /// Notes how long it took after a flip until all was folded that arrived before it.
    pub(crate) fn drained(took: Duration) {
        histogram!(metric::DRAIN_SECONDS.name).record(took.as_secs_f64());
    }

    /// Notes that a spill file grew by so many bytes.
    pub(crate) fn spilled(bytes: u64) {
        gauge!(metric::SPILL_BYTES.name).increment(number(bytes));
    }

    /// Notes that so many bytes of a spill file are gone.
    pub(crate) fn unspilled(bytes: u64) {
        gauge!(metric::SPILL_BYTES.name).decrement(number(bytes));
    }
}

/// Takes away what a run shows of its present state, once it is at work no more.
fn rest(progress: &Progress) {
    for projection in progress.phases.keys() {
        for metric in [metric::PARTITIONS_LEFT, metric::DIRTY, metric::LAG_SECONDS] {
            gauge!(metric.name, "projection" => projection.clone()).set(0.0);
        }
    }
    show_wait(None);
    show_hold(None);
}

#[expect(clippy::cast_precision_loss, reason = "a number to look at")]
fn number(count: u64) -> f64 {
    count as f64
}
