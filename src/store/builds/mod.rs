//! The records of builds: state, checkpoints, heads, failed streams, pauses, verifications.

mod build;
mod connect;
pub(in crate::store) mod failed_streams;
mod heads;
mod lag;
mod pause;
mod verified;

pub(crate) use build::BuildStore;
pub use failed_streams::StoredFailedStream;
