//! Refolds single streams, each as a whole, and replaces their stored results.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bson::Timestamp;
use futures::{StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::fold::{FoldCounts, Folded};
use crate::lifecycle::stream_hash;
use crate::pipeline::compare::check_partition;
use crate::pipeline::job::{BuildJob, Job};
use crate::pipeline::ports::{Before, EventSource, HeadDetail, RefoldPart, Refolded, Replaced, Staging};
use crate::plan::Partition;

/// Most streams that are replaced together.
const STREAMS_TOGETHER: usize = 100;
/// Bytes of the snapshots that are replaced together, unless a single stream has more.
pub(crate) const BYTES_TOGETHER: usize = 32 << 20;
/// Attempts at refolding streams that others write as well.
const TRIES: u32 = 20;
/// Attempts at refolding several streams together, before that is tried with half of them.
const TRIES_TOGETHER: u32 = 3;

/// The differences of one partition from the event store.
#[derive(Debug, Default)]
pub(crate) struct Differing {
    /// Streams that differ, among them those that are gone but left a snapshot.
    pub(crate) streams: Vec<String>,
    /// Those of them that have fewer commits than were folded.
    pub(crate) shrunk: Vec<String>,
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
    let difference = check_partition(job, partition, HeadDetail::Everything).await?;
    let mut found =
        Differing { streams: difference.changed, shrunk: difference.shrunk, gone: difference.gone_hashes };
    if found.gone.is_empty() {
        return Ok(found);
    }
    // Their names are known only from the snapshots they left.
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

/// Finds the streams of a partition that don't exist but have a snapshot, as snapshots written by others
/// may.
///
/// # Errors
/// If heads or ids can't be read.
pub(crate) async fn orphans<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    partition: &Partition,
) -> Result<Vec<String>> {
    let filter = job.projection.spec().stream_filter();
    let (mut known, mut orphans) = (HashSet::new(), Vec::new());
    let mut heads = job.source.heads(&partition.range, HeadDetail::LastCommits);
    while let Some(batch) = heads.next().await {
        known.extend(batch?.into_iter().map(|(stream, _)| stream_hash(&stream)));
    }
    for target in 0..job.projection.spec().targets().len() {
        let mut ids = job.staging.ids(target, partition);
        while let Some(batch) = ids.next().await {
            let streams = batch?.into_iter().map(|id| filter.stream_of(&id));
            orphans.extend(streams.filter(|stream| !known.contains(&stream_hash(stream))));
        }
    }
    Ok(orphans)
}

/// Refolds these streams, and records that others are gone. No stream may be given twice; streams that
/// another process refolds meanwhile are refolded again.
///
/// # Errors
/// The first one; earlier replacements are kept.
pub(crate) async fn refold<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    partitions: &[Partition],
    differing: Differing,
) -> Result<u64> {
    let number = differing.streams.len() as u64;
    let lanes = futures::stream::iter(lanes(partitions, differing).into_iter().map(Ok::<_, Error>));
    lanes
        .try_for_each_concurrent(job.readers, |batches| async {
            for parts in batches {
                let job = Arc::clone(job);
                let task = tokio::spawn(async move { refold_together(&job, parts).await });
                task.await.map_err(|error| Error::Bug(error.to_string()))??;
            }
            Ok(())
        })
        .await?;
    Ok(number)
}

/// Divides streams into lanes of batches, which run at the same time. The streams of one partition share a
/// lane, because two batches of them would collide; few streams of several partitions form one batch.
fn lanes(partitions: &[Partition], differing: Differing) -> Vec<Vec<Vec<RefoldPart>>> {
    let named: HashSet<u64> = differing.streams.iter().map(|stream| stream_hash(stream)).collect();
    let mut parts: BTreeMap<u32, RefoldPart> = BTreeMap::new();
    for stream in differing.streams {
        if let Some(partition) = partition_of(partitions, &stream) {
            let part = parts.entry(partition).or_default();
            part.partition = partition;
            part.streams.push(stream);
        }
    }
    let nameless: Vec<u64> = differing.gone.into_iter().filter(|hash| !named.contains(hash)).collect();
    if let (false, [partition]) = (nameless.is_empty(), partitions) {
        let part = parts.entry(partition.number).or_default();
        (part.partition, part.gone) = (partition.number, nameless);
    }
    let mut lanes = Vec::new();
    let (mut together, mut streams) = (Vec::new(), 0);
    for mut part in parts.into_values() {
        part.streams.sort_unstable();
        let RefoldPart { partition, streams: names, gone } = part;
        if names.len() + streams > STREAMS_TOGETHER && !together.is_empty() {
            lanes.push(vec![std::mem::take(&mut together)]);
            streams = 0;
        }
        if names.len() > STREAMS_TOGETHER {
            let batch =
                |names: &[String]| vec![RefoldPart { partition, streams: names.to_vec(), gone: Vec::new() }];
            let mut batches: Vec<_> = names.chunks(STREAMS_TOGETHER).map(batch).collect();
            batches.push(vec![RefoldPart { partition, streams: Vec::new(), gone }]);
            batches.retain(|batch| batch.iter().any(|part| !part.is_empty()));
            lanes.push(batches);
        } else {
            streams += names.len();
            together.push(RefoldPart { partition, streams: names, gone });
        }
    }
    if !together.is_empty() {
        lanes.push(vec![together]);
    }
    lanes
}

