//! Folds commits that arrive stream by stream, each stream in offset order.

use std::sync::Arc;

use bson::RawDocument;
use statefold_projections::{
    Commit, CommitError, FoldFailure, Layout, Lookup, Registered, Slot, Snapshots, States, StreamFilter,
};

use crate::fold::digest::Digest;
use crate::lifecycle::{Head, stream_hash};

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
}

impl Folded {
    /// Computes the digest, over the finished documents.
    pub(super) fn digest_snapshots(&mut self) {
        for (target, buffer) in self.snapshots.targets().iter().enumerate() {
            buffer.documents().for_each(|document| self.digest.add(target, document));
        }
    }
}

struct Current {
    stream: String,
    slot: Slot,
    next_number: i64,
    head: Head,
    failed: bool,
}

/// The fold of one partition. It keeps one state and the results that have not been taken yet.
pub struct StreamFold {
    filter: StreamFilter,
    targets: usize,
    layout: Arc<Layout>,
    others: Arc<dyn Lookup>,
    states: Box<dyn States>,
    current: Option<Current>,
    out: Folded,
}

impl StreamFold {
    /// A fold that has seen nothing yet.
    #[must_use]
    pub fn new(projection: &Registered, layout: Arc<Layout>, others: Arc<dyn Lookup>) -> Self {
        let targets = projection.spec().targets().len();
        Self {
            filter: projection.spec().stream_filter().clone(),
            targets,
            layout,
            others,
            states: projection.states(),
            current: None,
            out: Folded { snapshots: Snapshots::new(targets), ..Folded::default() },
        }
    }

    /// Folds the next commit. Commits of one stream follow each other, in offset order.
    pub fn push(&mut self, document: &RawDocument) {
        let layout = Arc::clone(&self.layout);
        match Commit::decode(document, &layout) {
            Ok(commit) => self.commit(&commit, document),
            Err(error) => self.broken_commit(document, &layout, &error),
        }
    }

    fn commit(&mut self, commit: &Commit<'_>, document: &RawDocument) {
        if !self.enter(commit.stream) {
            return;
        }
        self.out.counts.commits += 1;
        self.out.counts.bytes += document.as_bytes().len() as u64;
        let Some(current) = self.current.as_mut() else { return };
        current.head = current.head.after(document, commit.offset);
        if current.failed {
            return;
        }
        if commit.first_number != current.next_number {
            let (expected, found) = (current.next_number, commit.first_number);
            let message = if found > expected {
                format!("event {expected} is missing: the next commit begins with event {found}")
            } else {
                format!("event {found} exists twice: event {expected} was expected")
            };
            self.fail(expected, String::new(), "hole", message);
            return;
        }
        current.next_number = commit.next_number();
        match self.states.apply(current.slot, commit) {
            Ok(events) => self.out.counts.events += events,
            Err(failure) => self.fold_failed(failure),
        }
    }

    fn broken_commit(&mut self, document: &RawDocument, layout: &Layout, error: &CommitError) {
        // Commits are read by ranges of stream names, so there is a name.
        let stream = document.get(&layout.stream).ok().flatten().and_then(|value| value.as_str());
        let Some(stream) = stream.filter(|stream| self.enter(stream)) else { return };
        tracing::debug!(stream, %error, "unreadable commit");
        self.out.counts.commits += 1;
        let Some(current) = self.current.as_mut() else { return };
        let offset = Commit::offset_of(document, layout).unwrap_or(Head::OFFSET_UNREADABLE);
        current.head = current.head.after(document, offset);
        let number = current.next_number;
        if !current.failed {
            self.fail(number, String::new(), "commit", error.to_string());
        }
    }

    /// Makes a stream the current one; false if the projection doesn't fold it.
    fn enter(&mut self, stream: &str) -> bool {
        if self.current.as_ref().is_some_and(|current| current.stream == stream) {
            return true;
        }
        self.finish();
        if !self.filter.matches(stream) {
            return false;
        }
        let slot = self.states.open();
        let stream = stream.to_owned();
        self.current = Some(Current { stream, slot, next_number: 0, head: Head::NONE, failed: false });
        true
    }

    fn fold_failed(&mut self, failure: FoldFailure) {
        let FoldFailure { number, event_type, error } = failure;
        self.fail(number, event_type, error.code(), error.to_string());
    }

    fn fail(&mut self, number: i64, event_type: String, reason: &str, message: String) {
        let Some(current) = self.current.as_mut() else { return };
        current.failed = true;
        self.out.counts.failed_streams += 1;
        let stream = current.stream.as_str();
        self.out.failed_streams.push(FailedStream::new(stream, number, &event_type, reason, &message));
    }

    /// Completes the current stream, which has no more commits.
    pub fn finish(&mut self) {
        let Some(current) = self.current.as_ref() else { return };
        self.out.counts.streams += 1;
        self.out.heads.push((stream_hash(&current.stream), current.head));
        let (slot, end) = (current.slot, current.next_number);
        if !current.failed
            && let Some(key) = self.filter.key(&current.stream)
        {
            match self.states.emit(slot, &key, &*self.others, &mut self.out.snapshots) {
                Ok(written) => self.out.counts.snapshots += written as u64,
                Err(error) => {
                    self.fold_failed(FoldFailure { number: end, event_type: String::new(), error });
                }
            }
        }
        self.states.close(slot);
        self.current = None;
    }

