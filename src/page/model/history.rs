//! What was done with the database: cut-overs with what they cost, the last verification, and all of it.

use serde_json::Value;

use crate::page::chart::bars;
use crate::page::model::tone::Tone;
use crate::page::model::words::{count, thousands};
use crate::store::HistoryEntry;

/// Cut-overs that are shown.
const CUT_OVERS_MAX: usize = 20;
/// Deeds that are shown.
const DEEDS_MAX: usize = 30;

/// What is shown of the history.
#[derive(Debug, Default)]
pub(in crate::page) struct History {
    pub(in crate::page) cut_overs: Vec<CutOverShown>,
    /// The milliseconds of the cut-overs, the oldest first, as a chart.
    pub(in crate::page) chart: String,
    pub(in crate::page) verified: Vec<VerifiedShown>,
    pub(in crate::page) deeds: Vec<DeedShown>,
}

/// A cut-over or a roll back.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::page) struct CutOverShown {
    pub(in crate::page) at: String,
    pub(in crate::page) to: String,
    /// The time for which events were refused, or else the time until nothing was left in the past.
    pub(in crate::page) took: String,
    /// What was folded behind the fence, or after the flip.
    pub(in crate::page) late: Option<String>,
}

/// The newest verification of a projection.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::page) struct VerifiedShown {
    pub(in crate::page) projection: String,
    pub(in crate::page) at: String,
    pub(in crate::page) line: String,
    pub(in crate::page) tone: Tone,
}

/// Something that was done.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::page) struct DeedShown {
    pub(in crate::page) at: String,
    pub(in crate::page) what: String,
    pub(in crate::page) about: String,
    pub(in crate::page) who: String,
    pub(in crate::page) details: String,
}

/// What is shown of entries that are sorted, the newest first.
pub(super) fn history(entries: &[HistoryEntry]) -> History {
    let is_flip = |entry: &&HistoryEntry| matches!(entry.what.as_str(), "cut_over" | "rolled_back");
    let flips: Vec<&HistoryEntry> = entries.iter().filter(is_flip).take(CUT_OVERS_MAX).collect();
    let costs: Vec<f64> = flips.iter().rev().map(|entry| cost(entry).0).collect();
    History {
        cut_overs: flips.iter().map(|entry| cut_over(entry)).collect(),
        // One alone says nothing.
        chart: if costs.len() > 1 { bars(&costs) } else { String::new() },
        verified: verified(entries),
        deeds: entries.iter().take(DEEDS_MAX).map(deed).collect(),
    }
}

fn number(entry: &HistoryEntry, name: &str) -> f64 {
    entry.details.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

/// The milliseconds of a cut-over, and whether events were refused meanwhile.
fn cost(entry: &HistoryEntry) -> (f64, bool) {
    match number(entry, "fence_ms") {
        fenced if fenced > 0.0 => (fenced, true),
        _ => (number(entry, "drain_ms"), false),
    }
}

fn cut_over(entry: &HistoryEntry) -> CutOverShown {
    let (milliseconds, is_fenced) = cost(entry);
    let streams = |name: &str| entry.details.get(name).and_then(Value::as_u64).filter(|count| *count > 0);
    let folded = |streams: u64, when: &str| format!("{} folded {when}", count(streams, "stream", "streams"));
    let after = streams("refolded_after").map(|streams| folded(streams, "after the flip"));
    let behind = streams("refolded_fenced").map(|streams| folded(streams, "behind the fence"));
    let back = if entry.what == "rolled_back" { "back to " } else { "" };
    CutOverShown {
        at: entry.at.clone(),
        to: format!("{back}{}", about(entry)),
        took: match is_fenced {
            true => format!("{milliseconds:.1} ms fenced"),
            false if milliseconds > 0.0 => format!("no fence, drained in {milliseconds:.0} ms"),
            false => "no fence".to_owned(),
        },
        late: behind.or(after),
    }
}

fn about(entry: &HistoryEntry) -> String {
    let generation = entry.generation.map(|generation| format!("generation {generation}"));
    let words = entry.projection.iter().cloned().chain(generation);
    words.collect::<Vec<_>>().join(" ")
}

fn verified(entries: &[HistoryEntry]) -> Vec<VerifiedShown> {
    let mut shown: Vec<VerifiedShown> = Vec::new();
    for entry in entries {
        let Some(projection) = &entry.projection else { continue };
        if shown.iter().any(|one| one.projection == *projection) {
            continue;
        }
        let text = |name: &str| entry.details.get(name).and_then(Value::as_str);
        let generation = entry.generation.map_or_else(String::new, |it| format!("generation {it}, "));
        let (line, tone) = match (entry.what.as_str(), text("verdict")) {
            ("verified", Some("equal")) => (format!("{generation}equal to the event store"), Tone::Good),
            ("verified", Some("differs")) => (format!("{generation}differs from the event store"), Tone::Bad),
            ("verified", Some(verdict)) => (format!("{generation}{verdict}"), Tone::Warn),
            ("built" | "cut_over" | "rolled_back", _) => match text("verified") {
                Some(extent) => (format!("{generation}{extent}, before its cut-over"), Tone::Good),
                None => continue,
            },
            _ => continue,
        };
        shown.push(VerifiedShown { projection: projection.clone(), at: entry.at.clone(), line, tone });
    }
    shown.sort_by(|one, other| one.projection.cmp(&other.projection));
    shown
}

/// Details that are shown, with the words before and after each.
const DETAILS: [(&str, &str, &str); 8] = [
    ("verdict", "", ""),
    ("snapshots", "", " snapshots"),
    ("failed_streams", "", " failed streams"),
    ("from_generation", "from ", ""),
    ("mode", "by ", ""),
    ("reason", "", ""),
    ("interrupted", "after an interruption", ""),
    ("forced", "forced", ""),
];

fn deed(entry: &HistoryEntry) -> DeedShown {
    let is_flip = matches!(entry.what.as_str(), "cut_over" | "rolled_back");
    let shown = |(name, before, after): &(&str, &str, &str)| {
        // That of a flip is a word for machines: why there was a fence, or none.
        if is_flip && *name == "reason" {
            return None;
        }
        let text = match entry.details.get(*name)? {
            Value::Bool(is_so) => return is_so.then(|| (*before).to_owned()),
            Value::String(text) => text.clone(),
            Value::Number(number) => number.as_u64().filter(|number| *number > 0).map(thousands)?,
            _ => return None,
        };
        Some(format!("{before}{text}{after}"))
    };
    DeedShown {
        at: entry.at.clone(),
        what: entry.what.replace('_', " "),
        about: about(entry),
        who: format!("{}@{}", entry.who.user, entry.who.host),
        details: DETAILS.iter().filter_map(shown).collect::<Vec<_>>().join(", "),
    }
}
