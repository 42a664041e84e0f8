//! The only room that talks to MongoDB: the event store, staging, records, lease, lock, pointer
//! and instances.
//!
//! Every call has a deadline, every error a class. Invariant: whatever changes the state of a build
//! is conditional on the token, and the event store is never written (but for fixtures, in a
//! database that has none).

mod admin;
mod builds;
mod connection;
mod control;
mod events;
mod records;
mod snapshots;

pub(crate) use admin::RunThrottle;
pub(crate) use admin::{Dropped, Listed, Size};
pub(crate) use builds::BuildStore;
pub use builds::StoredFailedStream;
pub(crate) use connection::is_out_of_time;
pub(crate) use connection::{Admin, Store};
pub(crate) use control::Flip;
pub use control::LockState;
pub(crate) use control::Positions;
pub use control::{ActiveGeneration, PreviousGeneration};
pub(crate) use control::{CUT_OVER, Fenced};
pub use control::{Fence, FenceKind};
pub(crate) use control::{LeaseHolder, Mandate, Owner, Taken};
pub(crate) use control::{Lock, LockTaken};
pub(crate) use events::Inserted;
pub(crate) use events::{Behind, Feed, Marker};
pub(crate) use events::{Direction, EventStore};
pub use events::{FixtureReport, FixtureRequest, write_fixture};
pub(crate) use records::PauseRecord;
pub(crate) use records::SwapRecord;
pub(crate) use records::{BuildRecord, Failure, PlanRecord, TargetRecord, Timings};
pub(crate) use snapshots::RecordsOnly;
pub(crate) use snapshots::SnapshotLookup;
pub(crate) use snapshots::is_busy;
pub(crate) use snapshots::{Named, taken};
