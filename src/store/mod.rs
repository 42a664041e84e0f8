//! The only room that talks to MongoDB: the event store, staging, records, lease, lock, pointer
//! and instances.
//!
//! Every call has a deadline, every error a class. Invariant: whatever changes the state of a build
//! is conditional on the token, and the event store is never written (but for fixtures, in a
//! database that has none).

mod active;
mod adopted;
mod append;
mod before;
mod build;
mod changes;
mod cleanup;
mod client;
mod control;
mod dead_letters;
mod error;
mod events;
mod feed;
mod fence;
mod fence_record;
mod fixture;
mod follow;
mod heads;
mod holder;
mod insert;
mod instances;
mod lag;
mod lease;
mod lock;
mod lookup;
mod natural;
mod pause;
mod privileges;
mod publish;
mod records;
mod refold;
mod replaceable;
mod replication;
mod room;
mod server;
mod sessions;
mod snapshots;
mod staging;
mod survey;
mod swap;
mod view;

pub(crate) use adopted::RecordsOnly;
pub(crate) use append::Inserted;
pub(crate) use build::BuildStore;
pub(crate) use cleanup::{Dropped, Listed, Size};
pub(crate) use client::Store;
pub(crate) use control::Flip;
pub use control::{ActiveGeneration, PreviousGeneration};
pub use dead_letters::StoredDeadLetter;
pub(crate) use error::is_out_of_time;
pub(crate) use events::{Direction, EventStore};
pub(crate) use feed::{Behind, Feed, Marker};
pub(crate) use fence::{CUT_OVER, Fenced};
pub use fence_record::{Fence, FenceKind};
pub use fixture::{FixtureReport, FixtureRequest, write_fixture};
pub(crate) use follow::Positions;
pub(crate) use lease::{Held, Mandate, Owner, Taken};
pub use lock::LockState;
pub(crate) use lock::{Lock, LockTaken};
pub(crate) use lookup::SnapshotLookup;
pub use pause::PauseRecord;
pub use records::{BuildRecord, Counts, Failure, PlanRecord, TargetRecord, Timings};
pub(crate) use replication::RunHolds;
pub use swap::SwapRecord;
pub(crate) use swap::is_busy;
pub(crate) use view::{Named, taken};
