//! Collections of snapshots: staged, refolded, published, taken over by name, looked up.

mod adopted;
mod before;
mod lookup;
mod publish;
mod replace;
mod replaceable;
mod staging;
mod stored;
mod swap;
mod view;

pub(crate) use adopted::RecordsOnly;
pub(crate) use lookup::SnapshotLookup;
pub(in crate::store) use staging::is_missing;
pub(crate) use swap::is_busy;
pub(crate) use view::{Named, taken};
