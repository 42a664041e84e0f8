//! Compares collections with what the events give, and rechecks streams that differ.

mod comparison;
mod proven;
mod recheck;
mod verdict;

pub(crate) use comparison::{Comparison, ComparisonOutcome, Subject};
pub(crate) use verdict::Recheck;
pub use verdict::{Difference, FieldCount, Kind, Verified};
