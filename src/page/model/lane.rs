//! A projection with its generations, from the oldest to the one that is being built.

use crate::observe::Doing;
use crate::operator::{GenerationRow, Overview, ProjectionStatus, Role, Standing};
use crate::page::model::seen::Seen;
use crate::page::model::tone::Tone;
use crate::page::model::words::{count, thousands};
use crate::page::model::work::{WorkShown, work};

/// A projection.
#[derive(Debug)]
pub(in crate::page) struct Lane {
    pub(in crate::page) projection: String,
    pub(in crate::page) version: u32,
    pub(in crate::page) standing: (&'static str, Tone),
    pub(in crate::page) generations: Vec<Generation>,
    pub(in crate::page) work: Option<WorkShown>,
    /// What else there is to know.
    pub(in crate::page) notes: Vec<String>,
}

/// A generation.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::page) struct Generation {
    pub(in crate::page) number: u32,
    pub(in crate::page) role: Role,
    pub(in crate::page) role_name: &'static str,
    pub(in crate::page) collections: Vec<String>,
    /// Names and values.
    pub(in crate::page) facts: Vec<(&'static str, String)>,
    /// Since when it is what it is, in RFC 3339.
    pub(in crate::page) since: Option<String>,
}

/// Collections that a generation is shown with; the rest is counted.
const COLLECTIONS_MAX: usize = 3;
/// Characters of a digest that are shown.
const DIGEST_CHARACTERS: usize = 12;

pub(super) fn lanes(seen: &Seen, overview: &Overview) -> Vec<Lane> {
    overview.status.projections.iter().map(|status| lane(seen, overview, status)).collect()
}

fn lane(seen: &Seen, overview: &Overview, status: &ProjectionStatus) -> Lane {
    let name = &status.projection;
    let rows = overview.generations.iter().filter(|row| row.projection == *name);
    let leader = overview.status.leader.as_ref().filter(|_| overview.status.is_led);
    let doing = seen.working.as_ref().or(leader.map(|leader| &leader.doing));
    // One pass reads for several projections, which are named together.
    let is_ours = |doing: &&Doing| doing.projection.split(", ").any(|one| one == name);
    let (is_led, doing) = (doing.is_some(), doing.filter(is_ours));
    let building = rows.clone().find(|row| row.role == Role::Building);
    Lane {
        projection: name.clone(),
        version: status.projection_version,
        standing: standing(status.state),
        generations: rows.map(generation).collect(),
        work: work(doing, is_led, status.building.as_ref(), building, seen.rate(name)),
        notes: notes(status, overview.status.is_led),
    }
}

fn standing(state: Standing) -> (&'static str, Tone) {
    let tone = match state {
        Standing::UpToDate => Tone::Good,
        Standing::Behind => Tone::Warn,
        Standing::Ahead | Standing::Broken => Tone::Bad,
        Standing::NoEventStore => Tone::Quiet,
    };
    (state.name(), tone)
}

fn generation(row: &GenerationRow) -> Generation {
    let digest = row.digest.as_ref().map(|digest| digest.chars().take(DIGEST_CHARACTERS).collect());
    let more = row.collections.len().saturating_sub(COLLECTIONS_MAX);
    let mut collections: Vec<String> = row.collections.iter().take(COLLECTIONS_MAX).cloned().collect();
    if more > 0 {
        collections.push(format!("and {more} more"));
    }
    let facts = [
        ("snapshots", row.snapshots.map(thousands)),
        ("version", Some(row.projection_version.to_string())),
        ("found by", row.mode.map(|mode| mode.to_string())),
        ("digest", digest),
    ];
    Generation {
        number: row.generation,
        role: row.role,
        role_name: match row.role {
            Role::Kept => "kept",
            Role::Active => "active",
            Role::Building => row.state.map_or("building", state_name),
        },
        collections,
        facts: facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        since: row.since.clone(),
    }
}

/// The state of an unfinished build, in words.
fn state_name(state: crate::lifecycle::BuildState) -> &'static str {
    use crate::lifecycle::BuildState;
    match state {
        BuildState::CatchingUp => "catching up",
        BuildState::Verified => "ready",
        BuildState::Published => "being published",
        BuildState::Retired => "being caught up",
        other => other.name(),
    }
}

fn notes(status: &ProjectionStatus, is_led: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if status.failed_streams > 0 {
        let failed = count(status.failed_streams, "stream", "streams");
        notes.push(format!("The active generation lacks {failed} that could not be folded."));
    }
    if status.undrained {
        notes.push(if is_led {
            "What changed right before the flip is being folded.".to_owned()
        } else {
            "The cut-over was interrupted after its flip: whoever leads next folds what is left.".to_owned()
        });
    }
    notes.extend(status.views_elsewhere.iter().cloned());
    notes
}
