//! Heads of streams: the last folded commit of each, and its comparison with the event store.
//!
//! An offset alone doesn't tell two histories apart: a stream that was deleted for good and created again may
//! have the same last offset. So a head also has an identity of its last commit, and the number of commits.

use std::collections::HashMap;

use bson::raw::RawBsonRef;
use bson::{RawDocument, rawdoc};
use statefold_projections::Commit;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Hash by which a stream's head is stored: XXH3, 64 bits, over its name in UTF-8.
#[must_use]
pub(crate) fn stream_hash(stream: &str) -> u64 {
    xxh3_64(stream.as_bytes())
}

/// The head of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Stored offset of the last commit.
    pub(crate) offset: i64,
    /// [Identity](identity) of the last commit; 0 if it isn't known, as in heads of older versions.
    pub(crate) identity: u64,
    /// Number of commits; 0 if it isn't known.
    pub(crate) commits: u32,
}

impl Head {
    /// Offset of a commit whose stored one can't be read.
    pub(crate) const OFFSET_UNREADABLE: i64 = i64::MIN;
    /// The head of a stream without a commit.
    pub(crate) const NONE: Self = Self { offset: Self::OFFSET_UNREADABLE, identity: 0, commits: 0 };

    /// Whether both are the head of the same history, as far as both are known.
    #[must_use]
    pub(crate) fn is_same(self, other: Self) -> bool {
        let same = |left: u64, right: u64| left == right || left == 0 || right == 0;
        self.offset == other.offset
            && same(self.identity, other.identity)
            && same(self.commits.into(), other.commits.into())
    }

    /// The head after one more commit.
    #[must_use]
    pub(crate) fn after(self, document: &RawDocument, offset: i64) -> Self {
        let identity = Commit::id_of(document).map_or(0, |id| identity(id, document.as_bytes().len()));
        Self { offset, identity, commits: self.commits.saturating_add(1) }
    }
}

/// Identity of a commit: XXH3, 64 bits, over the value of its `_id`, seeded with its size in bytes. Never 0.
#[must_use]
pub(crate) fn identity(id: RawBsonRef<'_>, bytes: usize) -> u64 {
    let seed = bytes as u64;
    let hash = match id {
        RawBsonRef::String(text) => xxh3_64_with_seed(text.as_bytes(), seed),
        RawBsonRef::ObjectId(id) => xxh3_64_with_seed(&id.bytes(), seed),
        other => xxh3_64_with_seed(rawdoc! { "": other }.as_bytes(), seed),
    };
    hash.max(1)
}

/// Heads of folded streams, by [`stream_hash`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Heads(HashMap<u64, Head>);

