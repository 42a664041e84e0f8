//! Compares stored heads and snapshots with those that the events give. Writes nothing.

mod heads;
mod snapshots;

pub(crate) use heads::{check, check_partition, compare_heads};
pub(crate) use snapshots::{Reader, SnapshotComparer, Suspects, read_digest, read_stored};