    /// Takes the results so far. The digest is computed here, over the finished documents.
    #[must_use]
    pub fn take(&mut self) -> Folded {
        let empty = Folded { snapshots: Snapshots::new(self.targets), ..Folded::default() };
        let mut folded = std::mem::replace(&mut self.out, empty);
        folded.digest_snapshots();
        folded
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bson::{Document, RawDocumentBuf, doc};
    use statefold_projections::{Event, FoldError, NoLookup, Projection, Sink, Spec, StreamKey, Target};

    use super::*;

    /// Joins the event types of a stream; `Bad` fails, `BadEnd` fails at the end.
    struct Names(Spec);

    impl Projection for Names {
        type State = String;
        fn spec(&self) -> &Spec {
            &self.0
        }
        fn apply(&self, state: &mut String, event: &Event<'_>) -> Result<(), FoldError> {
            if event.event_type == "Bad" {
                return Err(FoldError::Refused("bad".into()));
            }
            state.push_str(event.event_type);
            Ok(())
        }
        fn snapshots(
            &self,
            _: &StreamKey<'_>,
            state: &String,
            _: &dyn Lookup,
            out: &mut Sink<'_>,
        ) -> Result<(), FoldError> {
            if state.contains("BadEnd") {
                return Err(FoldError::Missing("x"));
            }
            out.put(0, |document| document.str("names", state))
        }
    }

    fn fold(commits: &[Document]) -> Folded {
        let spec = Spec::new("Names", 1)
            .streams(StreamFilter::prefix("s-").without_suffix("--deleted"))
            .target(Target::new("Names"));
        let registered = Registered::new(Names(spec));
        let mut fold = StreamFold::new(&registered, Arc::new(Layout::default()), Arc::new(NoLookup));
        for commit in commits {
            fold.push(&RawDocumentBuf::try_from(commit).unwrap());
        }
        fold.finish();
        fold.take()
    }

    fn commit(stream: &str, offset: i64, types: &[&str]) -> Document {
        let events: Vec<Document> = types.iter().map(|name| doc! {"Type": *name, "Payload": "{}"}).collect();
        doc! {"EventStream": stream, "EventStreamOffset": offset, "Events": events}
    }

    fn names(folded: &Folded) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| {
            let document = Document::try_from(RawDocument::from_bytes(bytes).unwrap()).unwrap();
            (document.get_str("_id").unwrap().to_owned(), document.get_str("names").unwrap().to_owned())
        };
        folded.snapshots.targets().first().unwrap().documents().map(text).collect()
    }

    fn pair(id: &str, names: &str) -> (String, String) {
        (id.into(), names.into())
    }

    #[test]
    fn streams_become_snapshots_with_heads() {
        let folded = fold(&[
            commit("s-1", -1, &["A", "B"]),
            commit("s-1", 1, &["C"]),
            commit("s-1--deleted", -1, &["Bad"]),
            commit("s-2", -1, &["D"]),
        ]);
        assert_eq!(names(&folded), [pair("1", "ABC"), pair("2", "D")]);
        let heads: Vec<_> =
            folded.heads.iter().map(|(hash, head)| (*hash, head.offset, head.commits)).collect();
        assert_eq!(heads, [(stream_hash("s-1"), 1, 2), (stream_hash("s-2"), -1, 1)]);
        let counts = folded.counts;
        assert_eq!((counts.commits, counts.events, counts.streams, counts.snapshots), (3, 4, 2, 2));
        assert_eq!(folded.digest.documents(), 2);
    }

    #[test]
    fn a_long_reason_is_cut() {
        let long = "ä".repeat(20_000);
        let failed = FailedStream::new("s", 0, &long, "hole", &long);
        assert_eq!(failed.message, format!("{}…", "ä".repeat(MESSAGE_CHARS_MAX)));
        assert_eq!(failed.event_type.chars().count(), TYPE_CHARS_MAX + 1);
        assert_eq!(FailedStream::new("s", 0, "T", "hole", "short").message, "short");
    }

    #[test]
    fn one_bad_stream_costs_no_other() {
        let folded = fold(&[
            commit("s-1", -1, &["A", "Bad", "C"]),
            commit("s-1", 2, &["Bad"]),
            commit("s-2", -1, &["A"]),
            commit("s-2", 3, &["B"]),
            commit("s-3", -1, &["BadEnd"]),
            commit("s-4", -1, &["A"]),
            doc! {"EventStream": "s-5", "Events": []},
            commit("s-6", -1, &["F"]),
        ]);
        assert_eq!(names(&folded), [pair("4", "A"), pair("6", "F")]);
        let reasons: Vec<_> = folded
            .failed_streams
            .iter()
            .map(|failed| (failed.stream.as_str(), failed.number, failed.reason.as_str()))
            .collect();
        assert_eq!(
            reasons,
            [("s-1", 1, "refused"), ("s-2", 1, "hole"), ("s-3", 1, "missing_field"), ("s-5", 0, "commit")]
        );
        assert_eq!(folded.counts.streams, 6);
        assert_eq!(
            folded.heads.first().map(|(hash, head)| (*hash, head.offset)),
            Some((stream_hash("s-1"), 2))
        );
    }
}
