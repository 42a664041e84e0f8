//! Natural order with spill: commits go to a compressed file, by ranges of streams, and are folded one
//! range at a time.

mod buffers;
mod file;
mod spilled;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::{Error, Result};
use crate::fold::Router;
use crate::observe::Recorder;
use crate::pipeline::ports::{CommitBatch, EventSource};
use crate::pipeline::read::natural::Pass;
use crate::pipeline::read::scan;
use crate::pipeline::read::scan::BatchSink;
use crate::pipeline::workers::Workers;
use file::lock;

pub(in crate::pipeline) use buffers::Buffers;
pub(crate) use file::SpillFile;
pub(crate) use spilled::Spilled;

/// Sizes of a frame before compression: small ones waste calls, large ones memory.
pub(in crate::pipeline::read) const FRAME_BYTES: (usize, usize) = (16 * 1024, 256 * 1024);

/// Writes the batches of a scan into a spill file.
struct Spilling {
    router: Arc<Router>,
    workers: Arc<Workers>,
    spilled: Arc<Spilled>,
    recorders: Vec<Recorder>,
    /// The commits that each reader has not written yet, for each projection and range.
    buffers: Vec<Arc<Mutex<Buffers>>>,
}

impl<S: EventSource> Pass<'_, S> {
    /// Reads everything into a spill file, with buffers of at most `buffer_bytes` together.
    ///
    /// # Errors
    /// Those of reading; [`Error::Io`] if the file can't be written.
    pub(crate) async fn spill(&self, file: SpillFile, buffer_bytes: usize) -> Result<Arc<Spilled>> {
        let counts: Vec<usize> = self.wanted.iter().map(|wanted| wanted.ranges.len()).collect();
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
            self.workers.run(move || lock(&buffers).write_all(&*spilled)).await??;
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
            let counts = self.workers.run(move || lock(&buffers).take(&router, &*batch, &*spilled)).await??;
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
