//! The commits that a reader has not handed on in frames yet: a buffer for each range of streams.
//!
//! Invariant: memory is counted as it is reserved, not as it is filled.

use crate::error::{Error, Result};
use crate::fold::{FoldCounts, Router, encode_frame};
use crate::pipeline::ports::RawCommits;
use crate::pipeline::read::frames::FrameSink;

/// The buffers of one reader.
pub(in crate::pipeline) struct Buffers {
    /// A buffer for each projection and range.
    open: Vec<Vec<Vec<u8>>>,
    frame: Vec<u8>,
    frame_bytes: usize,
    /// Bytes of all open buffers.
    held: usize,
    /// Most bytes of all open buffers after a batch.
    held_max: usize,
}

impl Buffers {
    /// Empty buffers, given the number of ranges of each projection.
    pub(in crate::pipeline) fn new(ranges: &[usize], frame_bytes: usize, held_max: usize) -> Self {
        let open = ranges.iter().map(|count| vec![Vec::new(); *count]).collect();
        Self { open, frame: Vec::new(), frame_bytes, held: 0, held_max }
    }

    /// Drops everything that is not written.
    pub(in crate::pipeline) fn clear(&mut self) {
        self.open.iter_mut().flatten().for_each(|buffer| *buffer = Vec::new());
        self.held = 0;
    }

    /// Takes the commits of a batch, and writes full buffers.
    pub(in crate::pipeline) fn take(
        &mut self,
        router: &Router,
        batch: &dyn RawCommits,
        frames: &impl FrameSink,
    ) -> Result<Vec<FoldCounts>> {
        let mut counts = vec![FoldCounts::default(); self.open.len()];
        let mut written = Ok(());
        let routed = router.by_range(batch.documents()?, batch.limit(), |projection, range, commit| {
            if written.is_ok() {
                written = self.add(projection, range, commit, frames);
            }
            if let Some(counts) = counts.get_mut(projection) {
                counts.commits += 1;
                counts.bytes += commit.len() as u64;
            }
        });
        written?;
        routed.map_err(|_| Error::Mismatch("the server sent a broken batch".into()))?;
        // With many ranges of few commits, short frames are better than too much memory.
        if self.held > self.held_max {
            self.write_all(frames)?;
        }
        Ok(counts)
    }

    fn add(&mut self, projection: usize, range: usize, commit: &[u8], frames: &impl FrameSink) -> Result<()> {
        let length = self.open.get(projection).and_then(|ranges| ranges.get(range)).map_or(0, Vec::len);
        if length + commit.len() > self.frame_bytes {
            self.write(projection, range, frames)?;
        }
        let Some(buffer) = self.open.get_mut(projection).and_then(|ranges| ranges.get_mut(range)) else {
            return Ok(());
        };
        let before = buffer.capacity();
        buffer.extend_from_slice(commit);
        self.held += buffer.capacity() - before;
        // A large commit need not wait for others.
        if buffer.len() >= self.frame_bytes { self.write(projection, range, frames) } else { Ok(()) }
    }

    /// Writes a buffer and frees its memory: it may take long until the next commits of this range.
    fn write(&mut self, projection: usize, range: usize, frames: &impl FrameSink) -> Result<()> {
        let buffer = self.open.get_mut(projection).and_then(|ranges| ranges.get_mut(range));
        let Some(full) = buffer.map(std::mem::take).filter(|buffer| !buffer.is_empty()) else {
            return Ok(());
        };
        self.held -= full.capacity();
        encode_frame(&full, &mut self.frame);
        frames.write(projection, range, &self.frame)
    }

