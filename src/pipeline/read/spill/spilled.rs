//! A spilled pass, to be folded one range at a time.

use std::sync::Mutex;

use crate::error::Result;
use crate::fold::FoldedStreams;
use crate::pipeline::read::frames::FrameSink;
use crate::pipeline::read::slice::SliceFold;
use crate::pipeline::read::spill::file::{Frame, SpillFile, lock};
use crate::plan::NaturalBy;

/// Commits of one pass in a spill file, by projection and range.
pub(crate) struct Spilled {
    pub(super) file: SpillFile,
    /// The places of the frames of each projection and range.
    pub(super) frames: Vec<Vec<Mutex<Vec<Frame>>>>,
    pub(super) by: NaturalBy,
}

impl Spilled {
    /// A pass with nothing spilled yet, given the number of ranges of each projection.
    pub(super) fn new(file: SpillFile, ranges: &[usize]) -> Self {
        let frames = |count: &usize| (0..*count).map(|_| Mutex::new(Vec::new())).collect();
        Self { file, frames: ranges.iter().map(frames).collect(), by: NaturalBy::OneCursor }
    }

    /// Size of the file, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.file.len()
    }

    /// The way in which the event store was divided when it was read.
    pub(crate) fn by(&self) -> NaturalBy {
        self.by
    }

    /// Folds the streams of one range of a projection; `None` if they need too much memory. It blocks, so
    /// it belongs on a worker.
    pub(in crate::pipeline) fn fold(
        &self,
        projection: usize,
        range: usize,
        mut slice: SliceFold,
    ) -> Result<Option<FoldedStreams>> {
        let frames = self.frames.get(projection).and_then(|ranges| ranges.get(range));
        let (frames, mut frame) = (frames.map(|frames| lock(frames).clone()).unwrap_or_default(), Vec::new());
        for place in frames {
            self.file.read(place, &mut frame)?;
            if !slice.push(&frame)? {
                return Ok(None);
            }
        }
        Ok(Some(slice.done()))
    }
}

impl FrameSink for Spilled {
    fn write(&self, projection: usize, range: usize, frame: &[u8]) -> Result<()> {
        let frame = self.file.append(frame)?;
        if let Some(frames) = self.frames.get(projection).and_then(|ranges| ranges.get(range)) {
            lock(frames).push(frame);
        }
        Ok(())
    }
}
