//! One partition: read, fold and write at the same time, then one durable record.

use std::sync::Arc;
use std::time::Instant;

use bson::RawDocumentBuf;
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::fold::{Folded, StreamFold};
use crate::pipeline::build::{BuildJob, Job};
use crate::pipeline::ports::{CommitBatch, EventSource, PartitionRecord, RawCommits, Staging};
use crate::plan::Partition;

/// Batches waiting between two stages: one being worked on, one ready.
const BATCHES_WAITING: usize = 1;

/// Builds a partition from nothing and makes it durable.
pub(super) async fn build<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    partition: &Partition,
) -> Result<PartitionRecord> {
    let (commits, mut batches) = mpsc::channel::<Result<CommitBatch>>(BATCHES_WAITING);
    let mut scan = job.source.scan(&partition.range);
    // A task of its own, so that the next batch is on its way while this one is folded.
    let reader = tokio::spawn(async move {
        while let Some(batch) = scan.next().await {
            if commits.send(batch).await.is_err() {
                break;
            }
        }
    });
    let (snapshots, folded) = mpsc::channel::<Folded>(BATCHES_WAITING);
    let writer = tokio::spawn(write(Arc::clone(job), folded));

    let fed = feed(job, &mut batches, snapshots).await;
    // Both end by themselves now. They are awaited also after a failure: a late insert would
    // survive the clean-up before the next try.
    drop(batches);
    let read = reader.await.map_err(|error| Error::Bug(error.to_string()));
    writer.await.map_err(|error| Error::Bug(error.to_string()))??;
    read?;
    let record = fed?;
    job.staging.finish(partition, &record).await?;
    Ok(record)
}

/// Folds what is read and hands the snapshots to the writer.
async fn feed<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    batches: &mut mpsc::Receiver<Result<CommitBatch>>,
    snapshots: mpsc::Sender<Folded>,
) -> Result<PartitionRecord> {
    let mut record = PartitionRecord::default();
    let mut fold = StreamFold::new(&job.projection, Arc::clone(&job.layout), Arc::clone(&job.others));
    loop {
        let began = Instant::now();
        let batch = tokio::select! {
            batch = batches.recv() => batch.transpose()?,
            () = job.cancel.cancelled() => return Err(Error::Interrupted),
        };
        job.progress.batch_read(began.elapsed());
        let last = batch.is_none();
        let (next, result) = job.workers.run(move || fold_batch(fold, batch.as_deref())).await?;
        fold = next;
        let mut result = result?;
        job.progress.folded(&result.counts);
        record.counts.add(result.counts);
        record.digest.merge(result.digest);
        record.heads.append(&mut result.heads);
        record.dead_letters.append(&mut result.dead_letters);
        // A writer that has ended says itself why; its error comes before this one.
        if !result.snapshots.is_empty() && snapshots.send(result).await.is_err() {
            return Err(Error::Interrupted);
        }
        if last {
            return Ok(record);
        }
    }
}

fn fold_batch(mut fold: StreamFold, batch: Option<&dyn RawCommits>) -> (StreamFold, Result<Folded>) {
    match batch {
        None => fold.finish(),
        Some(batch) => match batch.documents() {
            Err(error) => return (fold, Err(error)),
            Ok(documents) => {
                for document in documents {
                    match document {
                        Ok(value) => value.as_document().into_iter().for_each(|document| fold.push(document)),
                        Err(error) => {
                            let error = Error::Mismatch(format!("the server sent a broken batch: {error}"));
                            return (fold, Err(error));
                        }
                    }
                }
            }
        },
    }
    let folded = fold.take();
    (fold, Ok(folded))
}

/// Writes what arrives, in batches capped by documents and bytes.
async fn write<S: EventSource, W: Staging>(
    job: Arc<Job<S, W>>,
    mut folded: mpsc::Receiver<Folded>,
) -> Result<()> {
    while let Some(folded) = folded.recv().await {
        for (target, buffer) in folded.snapshots.targets().iter().enumerate() {
            let mut batch = Vec::new();
            let mut bytes = 0;
            for document in buffer.documents() {
                if !batch.is_empty()
                    && (batch.len() >= job.batch_docs || bytes + document.len() > job.batch_bytes)
                {
                    insert(&job, target, std::mem::take(&mut batch)).await?;
                    bytes = 0;
                }
                bytes += document.len();
                let document = RawDocumentBuf::from_bytes(document.to_vec());
                batch.push(document.map_err(|error| Error::Bug(format!("a snapshot is not BSON: {error}")))?);
            }
            insert(&job, target, batch).await?;
        }
    }
    Ok(())
}

async fn insert<S: EventSource, W: Staging>(
    job: &Job<S, W>,
    target: usize,
    batch: Vec<RawDocumentBuf>,
) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    if job.cancel.is_cancelled() {
        return Err(Error::Interrupted);
    }
    let documents = batch.len() as u64;
    let began = Instant::now();
    job.staging.insert(target, batch).await?;
    job.progress.written(documents, began.elapsed());
    Ok(())
}
