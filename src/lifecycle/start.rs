//! Verdict at the start of a server, from the generations in the database and the versions of this program.

use serde::Serialize;

/// State of one projection in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProjectionState {
    /// Its name.
    pub name: String,
    /// The version this program knows, which is the one it can read.
    pub registered: u32,
    /// The version of the active generation, if there is one.
    pub active: Option<u32>,
    /// Whether a collection of the active generation is missing.
    pub broken: bool,
    /// Numbers of the generations of the registered version whose collections exist, newest first.
    pub readable: Vec<u32>,
}

/// A projection this program reads an older generation of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// Name of the projection.
    pub projection: String,
    /// The version this program knows.
    pub registered: u32,
    /// The version of the active generation.
    pub active: u32,
    /// The generation this program can read.
    pub generation: u32,
}

/// Verdict at the start of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StartVerdict {
    /// Nothing is to be done.
    UpToDate,
    /// These projections are to be built, in this order.
    Behind(Vec<String>),
    /// The database is newer, but generations this program can read are still there: it may serve
    /// them, and must not write.
    Serving(Vec<Behind>),
    /// The database is newer, and no generation this program can read is left.
    Newer {
        /// The first such projection.
        projection: String,
        /// Version of its active generation.
        active: u32,
        /// Version this program knows.
        registered: u32,
    },
}

/// Judges the states of all projections. One newer projection decides: an older program never writes beside a
/// newer one.
#[must_use]
pub(crate) fn judge_start(states: &[ProjectionState]) -> StartVerdict {
    let mut serving = Vec::new();
    for state in states {
        let Some(active) = state.active.filter(|active| *active > state.registered) else { continue };
        match state.readable.first() {
            Some(generation) => serving.push(Behind {
                projection: state.name.clone(),
                registered: state.registered,
                active,
                generation: *generation,
            }),
            None => {
                let (projection, registered) = (state.name.clone(), state.registered);
                return StartVerdict::Newer { projection, active, registered };
            }
        }
    }
    if !serving.is_empty() {
        return StartVerdict::Serving(serving);
    }
    let behind = |state: &&ProjectionState| {
        state.broken || state.active.is_none_or(|active| active < state.registered)
    };
    let behind: Vec<String> = states.iter().filter(behind).map(|state| state.name.clone()).collect();
    if behind.is_empty() { StartVerdict::UpToDate } else { StartVerdict::Behind(behind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, registered: u32, active: Option<u32>) -> ProjectionState {
        ProjectionState { name: name.into(), registered, active, broken: false, readable: Vec::new() }
    }

    #[test]
    fn what_is_older_missing_or_broken_is_built_in_the_order_of_registration() {
        let broken = ProjectionState { broken: true, ..state("D", 1, Some(1)) };
        let states = [state("A", 2, Some(1)), state("B", 1, Some(1)), state("C", 1, None), broken];
        assert_eq!(judge_start(&states), StartVerdict::Behind(vec!["A".into(), "C".into(), "D".into()]));
        assert_eq!(judge_start(&[state("B", 1, Some(1))]), StartVerdict::UpToDate);
        assert_eq!(judge_start(&[]), StartVerdict::UpToDate);
    }

    #[test]
    fn an_old_program_serves_what_it_can_read_and_builds_nothing() {
        let old = ProjectionState { readable: vec![4, 3], ..state("A", 1, Some(2)) };
        let verdict = judge_start(&[state("B", 1, None), old.clone()]);
        let StartVerdict::Serving(behind) = verdict else { panic!("{verdict:?}") };
        assert_eq!(behind.first().map(|one| (one.active, one.generation)), Some((2, 4)));
        let newer = judge_start(&[old, state("C", 1, Some(9))]);
        assert!(matches!(newer, StartVerdict::Newer { active: 9, registered: 1, .. }), "{newer:?}");
    }
}
