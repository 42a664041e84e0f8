//! Ranges of stream names: the unit of parallel work and of resume.

use serde::{Deserialize, Serialize};
use statefold_projections::StreamFilter;

/// Stream names from `first` (inclusive) to `end` (exclusive, `None` = no bound), compared as UTF-8
/// bytes, which is how MongoDB compares strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamRange {
    /// First name, inclusive.
    pub first: String,
    /// End of the range, exclusive.
    pub end: Option<String>,
}

impl StreamRange {
    /// The whole range of a filter.
    #[must_use]
    pub(crate) fn of(filter: &StreamFilter) -> Self {
        Self { first: filter.first().to_owned(), end: filter.end() }
    }

    /// Whether the stream is in the range.
    #[must_use]
    pub(crate) fn holds(&self, stream: &str) -> bool {
        self.first.as_str() <= stream && self.end.as_deref().is_none_or(|end| stream < end)
    }
}

/// A part of a build, by a range of streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Position, the first is 0.
    pub number: u32,
    /// Its streams.
    pub range: StreamRange,
}

/// Desired number of commits in a partition: few enough that redoing one is cheap, many enough that its fixed
/// cost is negligible.
const COMMITS_PER_PARTITION: u64 = 25_000;
const PARTITIONS_MAX: u32 = 2048;

/// Number of partitions: enough for all threads, and none too large to redo.
#[must_use]
pub(crate) fn partition_count(commits: u64, threads: usize, forced: Option<u32>) -> u32 {
    if let Some(forced) = forced {
        return forced.clamp(1, PARTITIONS_MAX);
    }
    let by_size = u32::try_from(commits.div_ceil(COMMITS_PER_PARTITION)).unwrap_or(PARTITIONS_MAX);
    let by_threads = u32::try_from(threads.saturating_mul(2)).unwrap_or(PARTITIONS_MAX);
    // A handful of commits isn't worth more than one partition.
    let by_threads = if commits < 1000 { 1 } else { by_threads };
    by_size.max(by_threads).clamp(1, PARTITIONS_MAX)
}

/// Divides a range at the given names; names outside the range are ignored.
#[must_use]
pub(crate) fn divide(range: &StreamRange, cuts: &[String]) -> Vec<Partition> {
    let inside = |cut: &&String| **cut > range.first && range.end.as_ref().is_none_or(|end| *cut < end);
    let mut cuts: Vec<&String> = cuts.iter().filter(inside).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let firsts = std::iter::once(&range.first).chain(cuts.iter().copied());
    let ends = cuts.iter().map(|cut| Some((*cut).clone())).chain(std::iter::once(range.end.clone()));
    let ranges = firsts.zip(ends).map(|(first, end)| StreamRange { first: first.clone(), end });
    (0..).zip(ranges).map(|(number, range)| Partition { number, range }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_stores_get_one_partition_and_large_ones_short_ones() {
        assert_eq!(partition_count(0, 2, None), 1);
        assert_eq!(partition_count(5_000, 2, None), 4);
        assert_eq!(partition_count(1_000_000, 2, None), 40);
        assert_eq!(partition_count(10_000_000_000, 2, None), PARTITIONS_MAX);
        assert_eq!(partition_count(10, 2, Some(8)), 8);
    }

    proptest! {
        #[test]
        fn every_name_of_the_range_is_in_exactly_one_partition(
            cuts in proptest::collection::vec("[a-z-]{0,4}", 0..12),
            name in "asset-[a-z]{1,3}",
        ) {
            let range = StreamRange { first: "asset-".into(), end: Some("asset.".into()) };
            let cuts: Vec<String> = cuts.iter().map(|cut| format!("asset-{cut}")).collect();
            let partitions = divide(&range, &cuts);
            let holds = |partition: &&Partition| {
                name >= partition.range.first && partition.range.end.as_ref().is_none_or(|end| name < *end)
            };
            prop_assert_eq!(partitions.iter().filter(holds).count(), 1);
            prop_assert!(partitions.iter().zip(0..).all(|(partition, number)| partition.number == number));
        }
    }
}
