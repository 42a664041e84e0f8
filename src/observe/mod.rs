//! Progress values, rates and metric names: all that a run shows while it works.
//!
//! A leaf: it uses no other room but `fold`'s counts. The library records metrics through the
//! `metrics` facade and installs no recorder.

mod instance;
mod leader;
pub mod names;
mod progress;
mod recorder;

pub use instance::InstanceRow;
pub use leader::{Doing, Leader};
pub use progress::{Phase, Progress};
pub(crate) use recorder::Recorder;
