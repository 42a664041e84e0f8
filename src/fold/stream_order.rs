//! Folds commits that arrive stream by stream, each stream in offset order.

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use statefold_projections::{
    Commit, CommitError, FoldFailure, Layout, Registered, Slot, Snapshots, States, StreamFilter,
};

use crate::fold::folded::{FailedStream, Folded};
use crate::fold::lookup_key::LookupKey;
use crate::fold::lookups::{Emitted, Lookups, emit};
use crate::lifecycle::{Head, stream_hash};

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
    lookups: Lookups,
    states: Box<dyn States>,
    current: Option<Current>,
    /// Complete streams that wait for what they look up.
    waiting: Vec<Current>,
    out: Folded,
}

impl StreamFold {
    /// A fold that has seen nothing yet.
    #[must_use]
    pub fn new(projection: &Registered, layout: Arc<Layout>) -> Self {
        let targets = projection.spec().targets().len();
        Self {
            filter: projection.spec().stream_filter().clone(),
            targets,
            layout,
            lookups: Lookups::default(),
            states: projection.states(),
            current: None,
            waiting: Vec::new(),
            out: Folded { snapshots: Snapshots::new(targets), ..Folded::default() },
        }
    }

    /// Gives the fold what it may look up of other projections.
    pub(crate) fn with_lookups(mut self, lookups: Lookups) -> Self {
        self.lookups = lookups;
        self
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
        let stream = Commit::stream_of(document, layout);
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
        self.out.note_length(current.head.commits, &current.stream);
        self.emit();
    }

    /// Writes the snapshots of the current stream, or lets it wait for what it looks up.
    fn emit(&mut self) {
        let Some(current) = self.current.as_ref() else { return };
        let (slot, end) = (current.slot, current.next_number);
        if !current.failed
            && let Some(key) = self.filter.key(&current.stream)
        {
            match emit(&*self.states, slot, (&current.stream, &key), &self.lookups, &mut self.out) {
                Emitted::Written(written) => self.out.counts.snapshots += written as u64,
                Emitted::Failed(error) => {
                    self.fold_failed(FoldFailure { number: end, event_type: String::new(), error });
                }
                Emitted::Waits => {
                    self.waiting.extend(self.current.take());
                    return;
                }
            }
        }
        self.states.close(slot);
        self.current = None;
    }

    /// Keys of what streams look up that isn't loaded: they wait for it.
    pub(crate) fn take_missing(&mut self) -> Vec<LookupKey> {
        self.lookups.take_missing()
    }

    /// Loads what was missing and completes the streams that waited. They may miss more then.
    pub(crate) fn load(&mut self, found: Vec<(LookupKey, Option<RawDocumentBuf>)>) {
        self.lookups.load(found);
        let current = self.current.take();
        for waiting in std::mem::take(&mut self.waiting) {
            self.current = Some(waiting);
            self.emit();
        }
        self.current = current;
    }

    /// Forgets what is loaded if it is too much, unless streams wait for more.
    pub(crate) fn trim(&mut self) {
        if self.waiting.is_empty() {
            self.lookups.trim();
        }
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
    use statefold_projections::{Event, FoldError, Lookup, Projection, Sink, Spec, StreamKey, Target};

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
        let mut fold = StreamFold::new(&registered, Arc::new(Layout::default()));
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
