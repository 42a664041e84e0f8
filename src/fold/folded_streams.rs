//! Streams that were folded in memory, to be taken out in the order of their names.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use statefold_projections::{FoldError, Lookup, Snapshots};

use crate::fold::shard::{Shard, Stream};
use crate::fold::stream_order::{FailedStream, FoldCounts, Folded};

/// A complete shard with its streams sorted by name.
pub(crate) struct Sorted {
    shard: Shard,
    order: Vec<u32>,
}

impl Sorted {
    /// Completes a shard and sorts its streams.
    pub(crate) fn new(mut shard: Shard) -> Self {
        shard.finish();
        let mut order: Vec<u32> = (0..u32::try_from(shard.len()).unwrap_or(u32::MAX)).collect();
        let name = |at: u32| shard.streams.get(at as usize).map(|stream| shard.names.get(stream.name));
        order.sort_unstable_by(|left, right| name(*left).cmp(&name(*right)));
        Self { shard, order }
    }

    fn stream(&self, position: usize) -> Option<(&Stream, &str)> {
        let stream = self.shard.streams.get(*self.order.get(position)? as usize)?;
        Some((stream, self.shard.names.get(stream.name)))
    }

    /// Number of streams whose names come before this one.
    fn below(&self, name: &str) -> usize {
        self.order.partition_point(|at| {
            let stream = self.shard.streams.get(*at as usize);
            stream.is_some_and(|stream| self.shard.names.get(stream.name) < name)
        })
    }
}

/// All shards of a projection. They are locked while snapshots are taken out.
pub(crate) struct FoldedStreams {
    shards: Vec<Mutex<Sorted>>,
    targets: usize,
}

/// A range of streams, with how much of it is still to be taken, for each shard.
pub(crate) struct FoldedPart(Vec<Range<usize>>);

impl FoldedStreams {
    /// The complete shards of a projection with this many targets.
    pub(crate) fn new(shards: Vec<Sorted>, targets: usize) -> Self {
        Self { shards: shards.into_iter().map(Mutex::new).collect(), targets }
    }

    fn lock(&self) -> Vec<MutexGuard<'_, Sorted>> {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    /// The streams from `first` (inclusive) to `end` (exclusive, `None` = no bound).
    pub(crate) fn part(&self, first: &str, end: Option<&str>) -> FoldedPart {
        let range = |shard: MutexGuard<'_, Sorted>| {
            shard.below(first)..end.map_or(shard.order.len(), |end| shard.below(end))
        };
        FoldedPart(self.lock().into_iter().map(range).collect())
    }

    /// Names of the streams of a part that have to be folded in stream order.
    pub(crate) fn spoiled(&self, part: &FoldedPart) -> Vec<String> {
        let shards = self.lock();
        let positions = shards.iter().zip(&part.0).flat_map(|(shard, range)| {
            range.clone().filter_map(|position| shard.stream(position)).filter(|(stream, _)| stream.spoiled)
        });
        positions.map(|(_, name)| name.to_owned()).collect()
    }

    /// Takes the next snapshots of a part, in the order of names, until they have `bytes_max` bytes;
    /// `None` if no streams are left.
    pub(crate) fn take(
        &self,
        part: &mut FoldedPart,
        others: &dyn Lookup,
        bytes_max: usize,
    ) -> Option<Folded> {
        let shards = self.lock();
        let mut folded = Folded { snapshots: Snapshots::new(self.targets), ..Folded::default() };
        let mut any = false;
        while folded.snapshots.byte_len() < bytes_max {
            let heads = shards.iter().zip(&part.0).enumerate().filter_map(|(number, (shard, range))| {
                let position = range.clone().next()?;
                shard.stream(position).map(|(_, name)| (name, number))
            });
            let Some((_, number)) = heads.min() else { break };
            any = true;
            if let (Some(shard), Some(range)) = (shards.get(number), part.0.get_mut(number))
                && let Some((stream, name)) = range.next().and_then(|position| shard.stream(position))
            {
                emit(&shard.shard, stream, name, others, &mut folded);
            }
        }
        folded.digest_snapshots();
        any.then_some(folded)
    }
}

fn emit(shard: &Shard, stream: &Stream, name: &str, others: &dyn Lookup, out: &mut Folded) {
    if stream.spoiled {
        return;
    }
    out.counts.add(FoldCounts {
        commits: stream.head.commits.into(),
        events: stream.events.into(),
        bytes: stream.bytes,
        streams: 1,
        ..FoldCounts::default()
    });
    out.heads.push((stream.hash, stream.head));
    let Some(key) = shard.filter.key(name) else { return };
    match shard.states.emit(stream.slot, &key, others, &mut out.snapshots) {
        Ok(written) => out.counts.snapshots += written as u64,
        Err(error) => {
            out.counts.failed_streams += 1;
            out.failed_streams.push(failed_stream(name, stream.next_number, &error));
        }
    }
}

fn failed_stream(stream: &str, number: i64, error: &FoldError) -> FailedStream {
    FailedStream::new(stream, number, "", error.code(), &error.to_string())
}
