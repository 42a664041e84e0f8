//! Moves commits from the event store through the fold into staging: tasks, channels, cancellation.
//!
//! It sees the outside only through [`ports`]; it never names a driver, and decides nothing that
//! `plan` or `lifecycle` can decide. Invariant: every channel is bounded, and after the first error
//! nothing more is written.

mod build;
mod check;
mod compare;
mod governor;
mod memory;
mod natural;
mod partition;
pub mod ports;
mod refold;
mod scan;
mod spill;
mod workers;
mod write;

pub(crate) use build::{Input, Job, PartitionsDone, pauses, run};
pub(crate) use check::{check, check_partition};
pub(crate) use compare::{Comparing, Reader, Suspects, read_stored};
pub(crate) use governor::{Governor, Holds};
pub(crate) use memory::Memory;
pub(crate) use natural::{InMemory, Pass, Wanted};
pub(crate) use refold::{Differing, differing, fold_streams, orphans, refold};
pub(crate) use spill::SpillFile;
pub(crate) use workers::Workers;
