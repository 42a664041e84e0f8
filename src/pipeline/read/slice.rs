//! Folds the frames of a partition: all streams at once or, if that needs too much memory, by halves.

use std::sync::Arc;

use statefold_projections::{Commit, Layout, Registered};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::fold::{FoldedStreams, Shard, Sorted, decode_frame, documents};
use crate::lifecycle::stream_hash;
use crate::pipeline::memory::Memory;

/// Streams of a partition by the upper bits of their hash: all of them, or a share that fits into memory.
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

/// The surroundings for folding frames.
pub(in crate::pipeline) struct FrameFold {
    pub(in crate::pipeline) projection: Registered,
    pub(in crate::pipeline) layout: Arc<Layout>,
    pub(in crate::pipeline) memory: Arc<Memory>,
    /// Number of this user of the memory.
    pub(in crate::pipeline) user: usize,
    /// Memory that one fold may use, in bytes.
    pub(in crate::pipeline) bytes_max: usize,
    pub(in crate::pipeline) cancel: CancellationToken,
}

/// The fold of a slice. It blocks, so it belongs on a worker.
pub(in crate::pipeline) struct SliceFold {
    fold: FrameFold,
    slice: HashSlice,
    shard: Shard,
    commits: Vec<u8>,
}

impl SliceFold {
    pub(in crate::pipeline) fn new(fold: FrameFold, slice: HashSlice) -> Self {
        let shard = Shard::new(&fold.projection, Arc::clone(&fold.layout));
        Self { fold, slice, shard, commits: Vec::new() }
    }

    /// Folds what a frame has of the slice. False if its streams need too much memory.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the frame is damaged; [`Error::Interrupted`].
    pub(in crate::pipeline) fn push(&mut self, frame: &[u8]) -> Result<bool> {
        if self.fold.cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        decode_frame(frame, &mut self.commits).map_err(|error| Error::Mismatch(error.to_string()))?;
        for commit in documents(&self.commits) {
            let stream = Commit::stream_of(commit, &self.fold.layout);
            if let Some(hash) = stream.map(stream_hash).filter(|hash| self.slice.holds(*hash)) {
                self.shard.push_one(hash, commit);
            }
        }
        let bytes_max = self.fold.bytes_max;
        self.fold.memory.uses(self.fold.user, self.shard.bytes());
        while self.shard.bytes() > bytes_max && self.shard.relieve(bytes_max / 4) {}
        Ok(self.shard.bytes() <= bytes_max || self.slice.halves().is_none())
    }

    /// The folded streams.
    pub(in crate::pipeline) fn done(self) -> FoldedStreams {
        let targets = self.fold.projection.spec().targets().len();
        FoldedStreams::new(vec![Sorted::new(self.shard)], targets)
    }
}
