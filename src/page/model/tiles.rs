//! The state of the database in four words: events, leader, follower, migration lock.

use crate::observe::{Doing, Leader};
use crate::operator::StatusReport;
use crate::page::model::tone::Tone;
use crate::store::FenceKind;

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::page) struct Tile {
    pub(in crate::page) label: &'static str,
    pub(in crate::page) value: String,
    pub(in crate::page) tone: Tone,
    pub(in crate::page) details: Vec<String>,
    /// Since when, in RFC 3339.
    pub(in crate::page) since: Option<String>,
}

pub(super) fn tiles(status: &StatusReport, working: Option<&Doing>) -> Vec<Tile> {
    let (leader, follower) = (status.leader.as_ref(), status.follower.as_ref());
    vec![
        events(status),
        leader.map_or_else(|| nobody("Leader"), |leader| led("Leader", leader, status.is_led, working)),
        follower.map_or_else(
            || nobody("Follower"),
            |follower| led("Follower", follower, status.is_followed, None),
        ),
        lock(status),
    ]
}

fn events(status: &StatusReport) -> Tile {
    let label = "Event store";
    if !status.has_event_store {
        let others = match status.databases_with_events.as_slice() {
            [] => "no other database has one either, as far as can be seen".to_owned(),
            names => format!("these have one: {}", names.join(", ")),
        };
        return Tile {
            label,
            value: "not there".into(),
            tone: Tone::Bad,
            details: vec![others],
            since: None,
        };
    }
    let Some(fence) = &status.fence else {
        return Tile { label, value: "takes events".into(), tone: Tone::Good, details: vec![], since: None };
    };
    let what = match fence.kind {
        FenceKind::ReadOnly => "read-only mode",
        FenceKind::CutOver if status.is_led => "the fence of a cut-over",
        FenceKind::CutOver => "the fence of an interrupted cut-over: whoever leads next lifts it",
    };
    Tile {
        label,
        value: "refuses events".into(),
        tone: Tone::Bad,
        details: vec![format!("{what}: {}", fence.reason), format!("by {}", fence.owner)],
        since: fence.since.clone(),
    }
}

fn led(label: &'static str, leader: &Leader, is_at_work: bool, working: Option<&Doing>) -> Tile {
    let beat = format!("beat {}, {:.0} s ago", leader.beat, leader.last_beat_seconds.max(0.0));
    // Why it waits stands in the lane of its projection.
    let doing = working.unwrap_or(&leader.doing);
    let waits = if doing.held.is_some() { ", waiting" } else { "" };
    let doing = format!("{}{waits}", Doing { held: None, eta_seconds: None, ..doing.clone() }.line());
    let doing = if doing.is_empty() { "not yet saying what it does".to_owned() } else { doing };
    Tile {
        label,
        value: leader.name(),
        tone: if is_at_work { Tone::Busy } else { Tone::Warn },
        details: vec![if is_at_work { doing } else { format!("silent; was {doing}") }, beat],
        since: leader.since.clone(),
    }
}

fn nobody(label: &'static str) -> Tile {
    Tile { label, value: "nobody".into(), tone: Tone::Quiet, details: vec![], since: None }
}

fn lock(status: &StatusReport) -> Tile {
    let label = "Migration lock";
    match &status.lock.holder {
        Some(holder) => {
            Tile { label, value: "held".into(), tone: Tone::Warn, details: vec![holder.clone()], since: None }
        }
        None => Tile { label, value: "free".into(), tone: Tone::Good, details: vec![], since: None },
    }
}
