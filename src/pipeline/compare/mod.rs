//! Compares what is stored with what the events give: heads both ways, snapshots by hash. Writes nothing.

mod heads;
mod snapshots;

pub(crate) use heads::{check, check_partition};
pub(crate) use snapshots::{Comparing, Reader, Suspects, read_stored};
