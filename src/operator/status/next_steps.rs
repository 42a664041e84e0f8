//! The steps that lead on from a status.

use crate::next_step::NextStep;
use crate::operator::status::report::{ProjectionStatus, Standing, StatusReport};
use crate::store::FenceKind;

/// Whether the unfinished build of a projection was kept back because of its failed streams.
fn is_refused_for_failed_streams(status: &ProjectionStatus) -> bool {
    let code = status.building.as_ref().and_then(|build| build.failure_code.as_deref());
    code == Some("failed_streams")
}

/// The steps that lead on, in order. Beside a leader at work only those that don't have to wait for it.
pub(super) fn next_steps(report: &StatusReport) -> Vec<NextStep> {
    let mut steps = Vec::new();
    if report.is_led {
        for status in &report.projections {
            if status.building.as_ref().is_some_and(|build| build.paused.is_some()) {
                steps.push(NextStep::Resume(Some(status.projection.clone())));
            }
        }
        if report.fence.as_ref().is_some_and(|fence| fence.kind == FenceKind::ReadOnly) {
            steps.push(NextStep::EndReadOnly);
        }
        return steps;
    }
    match report.fence.as_ref().map(|fence| fence.kind) {
        Some(FenceKind::CutOver) => steps.push(NextStep::Migrate),
        Some(FenceKind::ReadOnly) => steps.push(NextStep::EndReadOnly),
        _ if report.projections.iter().any(|status| status.undrained) => steps.push(NextStep::Migrate),
        _ => {}
    }
    if report.lock.held {
        steps.push(NextStep::ShowLock);
    }
    let complete =
        |status: &ProjectionStatus| status.building.as_ref().is_some_and(|build| build.can_cut_over);
    let behind: Vec<String> = report
        .projections
        .iter()
        .filter(|status| matches!(status.state, Standing::Behind | Standing::Broken) && !complete(status))
        .map(|status| status.projection.clone())
        .collect();
    let unfinished = || report.projections.iter().filter(|status| status.building.is_some());
    for status in unfinished() {
        // First: whoever builds it waits until then.
        if status.building.as_ref().is_some_and(|build| build.paused.is_some()) {
            steps.push(NextStep::Resume(Some(status.projection.clone())));
        }
    }
    let failed_streams = |status: &ProjectionStatus| {
        status.failed_streams + status.building.as_ref().map_or(0, |build| build.failed_streams)
    };
    if report.projections.iter().any(|status| failed_streams(status) > 0) {
        steps.push(NextStep::ListFailedStreams);
    }
    let refused = unfinished().filter(|status| is_refused_for_failed_streams(status));
    let max_errors = refused.map(failed_streams).max();
    if max_errors.is_some() {
        steps.push(NextStep::RetryFailedStreams);
    }
    if !behind.is_empty() {
        steps.push(NextStep::Rebuild { projections: behind.clone(), postpone: false, max_errors });
    }
    for status in unfinished() {
        if complete(status) {
            let failed = status.building.as_ref().map(|build| build.failed_streams);
            let failed = failed.filter(|failed| *failed > 0);
            steps.push(NextStep::CutOver { projection: status.projection.clone(), max_errors: failed });
        } else if !behind.contains(&status.projection) {
            let projections = vec![status.projection.clone()];
            steps.push(NextStep::Rebuild { projections, postpone: false, max_errors });
        }
        steps.push(NextStep::Abort(Some(status.projection.clone())));
    }
    steps
}
