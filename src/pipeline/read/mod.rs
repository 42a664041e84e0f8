//! Reads the event store: by the index, in natural order, or through a spill file or an exchange.

mod ahead;
mod exchange;
mod frames;
mod natural;
mod scan;
mod slice;
mod spill;

pub(in crate::pipeline) use ahead::Ahead;
pub(crate) use exchange::Exchanging;
pub(in crate::pipeline) use frames::FrameSink;
pub(crate) use natural::{InMemory, Pass, Wanted};
pub(in crate::pipeline) use scan::{BatchSink, read};
pub(in crate::pipeline) use slice::{FrameFold, HashSlice, SliceFold};
pub(crate) use spill::{SpillFile, Spilled};
