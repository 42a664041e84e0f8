//! A given/then test harness for authors of projections: given events, then snapshots.
//!
//! Every check folds the stream several times: with all events in one commit, with one event per
//! commit, and twice with the same slab. A projection whose bytes depend on any of that fails.
//!
//! A complete example, with its own event and projection:
//!
//! ```
//! use bson::doc;
//! use serde::Deserialize;
//! use serde_json::json;
//! use statefold_projections::{
//!     Event, FoldError, Lookup, Projection, Sink, Spec, StreamFilter, StreamKey, Target, testing::given,
//! };
//!
//! struct Balances(Spec);
//!
//! impl Balances {
//!     fn new() -> Self {
//!         let streams = StreamFilter::prefix("account-");
//!         Self(Spec::new("Balances", 1).streams(streams).target(Target::new("Balances")))
//!     }
//! }
//!
//! #[derive(Deserialize)]
//! struct Deposited {
//!     cents: i64,
//! }
//!
//! #[derive(Default)]
//! struct Account {
//!     cents: i64,
//!     deposits: i32,
//! }
//!
//! impl Projection for Balances {
//!     type State = Account;
//!
//!     fn spec(&self) -> &Spec {
//!         &self.0
//!     }
//!
//!     fn apply(&self, account: &mut Account, event: &Event<'_>) -> Result<(), FoldError> {
//!         if event.event_type == "Deposited" {
//!             let deposited: Deposited = event.payload.parse()?;
//!             account.cents += deposited.cents;
//!             account.deposits += 1;
//!         }
//!         Ok(())
//!     }
//!
//!     fn snapshots(
//!         &self,
//!         _key: &StreamKey<'_>,
//!         account: &Account,
//!         _others: &dyn Lookup,
//!         out: &mut Sink<'_>,
//!     ) -> Result<(), FoldError> {
//!         if account.deposits == 0 {
//!             return Ok(());
//!         }
//!         out.put(0, |document| {
//!             document.i64("cents", account.cents);
//!             document.i32("deposits", account.deposits);
//!         })
//!     }
//! }
//!
//! given(Balances::new())
//!     .stream("account-7")
//!     .event("Deposited", json!({ "cents": 250 }))
//!     .event("SomethingElse", json!({}))
//!     .event("Deposited", json!({ "cents": 50 }))
//!     .then_snapshot(doc! { "_id": "7", "cents": 300_i64, "deposits": 2 });
//!
//! given(Balances::new()).stream("account-8").event("SomethingElse", json!({})).then_nothing();
//!
//! given(Balances::new()).stream("account-9").event("Deposited", json!({})).then_fails("payload");
//! ```

use std::collections::BTreeMap;

use bson::{Bson, Document, RawDocument, RawDocumentBuf};

use crate::{
    Commit, FoldError, FoldFailure, Layout, Lookup, OffsetMeaning, Projection, Registered, Slot, Snapshots,
    States,
};

/// Starts a test of a projection.
#[must_use]
pub fn given<P: Projection>(projection: P) -> Given {
    Given {
        projection: Registered::new(projection),
        stream: String::new(),
        events: Vec::new(),
        headers: Document::new(),
        others: Snaps::default(),
    }
}

/// A stream under test; see the [module](self).
#[derive(Debug)]
pub struct Given {
    projection: Registered,
    stream: String,
    events: Vec<Document>,
    headers: Document,
    others: Snaps,
}

#[derive(Debug, Default)]
struct Snaps(BTreeMap<(String, String), RawDocumentBuf>);

impl Lookup for Snaps {
    fn snapshot(&self, target: &str, id: &str) -> Option<&RawDocument> {
        self.0.get(&(target.to_owned(), id.to_owned())).map(AsRef::as_ref)
    }
}

/// Snapshots of one stream, by the target's collection.
pub type Outcome = Result<BTreeMap<String, Document>, FoldFailure>;

impl Given {
    /// Names the stream.
    #[must_use]
    pub fn stream(mut self, name: &str) -> Self {
        name.clone_into(&mut self.stream);
        self
    }

    /// Sets the headers of the events that follow.
    #[must_use]
    pub fn headers(mut self, headers: Document) -> Self {
        self.headers = headers;
        self
    }

    /// Adds an event with a JSON payload.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "reads better where a test calls it with json!(…)")]
    pub fn event(self, event_type: &str, payload: serde_json::Value) -> Self {
        self.event_text(event_type, &payload.to_string())
    }

    /// Adds an event whose payload is this text, valid JSON or not.
    #[must_use]
    pub fn event_text(mut self, event_type: &str, payload: &str) -> Self {
        let headers = self.headers.clone();
        self.events.push(bson::doc! { "Type": event_type, "Payload": payload, "Metadata": headers });
        self
    }

    /// Adds a finished snapshot of a required projection.
    ///
    /// # Panics
    /// If the document has no string `_id`, or can't be encoded.
    #[must_use]
    pub fn other(mut self, target: &str, snapshot: &Document) -> Self {
        let id = snapshot
            .get_str("_id")
            .unwrap_or_else(|_| panic!("the snapshot of {target} has no string `_id`"));
        let raw = RawDocumentBuf::try_from(snapshot)
            .unwrap_or_else(|error| panic!("the snapshot of {target} can't be encoded: {error}"));
        self.others.0.insert((target.to_owned(), id.to_owned()), raw);
        self
    }

    /// Folds the stream.
    ///
    /// # Panics
    /// If the stream doesn't match the projection's filter, or the result depends on how the events
    /// were split into commits.
    pub fn outcome(&self) -> Outcome {
        let apart = self.fold(1);
        let together = self.fold(self.events.len().max(1));
        assert_eq!(apart.0, together.0, "the bytes depend on how the events are split into commits");
        apart.1
    }

