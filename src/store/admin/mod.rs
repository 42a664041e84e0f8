//! The operator's view of the server: collections, capacity, members of the replica set, privileges.

mod capacity;
mod cleanup;
mod privileges;
mod replication;

pub(crate) use cleanup::{ListedCollection, Size};
pub(crate) use replication::RunThrottle;
