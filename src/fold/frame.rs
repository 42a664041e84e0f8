//! Frames of a spill file: commits, one document after the other, compressed with LZ4.
//!
//! A frame is: length of the commits (u32), length of the compressed block (u32), XXH3-64 of the block
//! (seeded with the first length), the block. All numbers are little endian. Block format:
//! <https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>.

use bson::RawDocument;
use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const HEADER: usize = 16;

/// A frame that isn't as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a frame of the spill file is damaged: {0}")]
pub struct BrokenFrame(&'static str);

/// Writes the frame of these commits, of at most 4 GiB, into `frame`.
pub fn encode_frame(commits: &[u8], frame: &mut Vec<u8>) {
    frame.clear();
    frame.resize(HEADER + get_maximum_output_size(commits.len()), 0);
    // The buffer has the size that always suffices.
    let written = frame.get_mut(HEADER..).map_or(0, |block| compress_into(commits, block).unwrap_or(0));
    frame.truncate(HEADER + written);
    let hash = frame.get(HEADER..).map_or(0, |block| xxh3_64_with_seed(block, commits.len() as u64));
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let header = [&length(commits.len())[..], &length(written), &hash.to_le_bytes()].concat();
    if let Some(start) = frame.get_mut(..HEADER) {
        start.copy_from_slice(&header);
    }
}

/// Reads the commits of a frame into `commits`.
///
/// # Errors
/// `BrokenFrame` if a length or the hash doesn't fit.
pub fn decode_frame(frame: &[u8], commits: &mut Vec<u8>) -> Result<(), BrokenFrame> {
    let (header, block) = frame.split_first_chunk::<HEADER>().ok_or(BrokenFrame("it is too short"))?;
    let (lengths, hash) = header.split_first_chunk::<8>().ok_or(BrokenFrame("it is too short"))?;
    let [a, b, c, d, e, f, g, h] = *lengths;
    if u32::from_le_bytes([e, f, g, h]) as usize != block.len() {
        return Err(BrokenFrame("its length is another one"));
    }
    let length = u32::from_le_bytes([a, b, c, d]);
    if hash != xxh3_64_with_seed(block, length.into()).to_le_bytes() {
        return Err(BrokenFrame("its hash is another one"));
    }
    commits.clear();
    commits.resize(length as usize, 0);
    match decompress_into(block, commits) {
        Ok(length) if length == commits.len() => Ok(()),
        _ => Err(BrokenFrame("its commits have another length")),
    }
}

/// The documents of decoded commits. They end at the first byte that begins no document.
pub(crate) fn documents(mut commits: &[u8]) -> impl Iterator<Item = &RawDocument> {
    std::iter::from_fn(move || {
        let length = usize::try_from(i32::from_le_bytes(*commits.first_chunk::<4>()?)).ok()?;
        let (document, following) = commits.split_at_checked(length)?;
        commits = following;
        RawDocument::from_bytes(document).ok()
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn commits_read_back_byte_by_byte(
            texts in proptest::collection::vec("(ab){0,200}|[ -~]{0,100}", 0..40),
        ) {
            let commits: Vec<RawDocumentBuf> =
                texts.iter().map(|text| rawdoc! { "t": text.as_str() }).collect();
            let bytes: Vec<u8> = commits.iter().flat_map(|commit| commit.as_bytes()).copied().collect();
            let (mut frame, mut read) = (vec![1, 2, 3], vec![9]);
            encode_frame(&bytes, &mut frame);
            decode_frame(&frame, &mut read).unwrap();
            prop_assert_eq!(&read, &bytes);
            prop_assert!(documents(&read).eq(commits.iter().map(AsRef::as_ref)));
        }

        #[test]
        fn a_changed_or_cut_frame_is_refused(at in 0_usize..500, bit in 0_u8..8, cut in 1_usize..200) {
            let commits: Vec<u8> =
                (0..40).flat_map(|at| rawdoc! { "n": at, "t": "text" }.into_bytes()).collect();
            let mut frame = Vec::new();
            encode_frame(&commits, &mut frame);
            let mut read = Vec::new();
            let short = &frame[..frame.len().saturating_sub(cut)];
            prop_assert!(decode_frame(short, &mut read).is_err());
            let at = at % frame.len();
            frame[at] ^= 1 << bit;
            prop_assert!(decode_frame(&frame, &mut read).is_err());
        }
    }
}
