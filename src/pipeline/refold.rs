//! Folds single streams anew, each as a whole, and puts the results in the place of what was there.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::fold::{Folded, StreamFold};
use crate::lifecycle::stream_hash;
use crate::pipeline::build::{BuildJob, Job};
use crate::pipeline::check::check_partition;
use crate::pipeline::partition::fold_batch;
use crate::pipeline::ports::{EventSource, Refolded, Staging};
use crate::plan::Partition;

/// Streams that are replaced together.
const STREAMS_TOGETHER: usize = 100;

/// What differs from the event store in one partition.
#[derive(Debug, Default)]
pub(crate) struct Differing {
    /// Streams, among them those that are gone but left a snapshot.
    pub(crate) streams: Vec<String>,
    /// Hashes of the streams that are gone.
    pub(crate) gone: Vec<u64>,
}

/// Finds the streams of a partition whose head isn't the recorded one.
///
/// # Errors
/// If heads or ids can't be read.
pub(crate) async fn differing<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    partition: &Partition,
) -> Result<Differing> {
    let difference = check_partition(job, partition).await?;
    let mut found = Differing { streams: difference.changed, gone: difference.gone_hashes };
    if found.gone.is_empty() {
        return Ok(found);
    }
    // Their names are known only from what they left.
    let gone: HashSet<u64> = found.gone.iter().copied().collect();
    let filter = job.projection.spec().stream_filter();
    for target in 0..job.projection.spec().targets().len() {
        let mut ids = job.staging.ids(target, partition);
        while let Some(batch) = ids.next().await {
            let streams = batch?.into_iter().map(|id| filter.stream_of(&id));
            found.streams.extend(streams.filter(|stream| gone.contains(&stream_hash(stream))));
        }
    }
    found.streams.sort_unstable();
    found.streams.dedup();
    Ok(found)
}

/// Folds these streams anew, and notes that others are gone. No stream may be given twice, nor be
/// refolded by somebody else meanwhile.
///
/// # Errors
/// The first one; what was replaced before stays.
pub(crate) async fn refold<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    partitions: &[Partition],
    what: Differing,
) -> Result<u64> {
    let number = what.streams.len() as u64;
    let named: HashSet<u64> = what.streams.iter().map(|stream| stream_hash(stream)).collect();
    let mut parts: Vec<(u32, Refolded)> = Vec::new();
    let mut streams = what.streams;
    streams.sort_unstable();
    for stream in streams {
        let Some(partition) = partition_of(partitions, &stream) else { continue };
        match parts.last_mut() {
            Some((at, part)) if *at == partition && part.streams.len() < STREAMS_TOGETHER => {
                part.streams.push(stream);
            }
            _ => parts.push((partition, Refolded { streams: vec![stream], ..Refolded::default() })),
        }
    }
    let nameless: Vec<u64> = what.gone.into_iter().filter(|hash| !named.contains(hash)).collect();
    if let (false, [partition]) = (nameless.is_empty(), partitions) {
        parts.push((partition.number, Refolded { gone: nameless, ..Refolded::default() }));
    }
    let one = |(partition, refolded): (u32, Refolded)| {
        let job = Arc::clone(job);
        let task = tokio::spawn(async move { refold_together(&job, partition, refolded).await });
        async move { task.await.map_err(|error| Error::Bug(error.to_string()))? }
    };
    // Two of one partition would run into each other: its checkpoint is written by both.
    let mut by_partition: Vec<Vec<(u32, Refolded)>> = Vec::new();
    for part in parts {
        match by_partition.last_mut().filter(|parts| parts.last().is_some_and(|(at, _)| *at == part.0)) {
            Some(parts) => parts.push(part),
            None => by_partition.push(vec![part]),
        }
    }
    let partitions = futures::stream::iter(by_partition.into_iter().map(Ok::<_, Error>));
    partitions
        .try_for_each_concurrent(job.readers, |parts| async {
            for part in parts {
                one(part).await?;
            }
            Ok(())
        })
        .await?;
    Ok(number)
}

fn partition_of(partitions: &[Partition], stream: &str) -> Option<u32> {
    let inside = |partition: &&Partition| {
        let range = &partition.range;
        range.first.as_str() <= stream && range.end.as_deref().is_none_or(|end| stream < end)
    };
    partitions.iter().find(inside).map(|partition| partition.number)
}

async fn refold_together<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    partition: u32,
    mut refolded: Refolded,
) -> Result<()> {
    if job.cancel.is_cancelled() {
        return Err(Error::Interrupted);
    }
    if !refolded.streams.is_empty() {
        refolded.folded = fold_streams(job, refolded.streams.clone()).await?;
    }
    job.staging.replace(partition, refolded).await
}

/// Folds these streams, each as a whole. What streams give that don't exist is nothing.
///
/// # Errors
/// If they can't be read.
pub(crate) async fn fold_streams<S: EventSource, W>(
    job: &Job<S, W>,
    names: Vec<String>,
) -> Result<Vec<Folded>> {
    let mut fold = StreamFold::new(&job.projection, Arc::clone(&job.layout), Arc::clone(&job.others));
    let (mut scan, mut all) = (job.source.streams(names), Vec::new());
    loop {
        let batch = scan.next().await.transpose()?;
        let last = batch.is_none();
        let (next, result) = job.workers.run(move || fold_batch(fold, batch.as_deref())).await?;
        fold = next;
        all.push(result?);
        if last {
            return Ok(all);
        }
    }
}
