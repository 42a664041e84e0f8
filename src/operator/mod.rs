//! The operations that an operator asks for: one file for each verb of the command line, each also callable
//! from a program.

mod abort;
mod adopt;
mod cleanup;
mod dedicated;
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
mod status;
mod verify;

pub use abort::{Aborted, abort};
pub use adopt::{Adopt, AdoptReport, adopt};
pub use cleanup::{Cleanup, Purge, cleanup, purge};
pub use dedicated::dedicated_contents;
pub use failed_streams::retry::{Healed, LeftOut, RetryReport, retry_failed_streams};
pub use failed_streams::{FailedStreamDetails, FailedStreamRow, failed_stream, failed_streams};
pub use follow::follow;
pub use follow::request::{Follow, FollowReport, Followed};
pub use history::history;
pub use lock::{LockReport, lock_state, release_lock};
#[cfg(feature = "http")]
pub(crate) use overview::{Failures, GenerationRow, Lookout, Overview, Role};
pub use pause::{PausedBuild, pause, resume};
pub use plan::{MissingRight, PassPlan, PlanReport, ProjectionPlan, Resumable, preview};
pub use read_only::{ReadOnlyReport, read_only_off, read_only_on, read_only_status};
pub use rebuild::{cutover, rebuild, rollback};
pub use status::{BuildingStatus, Lag, LockStatus, ProjectionStatus, Standing, StatusReport, status};
pub use verify::{Verification, VerifyReport, verify};
