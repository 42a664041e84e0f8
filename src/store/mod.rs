//! The only room that talks to MongoDB: event store, staging collections, records, lease, migration lock,
//! pointer and instances.
//!
//! Every call has a deadline, every error a class. Invariant: every change of a build's state is conditional
//! on the token. The event store is written only by an application's writer, and for fixtures in a database
//! that has no event store; a run changes nothing of it but its validator.

mod admin;
mod builds;
mod connection;
mod control;
mod events;
mod records;
mod snapshots;

pub(crate) use admin::RunThrottle;
pub(crate) use admin::{ListedCollection, Size};
pub use builds::StoredFailedStream;
pub(crate) use builds::{BuildStore, Claims, Task, Unfinished};
pub(crate) use connection::is_out_of_time;
pub(crate) use connection::{Admin, Beside, Store};
pub use control::LockState;
pub(crate) use control::Positions;
pub use control::{ActiveGeneration, PreviousGeneration, Undrained};
pub(crate) use control::{BootInstant, Flip};
pub(crate) use control::{CUT_OVER, Fenced, Lifted, Prepared, PreparedFence};
pub(crate) use control::{Deed, What};
pub use control::{Fence, FenceKind};
pub use control::{HistoryEntry, HistoryWho};
pub(crate) use control::{LeaseHolder, LeaseTaken, Mandate, Owner};
pub(crate) use control::{Lock, LockTaken};
pub(crate) use events::FIXTURE_MARKER;
pub(crate) use events::Inserted;
#[cfg(feature = "cli")]
pub(crate) use events::check_shape;
pub(crate) use events::{EventStore, StreamIndex};
pub(crate) use events::{Feed, FeedLag, Marker};
pub use events::{FixtureReport, FixtureRequest, write_fixture};
pub use events::{ShapeRequest, write_shape};
#[cfg(feature = "cli")]
pub(crate) use events::{check_fixture, rename_snapshots};
pub(crate) use records::PauseRecord;
pub(crate) use records::SwapRecord;
pub(crate) use records::{BuildOrigin, BuildRecord, Failure, PlanRecord, TargetRecord, Timings};
pub use snapshots::DropOutcome;
pub(crate) use snapshots::is_busy;
pub(crate) use snapshots::{NameHolder, view_name_taken};
pub(crate) use snapshots::{RecordsOnly, Successors};
pub(crate) use snapshots::{RequiredProjection, SnapshotLookup};
