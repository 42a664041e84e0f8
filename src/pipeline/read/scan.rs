//! Reads an event store in natural order: several readers, each with its next batch under way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::{Class, Error, Result};
use crate::pipeline::ports::{CommitBatch, EventSource};
use crate::pipeline::retry::pauses;
use crate::plan::{NaturalBy, StreamRange};

/// Takes the batches of a scan.
pub(in crate::pipeline) trait BatchSink: Send + Sync + 'static {
    /// Takes a batch of the reader with this number. Returning late slows the readers down.
    fn take(&self, reader: usize, batch: CommitBatch) -> BoxFuture<'_, Result<()>>;

    /// Notes how long a reader waited for a batch.
    fn waited(&self, time: Duration);

    /// Drops everything taken so far: it will be read again, perhaps in another order.
    fn begin_again(&self) -> BoxFuture<'_, Result<()>>;
}

type Parts = Arc<Mutex<VecDeque<BoxStream<'static, Result<CommitBatch>>>>>;

/// Reads all commits of the streams in these ranges.
///
/// After a transient failure that the source can't cure the scan starts over: record ids belong to one
/// server, so a position can't be carried over to another one. The attempts are counted anew whenever one
/// came further than all before.
///
/// # Errors
/// The first one, of a reader or the sink, that retrying doesn't cure.
pub(in crate::pipeline) async fn read<S: EventSource, K: BatchSink>(
    source: &S,
    ranges: &[StreamRange],
    readers: usize,
    sink: &Arc<K>,
    cancel: &CancellationToken,
) -> Result<NaturalBy> {
    let (mut waits, mut furthest) = (pauses().build(), 0);
    loop {
        let taken = Arc::new(AtomicU64::new(0));
        let error = match scan_once(source, ranges, readers, sink, cancel, &taken).await {
            Ok(by) => return Ok(by),
            Err(error) => error,
        };
        let taken = taken.load(Ordering::Relaxed);
        if taken > furthest {
            (waits, furthest) = (pauses().build(), taken);
        }
        let again = error.class() == Class::Transient && !cancel.is_cancelled();
        let Some(pause) = waits.next().filter(|_| again) else { return Err(error) };
        let error = error.with_sources();
        tracing::warn!(%error, ?pause, "reading the event store from the beginning again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cancel.cancelled() => return Err(Error::Interrupted),
        }
        sink.begin_again().await?;
    }
}

async fn scan_once<S: EventSource, K: BatchSink>(
    source: &S,
    ranges: &[StreamRange],
    readers: usize,
    sink: &Arc<K>,
    cancel: &CancellationToken,
    taken: &Arc<AtomicU64>,
) -> Result<NaturalBy> {
    let scan = source.natural(ranges).await?;
    let readers = readers.min(scan.parts.len()).max(1);
    let parts: Parts = Arc::new(Mutex::new(scan.parts));
    let stop = cancel.child_token();
    let tasks: Vec<_> = (0..readers)
        .map(|reader| {
            let (parts, sink, stop) = (Arc::clone(&parts), Arc::clone(sink), stop.clone());
            let taken = Arc::clone(taken);
            tokio::spawn(async move {
                let result = run_reader(reader, parts, &*sink, &stop, &taken).await;
                // After a failure the other readers stop as well.
                if result.is_err() {
                    stop.cancel();
                }
                result
            })
        })
        .collect();
    let mut failure = None;
    for task in tasks {
        let result = task.await.map_err(|error| Error::Bug(error.to_string())).and_then(|result| result);
        match (result, &failure) {
            // A reader that was stopped is only interrupted; the reason is the error of another one.
            (Err(Error::Interrupted), Some(_)) | (Ok(()), _) => {}
            (Err(error), None | Some(Error::Interrupted)) => failure = Some(error),
            (Err(_), Some(_)) => {}
        }
    }
    failure.map_or(Ok(scan.by), Err)
}

async fn run_reader<K: BatchSink>(
    reader: usize,
    parts: Parts,
    sink: &K,
    stop: &CancellationToken,
    taken: &AtomicU64,
) -> Result<()> {
    // One batch waits here while the next is under way and the previous one is worked on.
    let (sender, mut batches) = mpsc::channel::<Result<CommitBatch>>(1);
    let reading = tokio::spawn(async move {
        loop {
            let next = parts.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(mut part) = next else { return };
            loop {
                // Nobody waits for a slow server once the batch is no longer wanted: the call ends by itself
                // later, and its answer is dropped.
                let next = tokio::select! {
                    biased;
                    () = sender.closed() => return,
                    next = part.next() => next,
                };
                let Some(batch) = next else { break };
                if sender.send(batch).await.is_err() {
                    return;
                }
            }
        }
    });
    let result = loop {
        let began = Instant::now();
        let batch = tokio::select! {
            biased;
            () = stop.cancelled() => break Err(Error::Interrupted),
            batch = batches.recv() => batch,
        };
        match batch {
            None => break Ok(()),
            Some(Err(error)) => break Err(error),
            Some(Ok(batch)) => {
                sink.waited(began.elapsed());
                if let Err(error) = sink.take(reader, batch).await {
                    break Err(error);
                }
                taken.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    drop(batches);
    reading.await.map_err(|error| Error::Bug(error.to_string()))?;
    result
}
