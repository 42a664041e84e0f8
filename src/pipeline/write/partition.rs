//! Builds one partition: folds and writes at the same time, then makes one durable record.

use std::sync::Arc;

use futures::stream::BoxStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::error::{Error, Result};
use crate::fold::{FoldCounts, Folded, FoldedStreams};
use crate::pipeline::job::{BuildJob, Input};
use crate::pipeline::ports::{CommitBatch, EventSource, PartitionRecord, SnapshotSink};
use crate::pipeline::read::{Ahead, Exchanging, FrameFold, HashSlice, SliceFold};
use crate::pipeline::write::batches::write;
use crate::plan::Partition;

/// Batches waiting between two stages: one being worked on, one ready.
const BATCHES_WAITING: usize = 1;
/// Bytes of snapshots that are taken out of memory at a time.
const TAKEN_BYTES: usize = 2 * 1024 * 1024;
/// Streams that are read again with one query.
const STREAMS_AGAIN: usize = 100;

/// Builds a partition from nothing and makes it durable. `again` says that this isn't the first attempt; the
/// slot is given back as soon as everything is written.
pub(in crate::pipeline) async fn build<S: EventSource, W: SnapshotSink>(
    job: &BuildJob<S, W>,
    partition: &Partition,
    input: &Input,
    again: bool,
    slot: OwnedSemaphorePermit,
) -> Result<PartitionRecord> {
    let (snapshots, folded) = mpsc::channel::<Folded>(BATCHES_WAITING);
    let writer = tokio::spawn(write(Arc::clone(job), folded, again));
    let mut out = Out { job, snapshots, record: PartitionRecord::default(), longest: None };
    let fed = match input {
        Input::Streams => out.streams(job.source.scan(&partition.range)).await,
        Input::Exchange(exchanging) => out.exchanged(exchanging, partition).await,
        Input::FoldedStreams(streams) => out.folded_streams(streams, partition, false).await,
        Input::Spilled { .. } => out.spilled(input, partition).await,
    };
    // Without a sender the writer ends. It is awaited also after a failure: a late insert would survive the
    // clean-up before the next attempt.
    let Out { snapshots, record, longest, .. } = out;
    job.notable.note(longest.map(|(_, name)| name));
    drop(snapshots);
    let terms = writer.await.map_err(|error| Error::Bug(error.to_string()))??;
    fed?;
    // The wait for durability needs no slot.
    drop(slot);
    job.staging.finish(partition, &record, &terms).await?;
    Ok(record)
}

/// The output of a partition: its record, and the channel to its writer.
struct Out<'a, S, W> {
    job: &'a BuildJob<S, W>,
    snapshots: mpsc::Sender<Folded>,
    record: PartitionRecord,
    longest: Option<(u32, String)>,
}

