//! Estimates from a random sample of the event store.

use statefold_projections::{Layout, StreamFilter};

use crate::plan::partitions::StreamRange;
use crate::plan::shards::ShardMap;

/// One commit of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SampledCommit {
    /// Name of its stream.
    pub stream: String,
    /// Its offset, as stored.
    pub offset: i64,
}

/// A random sample and the size of the whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoreSample {
    /// Commits in the event store.
    pub commits: u64,
    /// Their size, in bytes, uncompressed.
    pub bytes: u64,
    /// Cache of the server, in bytes, where it tells.
    pub cache_bytes: Option<u64>,
    /// The shards it is divided among, in a sharded cluster.
    pub shards: Option<ShardMap>,
    /// The sampled commits.
    pub sampled: Vec<SampledCommit>,
}

/// Estimate of some streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StreamsEstimate {
    /// Commits.
    pub commits: u64,
    /// Streams.
    pub streams: u64,
}

impl StoreSample {
    fn wanted<'a>(&'a self, filter: &'a StreamFilter) -> impl Iterator<Item = &'a SampledCommit> {
        self.sampled.iter().filter(|commit| filter.matches(&commit.stream))
    }

    fn scale(&self, count: usize) -> u64 {
        let all = u128::from(self.commits) * count as u128;
        u64::try_from(all / self.sampled.len().max(1) as u128).unwrap_or(u64::MAX)
    }

    /// Estimates commits and streams of a filter: every stream has exactly one first commit.
    #[must_use]
    pub(crate) fn estimate(&self, filter: &StreamFilter, layout: &Layout) -> StreamsEstimate {
        let first = |commit: &&SampledCommit| layout.first_number(commit.offset) == 0;
        StreamsEstimate {
            commits: self.scale(self.wanted(filter).count()),
            streams: self.scale(self.wanted(filter).filter(first).count()),
        }
    }

    /// Names that divide a range into parts with about the same number of commits.
    #[must_use]
    pub(crate) fn cuts(&self, range: &StreamRange, parts: u32) -> Vec<String> {
        let inside = |stream: &&str| {
            **stream >= *range.first && range.end.as_deref().is_none_or(|end| **stream < *end)
        };
        let mut streams: Vec<&str> =
            self.sampled.iter().map(|commit| commit.stream.as_str()).filter(inside).collect();
        streams.sort_unstable();
        let (count, parts) = (streams.len(), parts as usize);
        let positions = (1..parts).map(|part| count * part / parts);
        let mut cuts: Vec<String> =
            positions.filter_map(|at| streams.get(at)).map(|name| (*name).to_owned()).collect();
        // Each range is read from one shard.
        cuts.extend(self.shards.iter().flat_map(ShardMap::cuts).filter(inside).map(str::to_owned));
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> StoreSample {
        let commit = |at: usize| SampledCommit {
            stream: format!("{}-{at:03}", if at.is_multiple_of(2) { "a" } else { "b" }),
            offset: if at < 20 { -1 } else { 3 },
        };
        StoreSample { commits: 10_000, sampled: (0..100).map(commit).collect(), ..StoreSample::default() }
    }

    #[test]
    fn shares_and_streams_scale_with_the_store() {
        let estimate = sample().estimate(&StreamFilter::prefix("a-"), &Layout::default());
        assert_eq!(estimate, StreamsEstimate { commits: 5000, streams: 1000 });
        let none = StoreSample::default().estimate(&StreamFilter::prefix("a-"), &Layout::default());
        assert_eq!(none, StreamsEstimate::default());
    }

    #[test]
    fn cuts_divide_the_sampled_commits_evenly() {
        let range = StreamRange::of(&StreamFilter::prefix("a-"));
        assert_eq!(sample().cuts(&range, 5), ["a-020", "a-040", "a-060", "a-080"]);
        assert_eq!(sample().cuts(&range, 1), [""; 0]);
        assert!(sample().cuts(&range, 1000).len() < 51);
        assert_eq!(StoreSample::default().cuts(&range, 5), [""; 0]);
    }
}
