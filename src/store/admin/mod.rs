//! What an operator needs to know or remove: listings, room on disk, members, rights.

mod capacity;
mod cleanup;
mod privileges;
mod replication;

pub(crate) use cleanup::{Dropped, Listed, Size};
pub(crate) use replication::RunThrottle;
