//! The operations that an operator asks for: one file for each verb of the command line, each also callable
//! from a program.

mod abort;
mod adopt;
mod authoring;
mod cleanup;
mod dedicated;
#[cfg(feature = "cli")]
mod event_store;
mod failed_streams;
mod follow;
mod history;
mod lock;
#[cfg(feature = "http")]
mod overview;
mod pause;
mod plan;
mod read_only;
mod rebuild;
mod rights;
mod status;
mod verify;
mod work;

pub use abort::{Aborted, abort};
pub use adopt::{Adopt, AdoptReport, adopt};
pub use authoring::{FoldedSample, SampledTypes, commits_of_stream, sample_types};
#[cfg(feature = "cli")]
pub(crate) use authoring::{changes, without_gaps};
pub use cleanup::{Cleanup, Purge, cleanup, purge};
pub use dedicated::dedicated_contents;
#[cfg(feature = "cli")]
pub(crate) use event_store::{at_work, refuse_slip};
pub use failed_streams::retry::{Healed, LeftOut, RetryReport, retry_failed_streams, streams_to_retry};
pub use failed_streams::{FailedStreamDetails, FailedStreamRow, failed_stream, failed_streams};
pub use follow::follow;
pub use follow::request::{Follow, FollowReport, Followed};
pub use history::history;
pub use lock::{LockReport, lock_state, release_lock};
#[cfg(feature = "http")]
pub(crate) use overview::{Failures, GenerationRow, Lookout, Overview, Role};
pub use pause::{PausedBuild, pause, resume, unfinished_builds};
pub use plan::{PassPlan, PlanReport, ProjectionPlan, Resumable, SharedPlan, preview};
pub use read_only::{
    ReadOnlyReport, check_read_only_off, check_read_only_on, read_only_off, read_only_on, read_only_status,
};
pub use rebuild::{
    Destination, check_rebuild, cutover, cutover_destinations, rebuild, rollback, rollback_destinations,
};
pub use rights::{Grant, MissingRight};
pub use status::{BuildingStatus, Lag, LockStatus, ProjectionStatus, Standing, StatusReport, status};
pub use verify::{Verification, VerifyReport, verify};
pub use work::{Linger, Work, WorkReport, work};