impl RefoldPart {
    fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.gone.is_empty()
    }
}

fn partition_of(partitions: &[Partition], stream: &str) -> Option<u32> {
    partitions.iter().find(|partition| partition.range.holds(stream)).map(|partition| partition.number)
}

/// Refolds streams together; in halves, if their results are too large for that.
async fn refold_together<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    parts: Vec<RefoldPart>,
) -> Result<()> {
    let mut batches = vec![parts];
    while let Some(parts) = batches.pop() {
        let streams: usize = parts.iter().map(|part| part.streams.len()).sum();
        let bytes_max = if streams > 1 { BYTES_TOGETHER } else { usize::MAX };
        if !refold_batch(job, &parts, bytes_max).await? {
            batches.extend(halves(parts, streams));
        }
    }
    Ok(())
}

/// Divides a batch of so many streams into two.
fn halves(parts: Vec<RefoldPart>, streams: usize) -> [Vec<RefoldPart>; 2] {
    let (mut first, mut second, mut left) = (Vec::new(), Vec::new(), streams / 2);
    for mut part in parts {
        let rest = part.streams.split_off(left.min(part.streams.len()));
        left -= part.streams.len();
        let rest = RefoldPart { partition: part.partition, streams: rest, gone: Vec::new() };
        first.extend(Some(part).filter(|part| !part.is_empty()));
        second.extend(Some(rest).filter(|part| !part.is_empty()));
    }
    [first, second]
}

/// Refolds streams together. Returns `false`, with nothing written, if their results have more bytes, or if
/// one or the other of them is written by others again and again.
async fn refold_batch<S: EventSource, W: Staging>(
    job: &BuildJob<S, W>,
    parts: &[RefoldPart],
    bytes_max: usize,
) -> Result<bool> {
    let streams: usize = parts.iter().map(|part| part.streams.len()).sum();
    for tries in 1..=TRIES {
        if job.cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        // The stored state is read before the streams: a replacement in between may know newer events.
        let before = job.staging.before(parts, bytes_max).await?;
        let names = parts.iter().flat_map(|part| part.streams.iter().cloned()).collect();
        let Some(folded) = fold_streams(job, names, before.since(), bytes_max).await? else {
            return Ok(false);
        };
        let mut refolded = Refolded { parts: parts.to_vec(), folded };
        if let Some(required) = &job.required {
            // Also if nothing is replaced: then they are folded again.
            refolded.folded.iter_mut().for_each(|folded| required.note(folded));
        }
        let failed: Vec<String> =
            refolded.failed_streams().map(|failed_stream| failed_stream.stream.clone()).collect();
        let mut counts = FoldCounts::default();
        refolded.folded.iter().for_each(|folded| counts.add(folded.counts));
        match job.staging.replace(before, refolded).await? {
            Replaced::Done => {
                job.progress.folded_again(&counts);
                if let Some(first) = failed.first() {
                    let projection = job.projection.spec().name();
                    tracing::warn!(projection, streams = failed.len(), first, "streams can't be folded");
                }
                return Ok(true);
            }
            Replaced::TooLarge => return Ok(false),
            Replaced::Stale if streams > 1 && tries >= TRIES_TOGETHER => return Ok(false),
            Replaced::Stale => {}
        }
        tracing::debug!("others wrote streams of the same partitions meanwhile; refolding them again");
    }
    Err(Error::Server {
        doing: "refolding streams".into(),
        code: None,
        transient: true,
        source: format!("others refolded the same ones meanwhile, {TRIES} times").into(),
    })
}

