//! Reads a part of the natural order and hands its commits over to whoever folds them.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use bson::oid::ObjectId;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::error::{Error, Result};
use crate::fold::FoldCounts;
use crate::pipeline::job::BuildJob;
use crate::pipeline::ports::{CommitBatch, EventSource, ExchangeFrame, Part, PartRead, SnapshotSink, Term};
use crate::pipeline::read::{Ahead, Exchanging, FrameSink};

/// Frames of a batch that wait to be handed over, while others are.
const FRAMES_WAITING: usize = 1;

/// Frames of a part that are to be handed over.
#[derive(Default)]
struct Ready(RefCell<Vec<(usize, Vec<u8>)>>);

impl FrameSink for Ready {
    fn write(&self, _: usize, range: usize, frame: &[u8]) -> Result<()> {
        self.0.borrow_mut().push((range, frame.to_vec()));
        Ok(())
    }
}

/// Reads a part and hands its commits over.
///
/// # Errors
/// Those of reading and writing; [`Error::Interrupted`].
pub(in crate::pipeline) async fn give<S: EventSource, W: SnapshotSink>(
    job: &BuildJob<S, W>,
    exchanging: &Arc<Exchanging>,
    part: &Part,
    slot: OwnedSemaphorePermit,
) -> Result<()> {
    let mut batches = Ahead::of(job.source.part(exchanging.ranges(), part));
    let (frames, ready) = mpsc::channel(FRAMES_WAITING);
    let writer = tokio::spawn(write(Arc::clone(job), Arc::clone(exchanging), part.number, ready));
    let routed = route(job, exchanging, &mut batches, &frames).await;
    drop(frames);
    batches.end().await?;
    // A writer that has ended tells the reason itself.
    let (read, terms) = writer.await.map_err(|error| Error::Bug(error.to_string()))??;
    routed?;
    // The wait for durability needs no slot.
    drop(slot);
    exchanging.exchange().finish_part(&read, &terms).await
}

/// Divides the commits of a part among the partitions.
async fn route<S, W>(
    job: &BuildJob<S, W>,
    exchanging: &Arc<Exchanging>,
    batches: &mut Ahead<CommitBatch>,
    frames: &mpsc::Sender<Vec<(usize, Vec<u8>)>>,
) -> Result<()> {
    let mut buffers = exchanging.buffers();
    loop {
        let batch = job.next(batches).await?;
        let (last, router) = (batch.is_none(), exchanging.router());
        let divided = job.workers.run(move || {
            let ready = Ready::default();
            let counts = match batch {
                Some(batch) => buffers.take(&router, &*batch, &ready)?.pop().unwrap_or_default(),
                None => buffers.write_all(&ready).map(|()| FoldCounts::default())?,
            };
            Ok::<_, Error>((buffers, counts, ready.0.into_inner()))
        });
        let (kept, counts, ready) = divided.await??;
        buffers = kept;
        job.progress.folded(&counts);
        if !ready.is_empty() && frames.send(ready).await.is_err() {
            return Err(Error::Interrupted);
        }
        if last {
            return Ok(());
        }
    }
}

/// Hands frames over as they come, and returns what there is of the part, and the terms in which it was
/// written, each once.
async fn write<S, W>(
    job: BuildJob<S, W>,
    exchanging: Arc<Exchanging>,
    part: u32,
    mut ready: mpsc::Receiver<Vec<(usize, Vec<u8>)>>,
) -> Result<(PartRead, Vec<Term>)> {
    let (attempt, mut first, mut terms) = (ObjectId::new().to_hex(), 0, Vec::new());
    let mut counts: Vec<(u32, u32)> = exchanging.partitions().iter().map(|number| (*number, 0)).collect();
    while let Some(frames) = ready.recv().await {
        let mut frames = frames.into_iter().peekable();
        while frames.peek().is_some() {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some((range, frame)) =
                frames.next_if(|(_, frame)| batch.is_empty() || bytes + frame.len() <= job.batch_bytes)
            {
                let Some((partition, count)) = counts.get_mut(range) else { continue };
                (bytes, *count) = (bytes + frame.len(), *count + 1);
                batch.push(ExchangeFrame { partition: *partition, bytes: frame });
            }
            job.governor.write().await?;
            if job.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let began = Instant::now();
            let term = exchanging.exchange().give(part, &attempt, first, &batch).await?;
            job.governor.written(began.elapsed());
            first += batch.len() as u64;
            if !terms.contains(&term) {
                terms.push(term);
            }
        }
    }
    counts.retain(|(_, count)| *count > 0);
    Ok((PartRead { part, attempt, frames: counts }, terms))
}
