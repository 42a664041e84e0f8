//! The results of folding.

use statefold_projections::Snapshots;

use crate::fold::digest::Digest;
use crate::fold::lookup_key::LookedUp;
use crate::lifecycle::Head;

/// A stream that could not be folded, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStream {
    /// Name of the stream.
    pub stream: String,
    /// Number of the event at which the fold stopped; one after the last event if the snapshot failed.
    pub number: i64,
    /// Type of that event, where known.
    pub event_type: String,
    /// Stable short name of the reason.
    pub reason: String,
    /// The reason in words.
    pub message: String,
}

/// Most characters of a reason in words, which may quote the event: it is stored with the other failed
/// streams, and shown.
const MESSAGE_CHARS_MAX: usize = 500;
/// Most characters of the type of an event.
const TYPE_CHARS_MAX: usize = 200;

impl FailedStream {
    pub(super) fn new(stream: &str, number: i64, event_type: &str, reason: &str, message: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            number,
            event_type: shortened(event_type, TYPE_CHARS_MAX),
            reason: reason.to_owned(),
            message: shortened(message, MESSAGE_CHARS_MAX),
        }
    }
}

/// The first characters of a text; with an ellipsis if there are more.
fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", text.split_at(end).0),
        None => text.to_owned(),
    }
}

/// Counts of what was folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FoldCounts {
    /// Commits of the projection's streams.
    pub commits: u64,
    /// Events folded.
    pub events: u64,
    /// Bytes of those commits.
    pub bytes: u64,
    /// Streams, failed streams among them.
    pub streams: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Streams that could not be folded.
    pub failed_streams: u64,
    /// Streams that the projection remarks on.
    pub remarks: u64,
}

impl FoldCounts {
    /// Adds other counts.
    pub fn add(&mut self, other: Self) {
        self.commits += other.commits;
        self.events += other.events;
        self.bytes += other.bytes;
        self.streams += other.streams;
        self.snapshots += other.snapshots;
        self.failed_streams += other.failed_streams;
        self.remarks += other.remarks;
    }
}

/// The results of folding since they were last taken.
#[derive(Debug, Default)]
pub struct Folded {
    /// Snapshots of complete streams.
    pub snapshots: Snapshots,
    /// Hash and head of each complete stream.
    pub(crate) heads: Vec<(u64, Head)>,
    /// Streams that failed.
    pub failed_streams: Vec<FailedStream>,
    /// Counts.
    pub counts: FoldCounts,
    /// Digest of the snapshots.
    pub digest: Digest,
    /// Number of commits and name of the longest stream.
    pub(crate) longest: Option<(u32, String)>,
    /// What streams looked up of other projections.
    pub(crate) looked_up: Vec<(String, Vec<LookedUp>)>,
}

impl Folded {
    /// Notes a complete stream, if it is the longest so far.
    pub(crate) fn note_length(&mut self, commits: u32, stream: &str) {
        if self.longest.as_ref().is_none_or(|(longest, _)| *longest < commits) {
            self.longest = Some((commits, stream.to_owned()));
        }
    }

    /// Computes the digest, over the finished documents, and counts the streams that are remarked on.
    pub(super) fn digest_snapshots(&mut self) {
        self.counts.remarks = self.snapshots.remarks();
        for (target, buffer) in self.snapshots.targets().iter().enumerate() {
            buffer.documents().for_each(|document| self.digest.add(target, document));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut() {
        let long = "ä".repeat(20_000);
        let failed = FailedStream::new("s", 0, &long, "hole", &long);
        assert_eq!(failed.message, format!("{}…", "ä".repeat(MESSAGE_CHARS_MAX)));
        assert_eq!(failed.event_type.chars().count(), TYPE_CHARS_MAX + 1);
        assert_eq!(FailedStream::new("s", 0, "T", "hole", "short").message, "short");
    }
}
