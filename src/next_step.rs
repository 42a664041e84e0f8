//! Steps that somebody can take next. The library says which; how a step is typed or called is said by
//! whoever shows it.

/// A step that leads on from a status or from an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// Rebuild these projections, all if there is none, with [`crate::rebuild`].
    Rebuild {
        /// Names of the projections.
        projections: Vec<String>,
        /// Whether to leave the cut-over for later, as [`crate::Rebuild::postpone`].
        postpone: bool,
        /// Failed streams that are allowed, if not none, as [`crate::Tuning::max_errors`].
        max_errors: Option<u64>,
    },
    /// Cut over to the complete build of this projection, with [`crate::cutover`].
    CutOver {
        /// Name of the projection.
        projection: String,
        /// Failed streams that are allowed, if not none, as [`crate::Tuning::max_errors`].
        max_errors: Option<u64>,
    },
    /// Give the unfinished build of this projection up, with [`crate::abort`]; all, if none is named.
    Abort(Option<String>),
    /// Let the paused build of this projection continue, with [`crate::resume`]; all, if none is named.
    Resume(Option<String>),
    /// Start as a server does, which finishes an interrupted migration, with [`crate::migrate`].
    Migrate,
    /// Let the event store take events again, with [`crate::read_only_off`].
    EndReadOnly,
    /// Look at the fence, with [`crate::read_only_status`].
    ShowFence,
    /// Look at the lease and the migration lock, with [`crate::lock_state`].
    ShowLock,
    /// Open a migration lock that a dead process left behind, with [`crate::release_lock`].
    ReleaseLock,
    /// See what a rebuild would do, and which rights are missing, with [`crate::preview`].
    Plan,
    /// List the failed streams, with [`crate::failed_streams`].
    ListFailedStreams,
    /// Fold the failed streams once more, with [`crate::retry_failed_streams`].
    RetryFailedStreams,
    /// Adopt what the application built, with [`crate::adopt`].
    Adopt {
        /// Name of the projection.
        projection: String,
        /// The collections, one for each target of the projection.
        collections: Vec<String>,
    },
    /// Verify collections that the application built, with [`crate::verify`].
    Verify {
        /// Name of the projection.
        projection: String,
        /// The collections, one for each target of the projection.
        collections: Vec<String>,
    },
}

impl NextStep {
    /// The step that cuts over to a build without failed streams.
    pub(crate) fn cut_over(projection: &str) -> Self {
        Self::CutOver { projection: projection.to_owned(), max_errors: None }
    }

    /// The step that rebuilds one projection.
    pub(crate) fn rebuild(projection: &str) -> Self {
        Self::Rebuild { projections: vec![projection.to_owned()], postpone: false, max_errors: None }
    }
}