    fn fold(&self, events_per_commit: usize) -> (Vec<Vec<u8>>, Outcome) {
        let layout = Layout { offset_meaning: OffsetMeaning::FirstEvent, count: None, ..Layout::default() };
        let commits: Vec<RawDocumentBuf> = self
            .events
            .chunks(events_per_commit)
            .enumerate()
            .map(|(at, events)| {
                let events: Vec<Bson> = events.iter().cloned().map(Bson::Document).collect();
                let offset = i64::try_from(at * events_per_commit).unwrap_or(i64::MAX);
                let commit =
                    bson::doc! { "EventStream": &self.stream, "EventStreamOffset": offset, "Events": events };
                RawDocumentBuf::try_from(commit)
                    .unwrap_or_else(|error| panic!("an event can't be encoded: {error}"))
            })
            .collect();
        let mut states = self.projection.states();
        let first =
            fold_stream(&self.projection, &mut *states, &commits, &layout, &self.stream, &self.others);
        let second =
            fold_stream(&self.projection, &mut *states, &commits, &layout, &self.stream, &self.others);
        let bytes = |outcome: &Result<Snapshots, FoldFailure>| -> Vec<Vec<u8>> {
            let Ok(snapshots) = outcome else { return Vec::new() };
            snapshots.targets().iter().flat_map(|buffer| buffer.documents().map(<[u8]>::to_vec)).collect()
        };
        assert_eq!(bytes(&first), bytes(&second), "the bytes differ from one fold to the next");
        let outcome = first.as_ref().map_err(Clone::clone).map(|snapshots| self.documents(snapshots));
        (bytes(&first), outcome)
    }

    fn documents(&self, snapshots: &Snapshots) -> BTreeMap<String, Document> {
        let targets = self.projection.spec().targets().iter().zip(snapshots.targets());
        targets
            .flat_map(|(target, buffer)| {
                buffer.documents().map(|bytes| {
                    let document = RawDocument::from_bytes(bytes)
                        .and_then(Document::try_from)
                        .unwrap_or_else(|error| panic!("the snapshot is not valid BSON: {error}"));
                    (target.collection().to_owned(), document)
                })
            })
            .collect()
    }

    /// Expects exactly this snapshot in the first target, its elements in this order.
    ///
    /// # Panics
    /// If the stream doesn't fold, or its snapshots are others.
    #[expect(clippy::needless_pass_by_value, reason = "reads better where a test calls it with doc!{…}")]
    pub fn then_snapshot(self, expected: Document) {
        let target =
            self.projection.spec().targets().first().map_or("", |target| target.collection()).to_owned();
        self.then_snapshots(&[(&target, expected.clone())]);
    }

    /// Expects exactly these snapshots, by target.
    ///
    /// # Panics
    /// If the stream doesn't fold, or its snapshots are others.
    pub fn then_snapshots(self, expected: &[(&str, Document)]) {
        let outcome = self.outcome().unwrap_or_else(|failure| panic!("the stream doesn't fold: {failure}"));
        let expected: BTreeMap<String, Document> =
            expected.iter().map(|(target, document)| ((*target).to_owned(), document.clone())).collect();
        // As text, because the order of elements counts: equality of documents ignores it.
        let text = |all: &BTreeMap<String, Document>| {
            all.iter()
                .map(|(target, document)| format!("{target}: {document}"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(text(&outcome), text(&expected), "the snapshots are not the expected ones");
        assert_eq!(outcome, expected, "the snapshots are not the expected ones");
    }

    /// Expects no snapshot.
    ///
    /// # Panics
    /// If the stream has a snapshot, or doesn't fold.
    pub fn then_nothing(self) {
        self.then_snapshots(&[]);
    }

    /// Expects a failed stream, for the reason with this [code](FoldError::code).
    ///
    /// # Panics
    /// If the stream folds, or fails for another reason.
    pub fn then_fails(self, code: &str) {
        match self.outcome() {
            Ok(snapshots) => panic!("the stream folds into {snapshots:?}"),
            Err(failure) => assert_eq!(failure.error.code(), code, "{failure}"),
        }
    }
}

/// Folds the commits of one stream, in order, as the engine does. For tests that start from commits.
///
/// # Errors
/// [`FoldFailure`] names the event; a failure of the snapshot has the number after the last event.
///
/// # Panics
/// If a commit doesn't fit the layout, or the stream doesn't match the projection's filter.
pub fn fold_stream(
    projection: &Registered,
    states: &mut dyn States,
    commits: &[RawDocumentBuf],
    layout: &Layout,
    stream: &str,
    others: &dyn Lookup,
) -> Result<Snapshots, FoldFailure> {
    let spec = projection.spec();
    let Some(key) = spec.stream_filter().key(stream) else {
        panic!("{stream} is not a stream of {}: {:?}", spec.name(), spec.stream_filter());
    };
    let slot = states.open();
    let result = fold_into(states, slot, commits, layout).and_then(|next| {
        let mut snapshots = Snapshots::new(spec.targets().len());
        match states.emit(slot, &key, others, &mut snapshots) {
            Ok(_) => Ok(snapshots),
            Err(error) => Err(at_the_end(next, error)),
        }
    });
    states.close(slot);
    result
}

fn fold_into(
    states: &mut dyn States,
    slot: Slot,
    commits: &[RawDocumentBuf],
    layout: &Layout,
) -> Result<i64, FoldFailure> {
    let mut next = 0;
    for commit in commits {
        let commit = Commit::decode(commit, layout).unwrap_or_else(|error| panic!("{error}"));
        states.apply(slot, &commit)?;
        next = commit.next_number();
    }
    Ok(next)
}

fn at_the_end(number: i64, error: FoldError) -> FoldFailure {
    FoldFailure { number, event_type: String::new(), error }
}
