//! The request for a run.

use crate::lifecycle::CutOverMode;

/// Request for a rebuild, a cut-over or a roll back.
#[derive(Debug, Clone, Default)]
pub struct Rebuild {
    /// Names of the projections, without case; all registered ones if empty.
    pub projections: Vec<String>,
    /// Start over even if an unfinished build could be resumed; that one is aborted.
    pub fresh: bool,
    /// How readers find the new generation; by default as they find the active one.
    pub mode: Option<CutOverMode>,
    /// Stop when everything is built and verified; [`cutover`](crate::cutover) continues.
    pub postpone: bool,
    /// Cut over even if servers are running that can't read the new version.
    pub force: bool,
}

impl Rebuild {
    /// A request to rebuild these projections.
    #[must_use]
    pub fn of<S: Into<String>>(projections: impl IntoIterator<Item = S>) -> Self {
        Self { projections: projections.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// How a run treats a generation of this version that is finished already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFinished {
    /// Build the next generation: a rebuild was asked for.
    BuildNext,
    /// Keep the finished one: only projections that are behind or complete were asked for.
    Keep,
}

/// Who asked for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// An operator. All projections are published together or none, and the migration lock is held for the
    /// cut-over alone, so that servers of the application may start meanwhile.
    Operator,
    /// A server that starts. It holds the migration lock already, and publishes each projection as soon as
    /// that is finished.
    Start,
}
