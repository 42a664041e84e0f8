//! Where compressed commits go.

use crate::error::Result;

/// Takes compressed commits.
pub(in crate::pipeline) trait FrameSink {
    /// Takes a frame with commits of a range of a projection.
    fn write(&self, projection: usize, range: usize, frame: &[u8]) -> Result<()>;
}