/// Differences between folded heads and the event store.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct HeadsDifference {
    /// Number of streams in the event store that have not been folded.
    pub new_streams: u64,
    /// Number of streams whose last commit isn't the last folded one.
    pub moved: u64,
    /// Number of folded streams that the event store no longer has.
    pub gone: u64,
    /// Number of streams of which an older version recorded the offset alone.
    pub unidentified: u64,
    /// Some of the streams' names, where known.
    pub examples: Vec<String>,
    /// Names of all new or moved streams of one range; of the first ones in a sum.
    #[serde(skip)]
    pub changed: Vec<String>,
    /// Names of those streams of one range that have fewer commits now, or end earlier; none in a sum.
    #[serde(skip)]
    pub shrunk: Vec<String>,
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
        self.unidentified += other.unidentified;
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
    /// Heads from (hash, head) pairs.
    #[must_use]
    pub(crate) fn new(pairs: impl IntoIterator<Item = (u64, Head)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// Whether the stream was folded.
    #[must_use]
    pub(crate) fn contains(&self, stream: &str) -> bool {
        self.0.contains_key(&stream_hash(stream))
    }

    /// Compares a stream of the event store with its head, and removes the head. Heads that remain at the
    /// [end](Self::finish) belong to streams that are gone.
    pub(crate) fn compare(&mut self, stream: &str, head: Head, difference: &mut HeadsDifference) {
        match self.0.remove(&stream_hash(stream)) {
            Some(folded) if folded.is_same(head) => {
                difference.unidentified += u64::from(folded.identity == 0);
            }
            Some(folded) => {
                let is_shorter = head.offset == folded.offset && head.commits < folded.commits;
                if head.offset < folded.offset || is_shorter && head.commits > 0 {
                    difference.shrunk.push(stream.to_owned());
                }
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

    /// Packed form, 28 bytes a stream: hash, offset, identity, number of commits, little endian.
    #[must_use]
    pub(crate) fn pack(pairs: &[(u64, Head)]) -> Vec<u8> {
        let mut packed = Vec::with_capacity(pairs.len() * 28);
        for (hash, head) in pairs {
            packed.extend_from_slice(&hash.to_le_bytes());
            packed.extend_from_slice(&head.offset.to_le_bytes());
            packed.extend_from_slice(&head.identity.to_le_bytes());
            packed.extend_from_slice(&head.commits.to_le_bytes());
        }
        packed
    }

    /// Reads the [packed](Self::pack) form; `None` if its length doesn't fit.
    #[must_use]
    pub(crate) fn unpack(bytes: &[u8]) -> Option<Vec<(u64, Head)>> {
        let (entries, rest) = bytes.as_chunks::<28>();
        let read = |entry: &[u8; 28]| {
            let (hash, entry) = entry.split_first_chunk::<8>()?;
            let (offset, entry) = entry.split_first_chunk::<8>()?;
            let (identity, commits) = entry.split_first_chunk::<8>()?;
            let head = Head {
                offset: i64::from_le_bytes(*offset),
                identity: u64::from_le_bytes(*identity),
                commits: u32::from_le_bytes(*commits.first_chunk()?),
            };
            Some((u64::from_le_bytes(*hash), head))
        };
        rest.is_empty().then(|| entries.iter().filter_map(read).collect())
    }

    /// Reads the form of older versions, 16 bytes a stream: hash and offset.
    #[must_use]
    pub(crate) fn unpack_offsets(bytes: &[u8]) -> Option<Vec<(u64, Head)>> {
        let (pairs, rest) = bytes.as_chunks::<16>();
        let read = |pair: &[u8; 16]| {
            let (hash, offset) = pair.split_first_chunk::<8>()?;
            let offset = i64::from_le_bytes(*offset.first_chunk()?);
            Some((u64::from_le_bytes(*hash), Head { offset, ..Head::NONE }))
        };
        rest.is_empty().then(|| pairs.iter().filter_map(read).collect())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn head(offset: i64) -> Head {
        Head { offset, identity: 7, commits: 1 }
    }

    #[test]
    fn differences_are_found_both_ways() {
        let folded = [("a", 1), ("b", 2), ("c", 3), ("e", 4), ("f", 5), ("g", 6)];
        let mut heads = Heads::new(folded.map(|(name, at)| (stream_hash(name), head(at))));
        let mut difference = HeadsDifference::default();
        heads.compare("a", head(1), &mut difference);
        assert!(difference.is_none());
        heads.compare("b", head(5), &mut difference);
        heads.compare("d", head(0), &mut difference);
        // The same offset, but another commit, or another number of commits.
        heads.compare("e", Head { identity: 8, ..head(4) }, &mut difference);
        heads.compare("f", Head { commits: 2, ..head(5) }, &mut difference);
        heads.compare("g", head(5), &mut difference);
        assert_eq!(difference.shrunk, ["g"]);
        heads.finish(&mut difference);
        assert_eq!((difference.new_streams, difference.moved, difference.gone), (1, 4, 1));
        assert_eq!(difference.examples, ["b", "d", "e", "f", "g"]);
    }

    #[test]
    fn what_an_older_version_did_not_record_is_not_compared() {
        let old = Head { offset: 3, ..Head::NONE };
        assert!(old.is_same(head(3)) && head(3).is_same(old) && !old.is_same(head(4)));
    }

    #[test]
    fn a_commit_is_told_by_its_id_and_its_size() {
        let commit = |id: &str, more: &str| rawdoc! { "_id": id, "more": more };
        let of = |document: &RawDocument| Head::NONE.after(document, 1);
        let (one, other) = (commit("1", ""), commit("2", ""));
        assert_eq!(of(&one), of(&one.clone()));
        assert_eq!((of(&one).commits, of(&one).after(&other, 2).commits), (1, 2));
        assert!(!of(&one).is_same(of(&other)) && !of(&one).is_same(of(&commit("1", "longer"))));
        let numbers = [rawdoc! { "_id": 1 }, rawdoc! { "_id": 2 }].map(|document| of(&document));
        assert!(!numbers[0].is_same(numbers[1]));
        assert_eq!(of(&rawdoc! {}).identity, 0);
    }

    #[test]
    fn a_sum_counts_all_and_keeps_some_names() {
        let mut sum = HeadsDifference::default();
        for range in 0..3 {
            let mut difference = HeadsDifference::default();
            for stream in 0..CHANGED_MAX {
                Heads::default().compare(&format!("{range}-{stream}"), head(0), &mut difference);
            }
            assert_eq!(difference.changed.len(), CHANGED_MAX);
            Heads::new([(range, head(1))]).finish(&mut difference);
            sum.add(difference);
        }
        assert_eq!((sum.new_streams, sum.gone), (3 * CHANGED_MAX as u64, 3));
        assert_eq!((sum.changed.len(), sum.gone_hashes.len()), (CHANGED_MAX, 0));
    }

    #[test]
    fn packed_heads_read_back() {
        let all = Head { offset: i64::MAX, identity: u64::MAX, commits: u32::MAX };
        let pairs = vec![(7, head(-1)), (u64::MAX, all)];
        assert_eq!(Heads::unpack(&Heads::pack(&pairs)), Some(pairs));
        assert_eq!(Heads::unpack(&[0; 27]), None);
    }

    #[test]
    fn heads_of_older_versions_read_back_without_identity() {
        let old: Vec<u8> = 7u64.to_le_bytes().into_iter().chain(5i64.to_le_bytes()).collect();
        let read = Heads::unpack_offsets(&old).unwrap();
        assert_eq!(read, [(7, Head { offset: 5, ..Head::NONE })]);
        assert_eq!(Heads::unpack_offsets(&[0; 15]), None);
    }
}
