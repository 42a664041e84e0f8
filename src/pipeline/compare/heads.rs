//! The check that staging equals the event store, by heads and ids and in both directions.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::lifecycle::{Heads, HeadsDifference, Share, stream_hash};
use crate::pipeline::job::BuildJob;
use crate::pipeline::ports::{EventSource, HeadDetail, Staging};
use crate::plan::Partition;

/// The difference of heads, and the number of snapshots.
type Checked = (HeadsDifference, u64);

/// Compares the heads of all partitions with the event store. Also returns the streams of a share, if one is
/// given.
///
/// # Errors
/// If the recorded heads or the event store can't be read. Differing heads are returned and are no error.
pub(crate) async fn compare_heads<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    partitions: &[Partition],
    detail: HeadDetail,
    share: Option<Share>,
) -> Result<(HeadsDifference, Vec<String>)> {
    let results = futures::stream::iter(partitions.to_vec()).map(|partition| {
        let job = Arc::clone(job);
        async move {
            if job.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            compare_partition(&job, &partition, detail, share).await
        }
    });
    let sum = |(mut all, mut names): (HeadsDifference, Vec<String>), (difference, some)| async move {
        all.add(difference);
        names.extend::<Vec<String>>(some);
        Ok((all, names))
    };
    results.buffer_unordered(job.readers).try_fold((HeadsDifference::default(), Vec::new()), sum).await
}

/// Compares the heads of all partitions with the event store, and the ids in staging with the streams.
///
/// # Errors
/// [`Error::Mismatch`] if a snapshot has no stream, or if there are more or fewer snapshots than were
/// written. Differing heads are returned and are no error.
pub(crate) async fn check<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    partitions: &[Partition],
    snapshots_expected: u64,
    detail: HeadDetail,
) -> Result<HeadsDifference> {
    let results = futures::stream::iter(partitions.to_vec()).map(|partition| {
        let job = Arc::clone(job);
        async move {
            if job.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let difference = check_partition(&job, &partition, detail).await?;
            let snapshots = count_ids(&job, &partition).await?;
            job.progress.partition_done(true);
            Ok((difference, snapshots))
        }
    });
    let sum = |(mut all, count): Checked, (difference, snapshots): Checked| async move {
        all.add(difference);
        Ok((all, count + snapshots))
    };
    let (difference, snapshots) =
        results.buffer_unordered(job.readers).try_fold((HeadsDifference::default(), 0), sum).await?;
    if snapshots != snapshots_expected {
        return Err(Error::Mismatch(format!(
            "{}: {snapshots_expected} snapshots were written, but the staging collections hold {snapshots}",
            job.projection.spec().name()
        )));
    }
    Ok(difference)
}

/// Compares the recorded heads of one partition with the event store.
///
/// # Errors
/// If the recorded heads or the event store can't be read.
pub(crate) async fn check_partition<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    partition: &Partition,
    detail: HeadDetail,
) -> Result<HeadsDifference> {
    compare_partition(job, partition, detail, None).await.map(|(difference, _)| difference)
}

async fn compare_partition<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    partition: &Partition,
    detail: HeadDetail,
    share: Option<Share>,
) -> Result<(HeadsDifference, Vec<String>)> {
    let mut names = Vec::new();
    let mut heads = Heads::new(job.staging.recorded_heads(partition).await?);
    let mut difference = HeadsDifference::default();
    let mut stored = job.source.heads(&partition.range, detail);
    let filter = job.projection.spec().stream_filter();
    while let Some(batch) = stored.next().await {
        for (stream, head) in batch? {
            if filter.matches(&stream) {
                heads.compare(&stream, head, &mut difference);
                if share.is_some_and(|share| share.takes(stream_hash(&stream))) {
                    names.push(stream);
                }
            }
        }
    }
    heads.finish(&mut difference);
    if difference.unidentified > 0 {
        tracing::warn!(
            projection = job.projection.spec().name(),
            streams = difference.unidentified,
            "an older version recorded these streams, by their offsets alone: whether one of them was \
             deleted and created again with the same offset is known from the next build on"
        );
    }
    Ok((difference, names))
}

/// Counts the snapshots of a partition, each of which must belong to a folded stream.
async fn count_ids<S: EventSource, W: Staging>(job: &BuildJob<S, W>, partition: &Partition) -> Result<u64> {
    let heads = Heads::new(job.staging.recorded_heads(partition).await?);
    let filter = job.projection.spec().stream_filter();
    let mut count = 0;
    for target in 0..job.projection.spec().targets().len() {
        let mut ids = job.staging.ids(target, partition);
        while let Some(batch) = ids.next().await {
            for id in batch? {
                if !heads.contains(&filter.stream_of(&id)) {
                    return Err(Error::Mismatch(format!(
                        "{}: snapshot {id} belongs to no folded stream",
                        job.projection.spec().name()
                    )));
                }
                count += 1;
            }
        }
    }
    Ok(count)
}
