//! Progress values, rates and metrics: all that a run shows while it works.
//!
//! A leaf: it uses no other room but `fold`'s counts. The library records metrics through the
//! `metrics` facade and installs no recorder.

mod instance;
mod known;
mod leader;
pub mod metric;
mod progress;
mod recorder;
mod run;
mod states;
mod wait;
mod worker;

pub use instance::InstanceRow;
pub(crate) use known::Known;
pub use leader::{Doing, Leader};
pub use progress::{Phase, Progress};
pub(crate) use recorder::Recorder;
pub(crate) use wait::Wait;
pub use worker::WorkerRow;
pub(crate) use worker::{WorkerDoing, WorkersShown};
