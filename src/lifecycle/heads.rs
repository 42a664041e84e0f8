//! Heads of streams: the last folded offset of each, and its comparison with the event store.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

/// Hash by which a stream's head is stored: XXH3, 64 bits, over its name in UTF-8.
#[must_use]
pub(crate) fn stream_hash(stream: &str) -> u64 {
    xxh3_64(stream.as_bytes())
}

/// Stored offset of the last folded commit, by [`stream_hash`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Heads(HashMap<u64, i64>);

/// Differences between folded heads and the event store.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct HeadsDifference {
    /// Number of streams in the event store that have not been folded.
    pub new_streams: u64,
    /// Number of streams whose last commit isn't the last folded one.
    pub moved: u64,
    /// Number of folded streams that the event store no longer has.
    pub gone: u64,
    /// Some of the streams' names, where known.
    pub examples: Vec<String>,
    /// Names of all new or moved streams of one range; of the first ones in a sum.
    #[serde(skip)]
    pub changed: Vec<String>,
    /// Hashes of all gone streams of one range; none in a sum.
    #[serde(skip)]
    pub gone_hashes: Vec<u64>,
}

const EXAMPLES_MAX: usize = 5;
/// Maximum number of names in a sum: those of all ranges may not fit into memory.
const CHANGED_MAX: usize = 10_000;

impl HeadsDifference {
    /// Whether there is no difference.
    #[must_use]
    pub(crate) fn is_none(&self) -> bool {
        self.new_streams == 0 && self.moved == 0 && self.gone == 0
    }

    /// Adds the differences of another range: all numbers, but not all names.
    pub(crate) fn add(&mut self, other: Self) {
        self.new_streams += other.new_streams;
        self.moved += other.moved;
        self.gone += other.gone;
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES_MAX);
        let room = CHANGED_MAX.saturating_sub(self.changed.len());
        self.changed.extend(other.changed.into_iter().take(room));
    }

    fn example(&mut self, stream: &str) {
        self.changed.push(stream.to_owned());
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(stream.to_owned());
        }
    }
}

impl Heads {
    /// Heads from (hash, offset) pairs.
    #[must_use]
    pub(crate) fn new(pairs: impl IntoIterator<Item = (u64, i64)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// Whether the stream was folded.
    #[must_use]
    pub(crate) fn contains(&self, stream: &str) -> bool {
        self.0.contains_key(&stream_hash(stream))
    }

    /// Compares a stream of the event store with its head, and removes the head. Heads that remain at the
    /// [end](Self::finish) belong to streams that are gone.
    pub(crate) fn compare(&mut self, stream: &str, offset: i64, difference: &mut HeadsDifference) {
        match self.0.remove(&stream_hash(stream)) {
            Some(folded) if folded == offset => {}
            Some(_) => {
                difference.moved += 1;
                difference.example(stream);
            }
            None => {
                difference.new_streams += 1;
                difference.example(stream);
            }
        }
    }

    /// Counts the remaining heads: streams that the event store no longer has.
    pub(crate) fn finish(self, difference: &mut HeadsDifference) {
        difference.gone += self.0.len() as u64;
        difference.gone_hashes.extend(self.0.into_keys());
    }

    /// Packed form, 16 bytes a stream: hash and offset, little endian.
    #[must_use]
    pub(crate) fn pack(pairs: &[(u64, i64)]) -> Vec<u8> {
        let pair = |(hash, offset): &(u64, i64)| hash.to_le_bytes().into_iter().chain(offset.to_le_bytes());
        pairs.iter().flat_map(pair).collect()
    }

    /// Reads the [packed](Self::pack) form; `None` if its length doesn't fit.
    #[must_use]
    pub(crate) fn unpack(bytes: &[u8]) -> Option<Vec<(u64, i64)>> {
        let (pairs, rest) = bytes.as_chunks::<16>();
        let number = |pair: &[u8; 16]| {
            let (hash, offset) = pair.split_first_chunk::<8>()?;
            Some((u64::from_le_bytes(*hash), i64::from_le_bytes(*offset.first_chunk()?)))
        };
        rest.is_empty().then(|| pairs.iter().filter_map(number).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found_both_ways() {
        let mut heads = Heads::new([("a", 1), ("b", 2), ("c", 3)].map(|(name, at)| (stream_hash(name), at)));
        let mut difference = HeadsDifference::default();
        heads.compare("a", 1, &mut difference);
        assert!(difference.is_none());
        heads.compare("b", 5, &mut difference);
        heads.compare("d", 0, &mut difference);
        heads.finish(&mut difference);
        assert_eq!((difference.new_streams, difference.moved, difference.gone), (1, 1, 1));
        assert_eq!(difference.examples, ["b", "d"]);
    }

    #[test]
    fn a_sum_counts_all_and_keeps_some_names() {
        let mut sum = HeadsDifference::default();
        for range in 0..3 {
            let mut difference = HeadsDifference::default();
            for stream in 0..CHANGED_MAX {
                Heads::default().compare(&format!("{range}-{stream}"), 0, &mut difference);
            }
            assert_eq!(difference.changed.len(), CHANGED_MAX);
            Heads::new([(range, 1)]).finish(&mut difference);
            sum.add(difference);
        }
        assert_eq!((sum.new_streams, sum.gone), (3 * CHANGED_MAX as u64, 3));
        assert_eq!((sum.changed.len(), sum.gone_hashes.len()), (CHANGED_MAX, 0));
    }

    #[test]
    fn packed_heads_read_back() {
        let pairs = vec![(7, -1), (u64::MAX, i64::MAX)];
        assert_eq!(Heads::unpack(&Heads::pack(&pairs)), Some(pairs));
        assert_eq!(Heads::unpack(&[0; 15]), None);
    }
}
