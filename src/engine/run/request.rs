//! What is asked of a run.

use crate::lifecycle::CutOverMode;

/// What to rebuild.
#[derive(Debug, Clone, Default)]
pub struct Rebuild {
    /// Names of the projections, without case; all registered ones if empty.
    pub projections: Vec<String>,
    /// Begin anew even if an unfinished build could be resumed; that one is aborted.
    pub fresh: bool,
    /// How readers find the new generation; as they find the active one, if nothing is said.
    pub mode: Option<CutOverMode>,
    /// Stop when everything is built and verified; [`cutover`] goes on.
    pub postpone: bool,
    /// Cut over although servers run that can't read the new version.
    pub force: bool,
}

impl Rebuild {
    /// Rebuilds these projections.
    #[must_use]
    pub fn of<S: Into<String>>(projections: impl IntoIterator<Item = S>) -> Self {
        Self { projections: projections.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// What a run does about a generation of this version that is finished already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFinished {
    /// It builds the next one: a rebuild was asked for.
    BuildNext,
    /// It keeps that one: only what is behind, or complete, was asked for.
    Keep,
}
