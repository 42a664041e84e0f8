//! The pure steps of the hot path, for the benches of this workspace alone: no promise is made about them.

pub use crate::fold::{Route, Router, StreamFold, decode_frame, encode_frame};
