//! Compares collections with what the events give, and looks again at what differs.

mod comparison;
mod recheck;
mod verdict;

pub(crate) use comparison::{Comparison, ComparisonOutcome, Subject};
pub(crate) use verdict::Recheck;
pub use verdict::{Difference, Kind, Verified};
