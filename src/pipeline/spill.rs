//! Natural order with spill: commits go to a compressed file, by ranges of streams, and are folded a
//! range at a time.
//!
//! The file has no name (it is unlinked as soon as it is open): nobody else can read it, and the system
//! removes it however this process ends.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use statefold_projections::{Layout, Registered};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::fold::{self, Arrived, FoldCounts, Router, Shard, Sorted, decode_frame, encode_frame};
use crate::lifecycle::stream_hash;
use crate::observe::Recorder;
use crate::pipeline::Workers;
use crate::pipeline::memory::Memory;
use crate::pipeline::natural::Pass;
use crate::pipeline::ports::{CommitBatch, EventSource, RawCommits};
use crate::pipeline::scan::{self, BatchSink};
use crate::plan::NaturalBy;

/// Sizes of a frame before compression: small ones waste calls, large ones memory.
const FRAME_BYTES: (usize, usize) = (16 * 1024, 256 * 1024);
/// What has to stay free on the disk.
const FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// How many bytes are written between two looks at the free space.
const BYTES_BETWEEN_LOOKS: u64 = 32 * 1024 * 1024;

/// A file of frames without a name.
pub(crate) struct SpillFile {
    folder: PathBuf,
    state: Mutex<FileState>,
}

struct FileState {
    file: File,
    end: u64,
    looked_at: u64,
}

#[derive(Clone, Copy)]
struct Frame {
    at: u64,
    bytes: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SpillFile {
    /// Makes the file in a folder that is expected to take so many bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder can't be written or hasn't the space.
    pub(crate) fn create(folder: &Path, expected: u64) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(|source| Error::Io {
            doing: format!(
                "making the spill file in {}; choose another folder with --spill-dir",
                folder.display()
            ),
            source,
        })?;
        let spill =
            Self { folder: folder.to_owned(), state: Mutex::new(FileState { file, end: 0, looked_at: 0 }) };
        spill.check_space(&lock(&spill.state).file, expected)?;
        Ok(spill)
    }

    fn check_space(&self, file: &File, more: u64) -> Result<()> {
        let free = free_bytes(file);
        if free.is_some_and(|free| free < more.saturating_add(FREE_BYTES_MIN)) {
            return Err(self.full(io::Error::from(io::ErrorKind::StorageFull)));
        }
        Ok(())
    }

    fn full(&self, source: io::Error) -> Error {
        let folder = self.folder.display();
        let doing =
            format!("spilling to {folder}; free some space, or choose another folder with --spill-dir");
        Error::Io { doing, source }
    }

    fn append(&self, frame: &[u8]) -> Result<Frame> {
        let mut state = lock(&self.state);
        if state.end >= state.looked_at + BYTES_BETWEEN_LOOKS {
            self.check_space(&state.file, frame.len() as u64)?;
            state.looked_at = state.end;
        }
        let at = state.end;
        let write = state.file.seek(SeekFrom::Start(at)).and_then(|_| state.file.write_all(frame));
        write.map_err(|source| self.full(source))?;
        state.end += frame.len() as u64;
        Ok(Frame { at, bytes: frame.len() })
    }

    fn read(&self, frame: Frame, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        bytes.resize(frame.bytes, 0);
        let mut state = lock(&self.state);
        let read = state.file.seek(SeekFrom::Start(frame.at)).and_then(|_| state.file.read_exact(bytes));
        let doing = || format!("reading the spill file in {}", self.folder.display());
        read.map_err(|source| Error::Io { doing: doing(), source })
    }

    fn clear(&self) -> Result<()> {
        let mut state = lock(&self.state);
        state.end = 0;
        state.looked_at = 0;
        state.file.set_len(0).map_err(|source| self.full(source))
    }

    fn len(&self) -> u64 {
        lock(&self.state).end
    }
}

/// Space left for this user where a file is; `None` if the system doesn't tell.
fn free_bytes(file: &File) -> Option<u64> {
    let space = rustix::fs::fstatvfs(file).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
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

struct Buffers {
    open: Vec<Vec<Vec<u8>>>,
    frame: Vec<u8>,
    frame_bytes: usize,
    /// What all open ones hold, and may hold.
    held: usize,
    held_max: usize,
}

impl Buffers {
    fn write(&mut self, spilled: &Spilled, projection: usize, range: usize) -> Result<()> {
        let Some(buffer) = self.open.get_mut(projection).and_then(|ranges| ranges.get_mut(range)) else {
            return Ok(());
        };
        if buffer.is_empty() {
            return Ok(());
        }
        encode_frame(buffer, &mut self.frame);
        self.held = self.held.saturating_sub(buffer.len());
        buffer.clear();
        let frame = spilled.file.append(&self.frame)?;
        if let Some(frames) = spilled.frames.get(projection).and_then(|ranges| ranges.get(range)) {
            lock(frames).push(frame);
        }
        Ok(())
    }

    fn write_all(&mut self, spilled: &Spilled) -> Result<()> {
        for projection in 0..self.open.len() {
            for range in 0..self.open.get(projection).map_or(0, Vec::len) {
                self.write(spilled, projection, range)?;
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        router: &Router,
        batch: &dyn RawCommits,
        spilled: &Spilled,
    ) -> Result<Vec<FoldCounts>> {
        let mut counts = vec![FoldCounts::default(); self.open.len()];
        let (mut full, mut held) = (Vec::new(), 0);
        let routed = router.by_range(batch.documents()?, batch.limit(), |projection, range, commit| {
            let buffer = self.open.get_mut(projection).and_then(|ranges| ranges.get_mut(range));
            if let (Some(buffer), Some(counts)) = (buffer, counts.get_mut(projection)) {
                let room = buffer.len() < self.frame_bytes;
                buffer.extend_from_slice(commit);
                held += commit.len();
                counts.commits += 1;
                counts.bytes += commit.len() as u64;
                if room && buffer.len() >= self.frame_bytes {
                    full.push((projection, range));
                }
            }
        });
        routed.map_err(|_| Error::Mismatch("the server sent a broken batch".into()))?;
        self.held += held;
        for (projection, range) in full {
            self.write(spilled, projection, range)?;
        }
        // Many ranges of few commits: short frames are better than too much memory.
        if self.held > self.held_max {
            self.write_all(spilled)?;
        }
        Ok(counts)
    }
}

impl<S: EventSource> Pass<'_, S> {
    /// Reads everything into a spill file, with buffers of at most so many bytes.
    ///
    /// # Errors
    /// What reading gives; [`Error::Io`] if the file can't be written.
    pub(crate) async fn spill(&self, file: SpillFile, buffer_bytes: usize) -> Result<Arc<Spilled>> {
        let ranges = |count: usize| (0..count).map(|_| Mutex::new(Vec::new())).collect();
        let counts: Vec<usize> = self.wanted.iter().map(|one| one.ranges.len()).collect();
        let frames = counts.iter().map(|count| ranges(*count)).collect();
        let spilled = Arc::new(Spilled { file, frames, by: NaturalBy::OneCursor });
        let all = counts.iter().sum::<usize>().max(1) * self.readers;
        let frame_bytes = (buffer_bytes / all).clamp(FRAME_BYTES.0, FRAME_BYTES.1);
        let buffers = || {
            let open = counts.iter().map(|count| vec![Vec::new(); *count]).collect();
            let held_max = buffer_bytes / self.readers.max(1);
            Arc::new(Mutex::new(Buffers { open, frame: Vec::new(), frame_bytes, held: 0, held_max }))
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
                let mut buffers = lock(buffers);
                buffers.open.iter_mut().flatten().for_each(Vec::clear);
                buffers.held = 0;
            }
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
