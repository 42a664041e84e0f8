//! A spilled pass, to be folded one range at a time.

use std::sync::{Arc, Mutex};

use statefold_projections::{Layout, Registered};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::fold;
use crate::fold::{FoldedStreams, Shard, Sorted, decode_frame};
use crate::lifecycle::stream_hash;
use crate::pipeline::memory::Memory;
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

    /// Writes a frame with commits of a range of a projection.
    pub(super) fn write(&self, projection: usize, range: usize, frame: &[u8]) -> Result<()> {
        let frame = self.file.append(frame)?;
        if let Some(frames) = self.frames.get(projection).and_then(|ranges| ranges.get(range)) {
            lock(frames).push(frame);
        }
        Ok(())
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
        slice: HashSlice,
        fold: &SpillFold,
    ) -> Result<Option<FoldedStreams>> {
        let frames = self.frames.get(projection).and_then(|ranges| ranges.get(range));
        let frames = frames.map(|frames| lock(frames).clone()).unwrap_or_default();
        let mut shard = Shard::new(&fold.projection, Arc::clone(&fold.layout));
        let (mut frame, mut commits) = (Vec::new(), Vec::new());
        for place in frames {
            if fold.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            self.file.read(place, &mut frame)?;
            decode_frame(&frame, &mut commits).map_err(|error| Error::Bug(error.to_string()))?;
            for commit in fold::documents(&commits) {
                let stream = statefold_projections::Commit::stream_of(commit, &fold.layout);
                if let Some(hash) = stream.map(stream_hash).filter(|hash| slice.holds(*hash)) {
                    shard.push_one(hash, commit);
                }
            }
            fold.memory.uses(fold.user, shard.bytes());
            while shard.bytes() > fold.bytes_max && shard.relieve(fold.bytes_max / 4) {}
            if shard.bytes() > fold.bytes_max && slice.halves().is_some() {
                return Ok(None);
            }
        }
        let targets = fold.projection.spec().targets().len();
        Ok(Some(FoldedStreams::new(vec![Sorted::new(shard)], targets)))
    }
}

/// Streams of a range by the upper bits of their hash: all of them, or a share that fits into memory.
#[derive(Debug, Clone, Copy)]
pub(in crate::pipeline) struct HashSlice {
    bits: u32,
    value: u64,
}

impl HashSlice {
    /// All streams.
    pub(in crate::pipeline) const ALL: Self = Self { bits: 0, value: 0 };

    fn holds(self, hash: u64) -> bool {
        self.bits == 0 || hash >> (64 - self.bits) == self.value
    }

    /// The two halves; `None` if there is nothing to gain from halving it.
    pub(in crate::pipeline) fn halves(self) -> Option<[Self; 2]> {
        let half = |bit| Self { bits: self.bits + 1, value: self.value << 1 | bit };
        (self.bits < 20).then(|| [half(0), half(1)])
    }
}

/// The surroundings for folding spilled commits.
pub(in crate::pipeline) struct SpillFold {
    pub(in crate::pipeline) projection: Registered,
    pub(in crate::pipeline) layout: Arc<Layout>,
    pub(in crate::pipeline) memory: Arc<Memory>,
    /// Number of this user of the memory.
    pub(in crate::pipeline) user: usize,
    /// Memory that one fold may use, in bytes.
    pub(in crate::pipeline) bytes_max: usize,
    pub(in crate::pipeline) cancel: CancellationToken,
}
