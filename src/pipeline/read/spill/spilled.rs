//! A spilled pass, to be folded a range at a time.

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
    /// For each projection and each of its ranges.
    pub(super) frames: Vec<Vec<Mutex<Vec<Frame>>>>,
    pub(super) by: NaturalBy,
}

impl Spilled {
    /// Nothing yet, for projections with so many ranges each.
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

    /// How the event store was divided when it was read.
    pub(crate) fn by(&self) -> NaturalBy {
        self.by
    }

    /// Folds the streams of one range of a projection; `None` if they need too much memory. Blocks:
    /// it belongs on a worker.
    pub(in crate::pipeline) fn fold(
        &self,
        projection: usize,
        range: usize,
        slice: HashSlice,
        with: &SpillFold,
    ) -> Result<Option<FoldedStreams>> {
        let frames = self.frames.get(projection).and_then(|ranges| ranges.get(range));
        let frames = frames.map(|frames| lock(frames).clone()).unwrap_or_default();
        let mut shard = Shard::new(&with.projection, Arc::clone(&with.layout));
        let (mut frame, mut commits) = (Vec::new(), Vec::new());
        for place in frames {
            if with.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            self.file.read(place, &mut frame)?;
            decode_frame(&frame, &mut commits).map_err(|error| Error::Bug(error.to_string()))?;
            for commit in fold::documents(&commits) {
                let stream = statefold_projections::Commit::stream_of(commit, &with.layout);
                if let Some(hash) = stream.map(stream_hash).filter(|hash| slice.holds(*hash)) {
                    shard.push_one(hash, commit);
                }
            }
            with.memory.uses(with.user, shard.bytes());
            while shard.bytes() > with.bytes_max && shard.relieve(with.bytes_max / 4) {}
            if shard.bytes() > with.bytes_max && slice.halves().is_some() {
                return Ok(None);
            }
        }
        let targets = with.projection.spec().targets().len();
        Ok(Some(FoldedStreams::new(vec![Sorted::new(shard)], targets)))
    }
}

/// Streams of a range by the upper bits of their hash: all of them, or a share that fits.
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

    /// The two halves, or `None` if there is nothing to gain from halving any more.
    pub(in crate::pipeline) fn halves(self) -> Option<[Self; 2]> {
        let half = |bit| Self { bits: self.bits + 1, value: self.value << 1 | bit };
        (self.bits < 20).then(|| [half(0), half(1)])
    }
}

/// What folding spilled commits needs.
pub(in crate::pipeline) struct SpillFold {
    pub(in crate::pipeline) projection: Registered,
    pub(in crate::pipeline) layout: Arc<Layout>,
    pub(in crate::pipeline) memory: Arc<Memory>,
    /// Number of the user of that memory.
    pub(in crate::pipeline) user: usize,
    /// What one fold may use.
    pub(in crate::pipeline) bytes_max: usize,
    pub(in crate::pipeline) cancel: CancellationToken,
}
