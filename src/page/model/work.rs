//! A build on its way: its step, how far it is, and why it waits.

use crate::lifecycle::BuildState;
use crate::observe::Doing;
use crate::operator::{BuildingStatus, GenerationRow};
use crate::page::model::seen::Rate;
use crate::page::model::words::{count, duration, thousands};

/// The steps of a build, in their order.
const STEPS: [&str; 6] = ["build", "index", "catch up", "check", "verify", "cut-over"];

/// A build on its way.
#[derive(Debug, PartialEq)]
pub(in crate::page) struct WorkShown {
    pub(in crate::page) steps: Vec<Step>,
    pub(in crate::page) bar: Option<Bar>,
    /// The time left, and the time that was planned.
    pub(in crate::page) times: Vec<String>,
    pub(in crate::page) rate: Option<Rate>,
    /// Why it waits, or why it failed.
    pub(in crate::page) waits: Option<String>,
    pub(in crate::page) failure: Option<String>,
}

/// A step of it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::page) struct Step {
    pub(in crate::page) name: &'static str,
    pub(in crate::page) state: StepState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::page) enum StepState {
    Done,
    Current,
    Ahead,
}

/// How much of something is done.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::page) struct Bar {
    pub(in crate::page) done: u64,
    pub(in crate::page) planned: u64,
    pub(in crate::page) line: String,
}

/// What is at work on a projection, if somebody is, or what is left of a build that nobody works on.
pub(super) fn work(
    doing: Option<&Doing>,
    is_led: bool,
    building: Option<&BuildingStatus>,
    row: Option<&GenerationRow>,
    rate: Option<Rate>,
) -> Option<WorkShown> {
    if doing.is_none() && building.is_none() {
        return None;
    }
    let at = match (doing.and_then(|doing| step_of(&doing.phase)), building) {
        (Some(at), _) => at,
        (None, Some(building)) => step_of_state(building),
        (None, None) => 0,
    };
    let steps = STEPS.iter().enumerate().map(|(number, name)| {
        let state = match number.cmp(&at) {
            std::cmp::Ordering::Less => StepState::Done,
            std::cmp::Ordering::Equal => StepState::Current,
            std::cmp::Ordering::Greater => StepState::Ahead,
        };
        Step { name, state }
    });
    let planned = row.and_then(|row| row.planned);
    let going = doing.filter(|doing| doing.held.is_none());
    let left = going.and_then(|doing| doing.eta_seconds).map(|eta| format!("{} left", duration(eta)));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate in seconds")]
    let plan = planned.map(|(_, seconds)| format!("planned {}", duration(seconds.max(1.0).round() as u64)));
    Some(WorkShown {
        steps: steps.collect(),
        bar: bar(doing, building),
        times: left.into_iter().chain(plan).collect(),
        rate: rate.filter(|_| doing.is_some()),
        waits: waits(doing, is_led, building),
        failure: building.and_then(|building| building.failure.clone()).filter(|_| doing.is_none()),
    })
}

/// The step of a phase, as a leader names it.
fn step_of(phase: &str) -> Option<usize> {
    Some(match phase {
        "planning" | "building" => 0,
        "indexing" => 1,
        "catching up" => 2,
        "checking" => 3,
        "verifying" => 4,
        "publishing" => 5,
        _ => return None,
    })
}

fn step_of_state(building: &BuildingStatus) -> usize {
    match building.state {
        BuildState::Planned | BuildState::Building => 0,
        BuildState::Indexing => 1,
        BuildState::CatchingUp => 2,
        BuildState::Verified | BuildState::Published => 5,
        // A failed one is resumed where it was.
        _ if building.partitions_done < building.partitions => 0,
        _ => 1,
    }
}

fn bar(doing: Option<&Doing>, building: Option<&BuildingStatus>) -> Option<Bar> {
    let reads = |doing: &&Doing| ["building", "verifying"].contains(&doing.phase.as_str());
    if let Some(doing) = doing.filter(reads).filter(|doing| doing.commits_planned > 0) {
        // A partition that is read again is counted twice.
        let (done, planned) = (doing.commits.min(doing.commits_planned), doing.commits_planned);
        let line = format!("{} / {} commits", thousands(done), thousands(planned));
        return Some(Bar { done, planned, line });
    }
    if let Some(doing) = doing.filter(|doing| doing.percent > 0) {
        let done = u64::from(doing.percent);
        return Some(Bar { done, planned: 100, line: format!("{done} %") });
    }
    let building = building.filter(|building| building.partitions > 0)?;
    let (done, planned) = (building.partitions_done as u64, building.partitions as u64);
    let line = format!("{} of {} done", thousands(done), count(planned, "partition", "partitions"));
    Some(Bar { done, planned, line })
}

fn waits(doing: Option<&Doing>, is_led: bool, building: Option<&BuildingStatus>) -> Option<String> {
    let paused = building.and_then(|building| building.paused.clone());
    if let Some(paused) = paused {
        return Some(format!("it is {paused}"));
    }
    if let Some(reason) = doing.and_then(|doing| doing.held.clone()) {
        return Some(reason);
    }
    let building = building.filter(|_| doing.is_none())?;
    Some(if is_led && !building.can_cut_over {
        "the leader works on another projection: its turn comes".to_owned()
    } else if !building.can_cut_over {
        "nobody works on it".to_owned()
    } else if building.older_servers.is_empty() {
        "it is complete and verified: readers get it with the cut-over".to_owned()
    } else {
        let (servers, version) = (building.older_servers.join(", "), building.projection_version);
        format!("servers run that can't read version {version}: {servers}")
    })
}
