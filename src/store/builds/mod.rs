//! What is recorded of one build: its state, checkpoints, heads, failed streams, pauses.

mod build;
pub(in crate::store) mod dead_letters;
mod heads;
mod lag;
mod pause;

pub(crate) use build::BuildStore;
pub use dead_letters::StoredDeadLetter;
pub(in crate::store) use dead_letters::document;
