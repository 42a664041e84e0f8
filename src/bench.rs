//! The pure steps of the hot path, for the benchmarks of this workspace only; they may change at any time.

pub use crate::fold::{Route, Router, StreamFold, decode_frame, encode_frame};
