//! One pass over the event store: surveyed first, then read as the strategy says.

mod reading;
mod report;
mod survey;

pub(crate) use reading::{PassPart, PassReader};
pub use report::PassReport;
pub(crate) use survey::{FEW_COMMITS, Survey, seconds_of};
