//! The content of a collection as one hash for each document: enough to tell which documents differ.

use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// The bit that marks a document as looked up.
const SEEN: u64 = 1 << 63;

/// Hashes of documents by the hash of their stream: 16 bytes each, and the overhead of the table.
#[derive(Default)]
pub(crate) struct DocumentHashes(HashTable<Entry>);

struct Entry {
    stream: u64,
    /// Hash of the document in the lower bits, [`SEEN`] in the highest.
    document: AtomicU64,
}

/// The result of looking a document up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DocumentMatch {
    /// The same document is stored, as far as its hash tells.
    Equal,
    /// Another document is stored.
    Differs,
    /// No document is stored.
    Missing,
}

fn hash_of(document: &[u8]) -> u64 {
    xxh3_64(document) & !SEEN
}

impl DocumentHashes {
    /// An empty table with room for this many documents.
    pub(crate) fn with_capacity(documents: usize) -> Self {
        Self(HashTable::with_capacity(documents))
    }

    /// Adds the document of a stream.
    pub(crate) fn add(&mut self, stream: u64, document: &[u8]) {
        let entry = Entry { stream, document: AtomicU64::new(hash_of(document)) };
        self.0.insert_unique(stream, entry, |entry| entry.stream);
    }

    /// Compares a document with the one that is stored for its stream, and marks that one as looked up.
    pub(crate) fn compare(&self, stream: u64, document: &[u8]) -> DocumentMatch {
        let (hash, mut found) = (hash_of(document), DocumentMatch::Missing);
        // There are several where hashes of streams collide.
        for entry in self.0.iter_hash(stream).filter(|entry| entry.stream == stream) {
            let stored = entry.document.fetch_or(SEEN, Ordering::Relaxed) & !SEEN;
            if stored == hash {
                return DocumentMatch::Equal;
            }
            found = DocumentMatch::Differs;
        }
        found
    }

    /// Hashes of the streams with a document that was never looked up.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = u64> {
        let left = self.0.iter().filter(|entry| entry.document.load(Ordering::Relaxed) & SEEN == 0);
        left.map(|entry| entry.stream)
    }

    /// Whether a stream has a document that was never looked up.
    pub(crate) fn is_unseen(&self, stream: u64) -> bool {
        let mut entries = self.0.iter_hash(stream).filter(|entry| entry.stream == stream);
        entries.any(|entry| entry.document.load(Ordering::Relaxed) & SEEN == 0)
    }

    /// Memory of the table, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.allocation_size()
    }

    /// Number of documents.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_knows_what_it_needs() {
        let bytes = DocumentHashes::with_capacity(10_000).bytes();
        assert!((170_000..400_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn documents_are_equal_different_missing_or_left_over() {
        let mut stored = DocumentHashes::with_capacity(2);
        stored.add(1, b"one");
        stored.add(2, b"two");
        stored.add(3, b"three");
        assert_eq!((stored.len(), stored.unseen().count()), (3, 3));
        assert_eq!(stored.compare(1, b"one"), DocumentMatch::Equal);
        // Looked up again, as after a partition that was redone.
        assert_eq!(stored.compare(1, b"one"), DocumentMatch::Equal);
        assert_eq!(stored.compare(2, b"2"), DocumentMatch::Differs);
        assert_eq!(stored.compare(4, b"four"), DocumentMatch::Missing);
        assert_eq!(stored.unseen().collect::<Vec<_>>(), [3]);
        assert!(stored.is_unseen(3) && !stored.is_unseen(2) && !stored.is_unseen(4));
    }
}
