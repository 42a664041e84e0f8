//! Natural order with spill: commits go to a compressed file, by ranges of streams, and are folded a
//! range at a time.

mod buffers;
mod file;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use statefold_projections::{Layout, Registered};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::fold;
use crate::fold::{Arrived, Router, Shard, Sorted, decode_frame};
use crate::lifecycle::stream_hash;
use crate::observe::Recorder;
use crate::pipeline::memory::Memory;
use crate::pipeline::natural::Pass;
use crate::pipeline::ports::{CommitBatch, EventSource};
use crate::pipeline::scan;
use crate::pipeline::scan::BatchSink;
use crate::pipeline::workers::Workers;
use crate::plan::NaturalBy;
use buffers::Buffers;
use file::Frame;
pub(crate) use file::SpillFile;

/// Sizes of a frame before compression: small ones waste calls, large ones memory.
const FRAME_BYTES: (usize, usize) = (16 * 1024, 256 * 1024);
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Commits of one pass in a spill file, by projection and range.
pub(crate) struct Spilled {
    file: SpillFile,
    /// For each projection and each of its ranges.
    frames: Vec<Vec<Mutex<Vec<Frame>>>>,
    by: NaturalBy,
}

struct Spilling {
    router: Arc<Router>,
    workers: Arc<Workers>,
    spilled: Arc<Spilled>,
    recorders: Vec<Recorder>,
    /// What each reader has not written yet, for each projection and range.
    buffers: Vec<Arc<Mutex<Buffers>>>,
}

impl<S: EventSource> Pass<'_, S> {
    /// Reads everything into a spill file, with buffers of at most so many bytes.
    ///
    /// # Errors
    /// What reading gives; [`Error::Io`] if the file can't be written.
    pub(crate) async fn spill(&self, file: SpillFile, buffer_bytes: usize) -> Result<Arc<Spilled>> {
        let counts: Vec<usize> = self.wanted.iter().map(|one| one.ranges.len()).collect();
        let spilled = Arc::new(Spilled::new(file, &counts));
        let all = counts.iter().sum::<usize>().max(1) * self.readers;
        let frame_bytes = (buffer_bytes / all).clamp(FRAME_BYTES.0, FRAME_BYTES.1);
        let buffers = || {
            let held_max = buffer_bytes / self.readers.max(1);
            Arc::new(Mutex::new(Buffers::new(&counts, frame_bytes, held_max)))
        };
        let sink = Arc::new(Spilling {
            router: Arc::new(self.router()),
            workers: Arc::clone(&self.workers),
            spilled: Arc::clone(&spilled),
            recorders: self.recorders(),
            buffers: (0..self.readers).map(|_| buffers()).collect(),
        });
        let by = scan::read(self.source, &self.ranges(), self.readers, &sink, &self.cancel).await?;
        for buffers in &sink.buffers {
            let (buffers, spilled) = (Arc::clone(buffers), Arc::clone(&spilled));
            self.workers.run(move || lock(&buffers).write_all(&spilled)).await??;
        }
        drop(sink);
        let mut spilled =
            Arc::try_unwrap(spilled).map_err(|_| Error::Bug("the spill file is still written".into()))?;
        spilled.by = by;
        Ok(Arc::new(spilled))
    }
}

impl BatchSink for Spilling {
    fn waited(&self, time: Duration) {
        self.recorders.iter().for_each(|recorder| recorder.batch_read(time));
    }

    fn take(&self, reader: usize, batch: CommitBatch) -> BoxFuture<'_, Result<()>> {
        async move {
            let Some(buffers) = self.buffers.get(reader).map(Arc::clone) else {
                return Err(Error::Bug("a reader without buffers".into()));
            };
            let (router, spilled) = (Arc::clone(&self.router), Arc::clone(&self.spilled));
            let counts = self.workers.run(move || lock(&buffers).take(&router, &*batch, &spilled)).await??;
            self.recorders.iter().zip(&counts).for_each(|(recorder, counts)| recorder.folded(counts));
            Ok(())
        }
        .boxed()
    }

    fn begin_again(&self) -> BoxFuture<'_, Result<()>> {
        async move {
            for buffers in &self.buffers {
                lock(buffers).clear();
            }
            self.recorders.iter().for_each(Recorder::read_again);
            self.spilled.frames.iter().flatten().for_each(|frames| lock(frames).clear());
            self.spilled.file.clear()
        }
        .boxed()
    }
}

/// Streams of a range by the upper bits of their hash: all of them, or a share that fits.
#[derive(Debug, Clone, Copy)]
pub(super) struct HashSlice {
    bits: u32,
    value: u64,
}

impl HashSlice {
    /// All streams.
    pub(super) const ALL: Self = Self { bits: 0, value: 0 };

    fn holds(self, hash: u64) -> bool {
        self.bits == 0 || hash >> (64 - self.bits) == self.value
    }

    /// The two halves, or `None` if there is nothing to gain from halving any more.
    pub(super) fn halves(self) -> Option<[Self; 2]> {
        let half = |bit| Self { bits: self.bits + 1, value: self.value << 1 | bit };
        (self.bits < 20).then(|| [half(0), half(1)])
    }
}

/// What folding spilled commits needs.
pub(super) struct SpillFold {
    pub(super) projection: Registered,
    pub(super) layout: Arc<Layout>,
    pub(super) memory: Arc<Memory>,
    /// Number of the user of that memory.
    pub(super) user: usize,
    /// What one fold may use.
    pub(super) bytes_max: usize,
    pub(super) cancel: CancellationToken,
}

impl Spilled {
    /// Nothing yet, for projections with so many ranges each.
    fn new(file: SpillFile, ranges: &[usize]) -> Self {
        let frames = |count: &usize| (0..*count).map(|_| Mutex::new(Vec::new())).collect();
        Self { file, frames: ranges.iter().map(frames).collect(), by: NaturalBy::OneCursor }
    }

    /// Writes a frame with commits of a range of a projection.
    fn write(&self, projection: usize, range: usize, frame: &[u8]) -> Result<()> {
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
    pub(super) fn fold(
        &self,
        projection: usize,
        range: usize,
        slice: HashSlice,
        with: &SpillFold,
    ) -> Result<Option<Arrived>> {
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
        Ok(Some(Arrived::new(vec![Sorted::new(shard)], targets)))
    }
}
