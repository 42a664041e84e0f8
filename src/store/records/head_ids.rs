//! Ids of the documents that hold heads: buckets by hash, and one document for each refolded stream.

use bson::{Document, doc};

/// More buckets than any partition needs.
const BITS_MAX: u32 = 24;

/// Streams in a bucket, at most on average: 16 bytes each.
const HEADS_PER_BUCKET: usize = 256;

/// Number of bits that divide so many heads into small buckets.
pub(in crate::store) fn bits_for(heads: usize) -> u32 {
    heads.div_ceil(HEADS_PER_BUCKET).max(1).next_power_of_two().trailing_zeros().min(BITS_MAX)
}

pub(crate) fn bucket_of(hash: u64, bits: u32) -> u64 {
    hash.checked_shr(u64::BITS - bits).unwrap_or(0)
}

/// Condition on ids: all heads and checkpoints of a build, or all heads of one of its partitions.
pub(in crate::store) fn ids_of(build: &str, partition: Option<u32>) -> Document {
    let prefix = partition.map_or_else(|| build.to_owned(), |partition| format!("{build}/{partition}"));
    // The character after a slash is 0.
    doc! { "$gte": format!("{prefix}/"), "$lt": format!("{prefix}0") }
}

/// Id of the document with the head of one refolded stream.
pub(in crate::store) fn refolded_id(build: &str, partition: u32, hash: u64) -> String {
    format!("{build}/{partition}/s{hash:016x}")
}

pub(crate) fn bucket_id(build: &str, partition: u32, bucket: u64) -> String {
    format!("{build}/{partition}/{bucket}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_stay_small() {
        assert_eq!((bits_for(0), bits_for(256), bits_for(257), bits_for(1_000_000)), (0, 0, 1, 12));
        assert_eq!(bits_for(usize::MAX / 2), BITS_MAX);
    }

    #[test]
    fn a_bucket_is_the_first_bits_of_the_hash() {
        assert_eq!((bucket_of(u64::MAX, 0), bucket_of(u64::MAX, 3), bucket_of(1 << 61, 3)), (0, 7, 1));
    }

    #[test]
    fn the_range_of_a_partition_holds_its_heads_and_no_others() {
        let range = ids_of("Assets3", Some(1));
        let (from, to) =
            (range.get_str("$gte").unwrap_or_default(), range.get_str("$lt").unwrap_or_default());
        let inside = |id: &str| from <= id && id < to;
        assert!(inside(&bucket_id("Assets3", 1, 0)) && inside(&refolded_id("Assets3", 1, u64::MAX)));
        assert!(!inside(&bucket_id("Assets3", 10, 0)) && !inside(&bucket_id("Assets31", 1, 0)));
    }
}
