//! Moves commits from the event store through the fold into staging: tasks, channels, cancellation.
//!
//! It sees the outside only through [`ports`], never names a driver, and decides nothing that `plan` or
//! `lifecycle` can decide. Invariant: every channel is bounded, and after the first error
//! nothing more is written.

mod compare;
mod governor;
mod job;
mod memory;
mod notable;
pub(crate) mod ports;
mod read;
mod required;
mod retry;
mod workers;
mod write;

pub(crate) use compare::{Reader, SnapshotComparer, Suspects, read_digest, read_stored};
pub(crate) use compare::{check, check_partition, compare_heads};
pub(crate) use governor::{Governor, ThrottleSource};
pub(crate) use job::{Input, Job, JobContext, PartitionsDone};
pub(crate) use memory::Memory;
pub(crate) use read::{Exchanging, SpillFile};
pub(crate) use read::{InMemory, Pass, Wanted};
pub(crate) use required::Required;
pub(crate) use retry::pauses;
pub(crate) use workers::Workers;
pub(crate) use write::{BYTES_TOGETHER, Differing, differing, fold_streams, orphans, refold};
pub(crate) use write::{Queue, run};