impl<S: EventSource, W: SnapshotSink> Out<'_, S, W> {
    /// Adds folded results to the record and hands the snapshots to the writer.
    async fn take(&mut self, mut folded: Folded) -> Result<()> {
        self.record.counts.add(folded.counts);
        self.record.digest.merge(folded.digest);
        self.record.heads.append(&mut folded.heads);
        self.longest = self.longest.take().max(folded.longest.take());
        self.record.failed_streams.append(&mut folded.failed_streams);
        if let Some(required) = &self.job.required {
            required.note(&mut folded);
        }
        // A writer that has ended returns the reason itself, and that error takes precedence.
        if !folded.snapshots.is_empty() && self.snapshots.send(folded).await.is_err() {
            return Err(Error::Interrupted);
        }
        Ok(())
    }

    /// Reads streams one after the other, each in offset order, and folds them.
    async fn streams(&mut self, scan: BoxStream<'static, Result<CommitBatch>>) -> Result<()> {
        let mut batches = Ahead::of(scan);
        let fed = self.fold(&mut batches).await;
        batches.end().await?;
        fed
    }

    async fn fold(&mut self, batches: &mut Ahead<CommitBatch>) -> Result<()> {
        let job = self.job;
        let mut fold = job.stream_fold();
        loop {
            let batch = job.next(batches).await?;
            let last = batch.is_none();
            let folded;
            (fold, folded) = job.fold_batch(fold, batch).await?;
            job.progress.folded(&folded.counts);
            self.take(folded).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// Takes the streams of a partition that were folded in memory; spoiled ones are read again in stream
    /// order.
    async fn folded_streams(
        &mut self,
        streams: &Arc<FoldedStreams>,
        partition: &Partition,
        spilled: bool,
    ) -> Result<()> {
        let job = self.job;
        let mut part = streams.part(&partition.range.first, partition.range.end.as_deref());
        let (spoiled, mut lookups) = (streams.spoiled(&part), job.lookups());
        loop {
            if job.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let streams = Arc::clone(streams);
            let taken = job.workers.run(move || {
                let folded = streams.take(&mut part, &mut lookups, TAKEN_BYTES);
                (part, lookups, folded)
            });
            let folded;
            (part, lookups, folded) = taken.await?;
            let Some(folded) = folded else { break };
            let missing = lookups.take_missing();
            if !missing.is_empty() {
                lookups.load(job.load(missing).await?);
            }
            // Commits and bytes were counted when they were read, events when they were folded.
            job.progress.folded(&FoldCounts {
                events: if spilled { folded.counts.events } else { 0 },
                streams: folded.counts.streams,
                failed_streams: folded.counts.failed_streams,
                ..FoldCounts::default()
            });
            self.take(folded).await?;
        }
        if !spoiled.is_empty() {
            tracing::debug!(streams = spoiled.len(), partition = partition.number, "folding in stream order");
            job.notable.note(spoiled.iter().cloned());
        }
        for names in spoiled.chunks(STREAMS_AGAIN) {
            self.streams(job.source.streams(names.to_vec())).await?;
        }
        Ok(())
    }

    /// Folds a spilled partition: all at once or, if that needs too much memory, by halves.
    async fn spilled(&mut self, input: &Input, partition: &Partition) -> Result<()> {
        let Input::Spilled { spilled, projection, partitions, memory, bytes_max } = input else {
            return Ok(());
        };
        let Some(range) = partitions.iter().position(|number| *number == partition.number) else {
            return Err(Error::Bug(format!("partition {} was not spilled", partition.number)));
        };
        let (job, mut slices) = (self.job, vec![HashSlice::ALL]);
        while let Some(slice) = slices.pop() {
            let fold = FrameFold {
                projection: job.projection.clone(),
                layout: Arc::clone(&job.layout),
                memory: Arc::clone(memory),
                user: range,
                bytes_max: *bytes_max,
                cancel: job.cancel.clone(),
            };
            let (spilled, projection) = (Arc::clone(spilled), *projection);
            let folding = SliceFold::new(fold, slice);
            let folded = job.workers.run(move || spilled.fold(projection, range, folding)).await??;
            self.slice(folded, slice, &mut slices, partition).await?;
            memory.uses(range, 0);
        }
        Ok(())
    }

    /// Takes the streams of a slice; without them, because they need too much memory, it is halved.
    async fn slice(
        &mut self,
        folded: Option<FoldedStreams>,
        slice: HashSlice,
        slices: &mut Vec<HashSlice>,
        partition: &Partition,
    ) -> Result<()> {
        match folded {
            Some(streams) => {
                let streams = Arc::new(streams);
                self.folded_streams(&streams, partition, true).await?;
                self.job.workers.discard(streams);
            }
            None => slices.extend(slice.halves().into_iter().flatten()),
        }
        Ok(())
    }

    /// Folds the frames of a partition that processes left in the exchange.
    async fn exchanged(&mut self, exchanging: &Arc<Exchanging>, partition: &Partition) -> Result<()> {
        let (job, mut slices) = (self.job, vec![HashSlice::ALL]);
        while let Some(slice) = slices.pop() {
            let fold = exchanging.fold(&job.cancel, partition.number)?;
            let (memory, user) = (Arc::clone(&fold.memory), fold.user);
            let mut folding = Some(SliceFold::new(fold, slice));
            let mut frames = Ahead::of(exchanging.exchange().frames(partition.number));
            while let Some(mut fold) = folding.take() {
                let Some(frames) = frames.next().await? else {
                    folding = Some(fold);
                    break;
                };
                let pushed = job.workers.run(move || {
                    for frame in &frames {
                        if !fold.push(frame)? {
                            return Ok(None);
                        }
                    }
                    Ok::<_, Error>(Some(fold))
                });
                folding = pushed.await??;
            }
            frames.end().await?;
            let folded = match folding {
                Some(fold) => Some(job.workers.run(move || fold.done()).await?),
                None => None,
            };
            self.slice(folded, slice, &mut slices, partition).await?;
            memory.uses(user, 0);
        }
        Ok(())
    }
}
