//! Order-independent hash of the documents of a generation.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Sum, modulo 2^128, of the XXH3 hashes (128 bits, seeded with the target's position) of all
/// documents' bytes, and their number. Two digests add up, in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    sum: u128,
    documents: u64,
}

impl Digest {
    /// Adds a document of the target at this position.
    pub fn add(&mut self, target: usize, document: &[u8]) {
        self.sum = self.sum.wrapping_add(xxh3_128_with_seed(document, target as u64));
        self.documents += 1;
    }

    /// Adds all documents of another digest.
    pub fn merge(&mut self, other: Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.documents += other.documents;
    }

    /// This digest with all documents of another one.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.merge(other);
        self
    }

    /// This digest without the documents of another one, all of which it has to contain.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self {
            sum: self.sum.wrapping_sub(other.sum),
            documents: self.documents.saturating_sub(other.documents),
        }
    }

    /// Number of documents.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.documents
    }
}

impl fmt::Display for Digest {
    /// 32 hexadecimal digits, a dash and the number of documents.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}-{}", self.sum, self.documents)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = || format!("`{text}` is not a digest");
        let (sum, documents) = text.split_once('-').ok_or_else(problem)?;
        let sum = u128::from_str_radix(sum, 16).map_err(|_| problem())?;
        let documents = documents.parse().map_err(|_| problem())?;
        Ok(Self { sum, documents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_documents_does_not_matter_but_their_target_does() {
        let digest_of = |documents: &[(usize, &str)]| {
            let mut digest = Digest::default();
            documents.iter().for_each(|(target, text)| digest.add(*target, text.as_bytes()));
            digest
        };
        assert_eq!(digest_of(&[(0, "a"), (0, "b"), (1, "c")]), digest_of(&[(1, "c"), (0, "b"), (0, "a")]));
        assert_ne!(digest_of(&[(0, "a"), (1, "b")]), digest_of(&[(1, "a"), (0, "b")]));
        assert_ne!(digest_of(&[(0, "a")]), digest_of(&[(0, "a"), (0, "a")]));
        let mut parts = digest_of(&[(0, "a")]);
        parts.merge(digest_of(&[(0, "b")]));
        assert_eq!(parts, digest_of(&[(0, "a"), (0, "b")]));
        assert_eq!(parts.without(digest_of(&[(0, "a")])), digest_of(&[(0, "b")]));
        assert_eq!(parts.to_string().parse(), Ok(parts));
        assert!("x-1".parse::<Digest>().is_err());
    }
}
