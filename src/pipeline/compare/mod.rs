//! Compares stored heads and snapshots with those that the events give. Writes nothing.

mod heads;
mod snapshots;

pub(crate) use heads::{check, check_partition};
pub(crate) use snapshots::{Reader, SnapshotComparer, Suspects, read_stored};