/// Folds these streams, each as a whole, with everything that was acknowledged until a time. Streams that
/// don't exist give nothing. `None` if the snapshots have more than `bytes_max` bytes.
///
/// # Errors
/// If they can't be read.
pub(crate) async fn fold_streams<S: EventSource, W>(
    job: &Job<S, W>,
    names: Vec<String>,
    since: Option<Timestamp>,
    bytes_max: usize,
) -> Result<Option<Vec<Folded>>> {
    if names.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let mut fold = job.stream_fold();
    let (mut scan, mut all, mut bytes) = (job.source.streams_since(names, since), Vec::new(), 0);
    loop {
        let batch = scan.next().await.transpose()?;
        let last = batch.is_none();
        let folded;
        (fold, folded) = job.fold_batch(fold, batch).await?;
        bytes += folded.snapshots.byte_len();
        if bytes > bytes_max {
            return Ok(None);
        }
        all.push(folded);
        if last {
            return Ok(Some(all));
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::plan::StreamRange;

    fn partitions() -> Vec<Partition> {
        let range = |first: &str, end: Option<&str>| StreamRange {
            first: first.to_owned(),
            end: end.map(str::to_owned),
        };
        let ranges = [range("a", Some("b")), range("b", Some("c")), range("c", None)];
        (0..).zip(ranges).map(|(number, range)| Partition { number, range }).collect()
    }

    fn named(names: impl Iterator<Item = String>) -> Differing {
        Differing { streams: names.collect(), ..Differing::default() }
    }

    #[test]
    fn a_few_streams_of_many_partitions_are_one_batch() {
        let lanes = lanes(&partitions(), named(["c1", "a2", "b1", "a1"].map(str::to_owned).into_iter()));
        assert_eq!(lanes.len(), 1);
        assert_eq!(lanes[0].len(), 1);
        let parts: Vec<_> = lanes[0][0].iter().map(|part| (part.partition, part.streams.clone())).collect();
        let text = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(parts, [(0, text(&["a1", "a2"])), (1, text(&["b1"])), (2, text(&["c1"]))]);
    }

    #[test]
    fn two_batches_of_one_partition_never_run_at_the_same_time() {
        let many = (0..=2 * STREAMS_TOGETHER).map(|number| format!("b{number}"));
        let some = (0..STREAMS_TOGETHER).map(|number| format!("c{number}"));
        let lanes = lanes(&partitions(), named(many.chain(some).chain(["a1".to_owned()])));
        let mut seen = HashSet::new();
        let mut streams = 0;
        for lane in &lanes {
            let lane_partitions: HashSet<u32> = lane.iter().flatten().map(|part| part.partition).collect();
            assert!(
                lane_partitions.iter().all(|partition| seen.insert(*partition)),
                "{partition_lanes:?}",
                partition_lanes = lanes
            );
            for batch in lane {
                let size: usize = batch.iter().map(|part| part.streams.len()).sum();
                assert!(size > 0 && size <= STREAMS_TOGETHER);
                streams += size;
            }
        }
        assert_eq!(streams, 3 * STREAMS_TOGETHER + 2);
    }

    #[test]
    fn a_batch_is_halved_until_single_streams_are_left() {
        let part = |partition: u32, streams: &[&str], gone: &[u64]| RefoldPart {
            partition,
            streams: streams.iter().map(|stream| (*stream).to_owned()).collect(),
            gone: gone.to_vec(),
        };
        let [first, second] = halves(vec![part(0, &["a", "b", "c"], &[7]), part(1, &["d"], &[])], 4);
        assert_eq!(first, [part(0, &["a", "b"], &[7])]);
        assert_eq!(second, [part(0, &["c"], &[]), part(1, &["d"], &[])]);
        let [first, second] = halves(second, 2);
        assert_eq!((first, second), (vec![part(0, &["c"], &[])], vec![part(1, &["d"], &[])]));
    }

    #[test]
    fn streams_that_left_nothing_are_recorded_with_their_partition() {
        let partition = &partitions()[..1];
        let lanes = lanes(partition, Differing { gone: vec![7], ..Differing::default() });
        assert_eq!(lanes, [[[RefoldPart { partition: 0, streams: Vec::new(), gone: vec![7] }]]]);
    }
}