    /// Writes everything.
    pub(in crate::pipeline) fn write_all(&mut self, frames: &impl FrameSink) -> Result<()> {
        for projection in 0..self.open.len() {
            for range in 0..self.open.get(projection).map_or(0, Vec::len) {
                self.write(projection, range, frames)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use bson::{RawArray, RawArrayBuf, RawDocumentBuf, rawdoc};
    use proptest::prelude::*;
    use statefold_projections::{Layout, StreamFilter};

    use super::*;
    use crate::fold::Route;
    use crate::fold::decode_frame;
    use crate::fold::documents;
    use crate::pipeline::read::spill::file::SpillFile;
    use crate::pipeline::read::spill::file::lock;
    use crate::pipeline::read::spill::spilled::Spilled;

    const RANGES: usize = 26;

    struct Batch(RawArrayBuf);

    impl RawCommits for Batch {
        fn documents(&self) -> Result<&RawArray> {
            Ok(&self.0)
        }
    }

    fn batch(commits: &[RawDocumentBuf]) -> Batch {
        let mut array = RawArrayBuf::new();
        commits.iter().for_each(|commit| array.push(commit.as_ref()));
        Batch(array)
    }

    fn commit(letter: char, number: usize, size: usize) -> RawDocumentBuf {
        rawdoc! { "EventStream": format!("s-{letter}{number}"), "Events": [], "text": "x".repeat(size) }
    }

    /// A range for each letter that names may begin with.
    fn router() -> Router {
        let ends = ('b'..='z').map(|letter| format!("s-{letter}"));
        let firsts = ('a'..='z').map(|letter| format!("s-{letter}"));
        let ranges = firsts.zip(ends.map(Some).chain([None])).collect();
        Router::new(vec![Route::new(StreamFilter::prefix("s-"), ranges, true)], Arc::new(Layout::default()))
    }

    fn spilled() -> Spilled {
        Spilled::new(SpillFile::create(&std::env::temp_dir(), 0).unwrap(), &[RANGES])
    }

    fn capacity(buffers: &Buffers) -> usize {
        buffers.open.iter().flatten().map(Vec::capacity).sum()
    }

    /// Everything that was written of a range, in order.
    fn read(spilled: &Spilled, range: usize) -> Vec<RawDocumentBuf> {
        let (mut frame, mut commits, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for place in lock(&spilled.frames[0][range]).iter() {
            spilled.file.read(*place, &mut frame).unwrap();
            decode_frame(&frame, &mut commits).unwrap();
            all.extend(documents(&commits).map(ToOwned::to_owned));
        }
        all
    }

    #[test]
    fn commits_that_come_range_by_range_leave_no_memory_behind() {
        let (router, spilled) = (router(), spilled());
        let (frame, most) = (16 * 1024, 26 * 16 * 1024);
        let mut buffers = Buffers::new(&[RANGES], frame, most);
        for letter in 'a'..='z' {
            // Far more than a frame, with one commit that alone is larger than a frame.
            let mut commits: Vec<_> = (0..300).map(|number| commit(letter, number, 1000)).collect();
            commits.insert(150, commit(letter, 300, 100_000));
            buffers.take(&router, &batch(&commits), &spilled).unwrap();
            assert_eq!(buffers.held, capacity(&buffers));
            assert!(buffers.held <= most, "{letter}: {}", buffers.held);
        }
        buffers.write_all(&spilled).unwrap();
        assert_eq!((buffers.held, capacity(&buffers)), (0, 0));
        assert_eq!(read(&spilled, 25).len(), 301);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_comes_is_counted_and_read_back_in_order(
            batches in proptest::collection::vec(
                proptest::collection::vec((proptest::char::range('a', 'z'), 0_usize..3000), 0..60), 1..12,
            ),
            frame in 1_usize..8000,
            most in 1_usize..60_000,
        ) {
            let (router, spilled) = (router(), spilled());
            let mut buffers = Buffers::new(&[RANGES], frame, most);
            let mut expected: Vec<Vec<RawDocumentBuf>> = vec![Vec::new(); RANGES];
            for (number, commits) in batches.iter().enumerate() {
                let commits: Vec<(char, RawDocumentBuf)> =
                    commits.iter().map(|(letter, size)| (*letter, commit(*letter, number, *size))).collect();
                let documents: Vec<_> = commits.iter().map(|(_, commit)| commit.clone()).collect();
                let counts = buffers.take(&router, &batch(&documents), &spilled).unwrap();
                prop_assert_eq!(counts[0].commits, documents.len() as u64);
                prop_assert_eq!(buffers.held, capacity(&buffers));
                prop_assert!(buffers.held <= most);
                for (letter, commit) in commits {
                    expected[letter as usize - 'a' as usize].push(commit);
                }
            }
            buffers.write_all(&spilled).unwrap();
            for (range, expected) in expected.iter().enumerate() {
                prop_assert_eq!(&read(&spilled, range), expected);
            }
        }
    }
}
