//! Collections of snapshots: staged, refolded, published, renamed to an application's names, looked up,
//! dropped.

mod adopted;
mod asides;
mod before;
mod dropping;
mod exchange;
mod guarded;
mod lookup;
mod publish;
mod replace;
mod replaceable;
mod staging;
mod stored;
mod swap;
mod view;

pub(crate) use adopted::RecordsOnly;
pub use dropping::DropOutcome;
pub(in crate::store) use dropping::listed_uuid;
pub(crate) use lookup::{RequiredProjection, SnapshotLookup};
pub(crate) use replaceable::Successors;
pub(crate) use swap::is_busy;
pub(crate) use view::{NameHolder, view_name_taken};
