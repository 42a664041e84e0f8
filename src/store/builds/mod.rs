//! The records of builds: state, checkpoints, heads, failed streams, pauses, verifications.

mod build;
mod claims;
mod connect;
pub(in crate::store) mod failed_streams;
mod forget;
mod heads;
mod lag;
mod parts;
mod pause;
mod sharing;
mod verified;
mod workers;

pub(crate) use build::BuildStore;
pub(crate) use claims::{Claims, Task, Unfinished};
pub use failed_streams::StoredFailedStream;
