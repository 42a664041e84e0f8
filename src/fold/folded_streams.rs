//! Streams that were folded in memory, to be taken out in the order of their names.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use statefold_projections::{FoldError, Snapshots};

use crate::fold::folded::{FailedStream, FoldCounts, Folded};
use crate::fold::lookups::{self, Emitted, Lookups};
use crate::fold::shard::{Shard, Stream};
use crate::fold::sort::sorted_by_name;

/// A complete shard with its streams sorted by name.
pub(crate) struct Sorted {
    shard: Shard,
    order: Vec<u32>,
}

impl Sorted {
    /// Completes a shard and sorts its streams.
    pub(crate) fn new(mut shard: Shard) -> Self {
        shard.finish();
        let name = |at: u32| {
            let stream = shard.streams.get(at as usize);
            stream.map(|stream| shard.names.get(stream.name).as_bytes()).unwrap_or_default()
        };
        let order = sorted_by_name(u32::try_from(shard.len()).unwrap_or(u32::MAX), name);
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

/// A range of streams that are still to be taken.
pub(crate) struct FoldedPart {
    /// Positions that weren't taken, for each shard.
    left: Vec<Range<usize>>,
    /// Shards and positions of streams that wait for what they look up.
    waiting: Vec<(usize, usize)>,
}

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
        FoldedPart { left: self.lock().into_iter().map(range).collect(), waiting: Vec::new() }
    }

    /// Names of the streams of a part that have to be folded in stream order.
    pub(crate) fn spoiled(&self, part: &FoldedPart) -> Vec<String> {
        let shards = self.lock();
        let positions = shards.iter().zip(&part.left).flat_map(|(shard, range)| {
            range.clone().filter_map(|position| shard.stream(position)).filter(|(stream, _)| stream.spoiled)
        });
        positions.map(|(_, name)| name.to_owned()).collect()
    }

    /// Takes the next snapshots of a part, in the order of names, until they have `bytes_max` bytes;
    /// `None` if no streams are left. Streams that wait for what they look up come first, the next time.
    pub(crate) fn take(
        &self,
        part: &mut FoldedPart,
        lookups: &mut Lookups,
        bytes_max: usize,
    ) -> Option<Folded> {
        let shards = self.lock();
        let mut folded = Folded { snapshots: Snapshots::new(self.targets), ..Folded::default() };
        let waited = std::mem::take(&mut part.waiting);
        let mut any = !waited.is_empty();
        if !any {
            lookups.trim();
        }
        for (number, position) in waited {
            if folded.snapshots.byte_len() >= bytes_max {
                part.waiting.push((number, position));
            } else if let Some((shard, (stream, name))) =
                shards.get(number).and_then(|shard| Some((shard, shard.stream(position)?)))
                && write(&shard.shard, stream, name, lookups, &mut folded) == Waits::Yes
            {
                part.waiting.push((number, position));
            }
        }
        // After those that waited come no others, so that what was loaded can be forgotten in between.
        let bytes_max = if any { 0 } else { bytes_max };
        while folded.snapshots.byte_len() < bytes_max && part.waiting.len() < WAITING_MAX {
            let heads = shards.iter().zip(&part.left).enumerate().filter_map(|(number, (shard, range))| {
                let position = range.clone().next()?;
                shard.stream(position).map(|(_, name)| (name, number))
            });
            let Some((_, number)) = heads.min() else { break };
            any = true;
            if let (Some(shard), Some(range)) = (shards.get(number), part.left.get_mut(number))
                && let Some(position) = range.next()
                && let Some((stream, name)) = shard.stream(position)
                && take(&shard.shard, stream, name, lookups, &mut folded) == Waits::Yes
            {
                part.waiting.push((number, position));
            }
        }
        folded.digest_snapshots();
        any.then_some(folded)
    }
}

/// Most streams that wait for what they look up before that is loaded.
const WAITING_MAX: usize = 500;

/// Whether a stream waits for what it looks up.
#[derive(PartialEq, Eq)]
enum Waits {
    Yes,
    No,
}

/// Counts a stream and writes its snapshots.
fn take(shard: &Shard, stream: &Stream, name: &str, lookups: &Lookups, out: &mut Folded) -> Waits {
    if stream.spoiled {
        return Waits::No;
    }
    out.counts.add(FoldCounts {
        commits: stream.head.commits.into(),
        events: stream.events.into(),
        bytes: stream.bytes,
        streams: 1,
        ..FoldCounts::default()
    });
    out.heads.push((stream.hash, stream.head));
    out.note_length(stream.head.commits, name);
    write(shard, stream, name, lookups, out)
}

/// Writes the snapshots of a stream, unless it waits for what it looks up.
fn write(shard: &Shard, stream: &Stream, name: &str, lookups: &Lookups, out: &mut Folded) -> Waits {
    let Some(key) = shard.filter.key(name) else { return Waits::No };
    match lookups::emit(&*shard.states, stream.slot, (name, &key), lookups, out) {
        Emitted::Written(written) => out.counts.snapshots += written as u64,
        Emitted::Failed(error) => {
            out.counts.failed_streams += 1;
            out.failed_streams.push(failed_stream(name, stream.next_number, &error));
        }
        Emitted::Waits => return Waits::Yes,
    }
    Waits::No
}

fn failed_stream(stream: &str, number: i64, error: &FoldError) -> FailedStream {
    FailedStream::new(stream, number, "", error.code(), &error.to_string())
}
