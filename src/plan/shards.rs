//! The shards of an event store in a sharded cluster, and which of them has which streams.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::plan::partitions::StreamRange;

/// A chunk of a collection that is divided by the names of streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// First name; `None` is the beginning.
    pub first: Option<String>,
    /// End, exclusive; `None` is the end.
    pub end: Option<String>,
    /// Name of the shard that has it.
    pub shard: String,
}

/// How an event store is divided among shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShardMap {
    /// Whether chunks are ranges of stream names, so that each range is on one shard.
    pub by_stream: bool,
    /// The chunks: in the order of the names where they are ranges of them.
    pub chunks: Vec<Chunk>,
}

/// A shard of the event store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShardPlan {
    /// Its name.
    pub shard: String,
    /// Chunks that it has.
    pub chunks: usize,
    /// Whether they are ranges of streams, which are read from this shard alone.
    pub by_stream: bool,
}

impl ShardMap {
    /// The shards with the number of their chunks.
    #[must_use]
    pub(crate) fn shards(&self) -> Vec<ShardPlan> {
        let mut counts = BTreeMap::new();
        for chunk in &self.chunks {
            *counts.entry(chunk.shard.clone()).or_insert(0) += 1;
        }
        let plan = |(shard, chunks)| ShardPlan { shard, chunks, by_stream: self.by_stream };
        counts.into_iter().map(plan).collect()
    }

    /// Names at which the streams of one shard end and those of another begin.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = &str> {
        let chunks = if self.by_stream { self.chunks.as_slice() } else { &[] };
        let pairs = chunks.iter().zip(chunks.iter().skip(1));
        let others = pairs.filter(|(before, after)| before.shard != after.shard);
        others.filter_map(|(_, after)| after.first.as_deref())
    }

    /// The shard that has all streams of a range; `None` if several have.
    #[must_use]
    pub(crate) fn shard_of(&self, range: &StreamRange) -> Option<&str> {
        if !self.by_stream {
            return None;
        }
        let overlaps = |chunk: &&Chunk| {
            let begins_before = range.end.as_deref().is_none_or(|end| chunk.first.as_deref() < Some(end));
            let ends_behind = chunk.end.as_deref().is_none_or(|end| end > range.first.as_str());
            begins_before && ends_behind
        };
        let mut shards = self.chunks.iter().filter(overlaps).map(|chunk| chunk.shard.as_str());
        let first = shards.next()?;
        shards.all(|shard| shard == first).then_some(first)
    }
}

/// The order in which partitions are taken, so that all shards are read at the same time: the first of each,
/// then the second of each, and so on. `shards` has the shard of each partition.
#[must_use]
pub(crate) fn turns(shards: &[String]) -> Vec<u32> {
    let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
    let mut turns = Vec::with_capacity(shards.len());
    for shard in shards {
        let turn = taken.entry(shard).or_insert(0);
        *turn += 1;
        turns.push(*turn);
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first: Option<&str>, end: Option<&str>, shard: &str) -> Chunk {
        Chunk { first: first.map(str::to_owned), end: end.map(str::to_owned), shard: shard.into() }
    }

    fn map() -> ShardMap {
        ShardMap {
            by_stream: true,
            chunks: vec![
                chunk(None, Some("asset-4"), "a"),
                chunk(Some("asset-4"), Some("asset-8"), "b"),
                chunk(Some("asset-8"), Some("content-"), "b"),
                chunk(Some("content-"), None, "a"),
            ],
        }
    }

    fn range(first: &str, end: Option<&str>) -> StreamRange {
        StreamRange { first: first.into(), end: end.map(str::to_owned) }
    }

    #[test]
    fn streams_are_cut_where_another_shard_begins() {
        assert_eq!(map().cuts().collect::<Vec<_>>(), ["asset-4", "content-"]);
        let shards: Vec<(String, usize)> =
            map().shards().into_iter().map(|shard| (shard.shard, shard.chunks)).collect();
        assert_eq!(shards, [("a".to_owned(), 2), ("b".to_owned(), 2)]);
        let hashed = ShardMap { by_stream: false, ..map() };
        assert_eq!(hashed.cuts().count(), 0);
    }

    #[test]
    fn a_range_is_on_a_shard_if_no_other_has_any_of_it() {
        let map = map();
        assert_eq!(map.shard_of(&range("asset-", Some("asset-4"))), Some("a"));
        assert_eq!(map.shard_of(&range("asset-4", Some("asset."))), Some("b"));
        assert_eq!(map.shard_of(&range("asset-3", Some("asset-5"))), None);
        assert_eq!(map.shard_of(&range("content-", None)), Some("a"));
        assert_eq!(ShardMap { by_stream: false, ..map.clone() }.shard_of(&range("a", Some("b"))), None);
    }

    #[test]
    fn shards_take_turns() {
        let of = |names: &[&str]| turns(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["a", "a", "b", "a", "b"]), [1, 2, 1, 3, 2]);
        assert_eq!(of(&[]), [0; 0]);
    }
}
