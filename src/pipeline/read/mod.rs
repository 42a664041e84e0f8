//! Reads the event store: by the index, in natural order, or through a spill file.

mod natural;
mod scan;
mod spill;

pub(crate) use natural::{InMemory, Pass, Wanted};
pub(in crate::pipeline) use scan::{BatchSink, read};
pub(in crate::pipeline) use spill::{HashSlice, SpillFold};
pub(crate) use spill::{SpillFile, Spilled};
