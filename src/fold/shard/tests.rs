//! Commits in any order give the same as commits in stream order.

use bson::{Document, RawArrayBuf, RawDocumentBuf, doc};
use proptest::prelude::*;
use statefold_projections::{
    Event, FoldError, Lookup, Projection, Registered, Sink, Spec, StreamFilter, StreamKey, Target,
};

use crate::fold::folded::Folded;
use crate::fold::folded_streams::{FoldedStreams, Sorted};
use crate::fold::lookups::Lookups;
use crate::fold::route::{Route, Router};
use crate::fold::shard::*;
use crate::fold::stream_order::StreamFold;

/// Joins the event types of a stream; `Bad` fails.
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
        out.put(0, |document| document.str("names", state))
    }
    fn state_bytes(&self, state: &String) -> usize {
        size_of::<String>() + state.capacity()
    }
}

fn names() -> Registered {
    Registered::new(Names(Spec::new("Names", 1).streams(StreamFilter::prefix("s-")).target(Target::new("N"))))
}

fn commit(stream: u32, first: i64, events: usize, bad: bool) -> RawDocumentBuf {
    let name =
        |at: usize| if bad { "Bad".to_owned() } else { format!("{}.", first + i64::try_from(at).unwrap()) };
    let events: Vec<Document> = (0..events).map(|at| doc! { "Type": name(at), "Payload": "{}" }).collect();
    let document =
        doc! { "EventStream": format!("s-{stream}"), "EventStreamOffset": first - 1, "Events": events };
    RawDocumentBuf::try_from(document).unwrap()
}

/// The commits of some streams, in stream order.
fn streams() -> impl Strategy<Value = Vec<RawDocumentBuf>> {
    let sizes = proptest::collection::vec(proptest::collection::vec(0_usize..4, 1..12), 1..8);
    sizes.prop_map(|streams| {
        let mut all = Vec::new();
        for (stream, commits) in (0..).zip(streams) {
            let mut first = 0;
            for events in commits {
                // Two commits without events in a row would have the same offset.
                let events = events.max(1);
                all.push(commit(stream, first, events, false));
                first += i64::try_from(events).unwrap();
            }
        }
        all
    })
}

fn in_order(commits: &[RawDocumentBuf]) -> Folded {
    let mut fold = StreamFold::new(&names(), Arc::new(Layout::default()));
    commits.iter().for_each(|commit| fold.push(commit));
    fold.finish();
    fold.take()
}

/// Folds batches as a pass does, with this many shards.
fn as_they_come(batches: &[&[RawDocumentBuf]], shards: usize) -> (Folded, Vec<String>) {
    let layout = Arc::new(Layout::default());
    let route = Route::new(StreamFilter::prefix("s-"), vec![("s-".into(), None)], true);
    let router = Router::new(vec![route], Arc::clone(&layout));
    let mut all: Vec<Shard> = (0..shards).map(|_| Shard::new(&names(), Arc::clone(&layout))).collect();
    for batch in batches {
        let mut array = RawArrayBuf::new();
        batch.iter().for_each(|commit| array.push(commit.as_ref()));
        let lists = router.by_shard(&array, usize::MAX, shards).unwrap();
        for (shard, lists) in all.iter_mut().zip(lists) {
            shard.push(&lists[0]);
        }
    }
    let folded_streams = FoldedStreams::new(all.into_iter().map(Sorted::new).collect(), 1);
    let mut part = folded_streams.part("s-", None);
    let spoiled = folded_streams.spoiled(&part);
    let mut whole = Folded::default();
    let mut ids: Vec<String> = Vec::new();
    while let Some(mut folded) = folded_streams.take(&mut part, &mut Lookups::default(), 40) {
        let id = |bytes| RawDocument::from_bytes(bytes).unwrap().get_str("_id").unwrap().to_owned();
        ids.extend(folded.snapshots.targets()[0].documents().map(id));
        whole.counts.add(folded.counts);
        whole.digest.merge(folded.digest);
        whole.heads.append(&mut folded.heads);
    }
    assert!(ids.is_sorted(), "snapshots come in the order of their ids");
    (whole, spoiled)
}

proptest! {
    #[test]
    fn the_order_of_arrival_does_not_matter(
        (commits, order) in streams().prop_flat_map(|commits| {
            let shuffled = Just(commits.clone()).prop_shuffle();
            (Just(commits), shuffled)
        }),
        batch in 1_usize..9,
        shards in 1_usize..4,
    ) {
        let mut expected = in_order(&commits);
        let batches: Vec<&[RawDocumentBuf]> = order.chunks(batch).collect();
        let (mut found, spoiled) = as_they_come(&batches, shards);
        prop_assert_eq!(spoiled, Vec::<String>::new());
        expected.heads.sort_unstable_by_key(|(hash, _)| *hash);
        found.heads.sort_unstable_by_key(|(hash, _)| *hash);
        prop_assert_eq!(found.counts, expected.counts);
        prop_assert_eq!((found.digest, found.heads), (expected.digest, expected.heads));
    }

    #[test]
    fn a_stream_with_a_missing_commit_is_spoiled_and_costs_no_other(
        commits in streams(),
        missing in any::<prop::sample::Index>(),
    ) {
        let gone = missing.index(commits.len());
        let mut left = commits;
        left.remove(gone);
        let (found, spoiled) = as_they_come(&[&left], 2);
        let expected = in_order(&left);
        // A missing last commit of a stream can't be noticed.
        let holes: Vec<&str> = expected.failed_streams.iter().map(|failed| failed.stream.as_str()).collect();
        prop_assert_eq!(&spoiled, &holes);
        prop_assert_eq!(found.digest, expected.digest);
    }
}

#[test]
fn a_stream_with_overlapping_commits_or_a_failing_event_is_spoiled() {
    let cases = [
        vec![commit(1, 0, 2, false), commit(1, 1, 1, false)],
        vec![commit(1, 0, 2, false), commit(1, 1, 2, false)],
        vec![commit(1, 0, 1, false), commit(1, 1, 1, true)],
        vec![commit(1, 3, 1, false), commit(1, 3, 1, false)],
    ];
    for commits in cases {
        let mut all = commits;
        all.push(commit(2, 0, 1, false));
        let (found, spoiled) = as_they_come(&[&all], 1);
        assert_eq!(spoiled, ["s-1"]);
        assert_eq!((found.counts.streams, found.digest.documents()), (1, 1));
    }
}

#[test]
fn a_commit_that_waits_twice_gives_all_its_memory_back() {
    for (first, second) in [(1, 40), (40, 1)] {
        let mut shard = Shard::new(&names(), Arc::new(Layout::default()));
        shard.push_one(2, &commit(2, 5, 3, false));
        let before = shard.waiting_bytes;
        shard.push_one(1, &commit(1, 3, first, false));
        shard.push_one(1, &commit(1, 3, second, false));
        assert_eq!(shard.waiting_bytes, before);
        shard.finish();
        assert_eq!(shard.waiting_bytes, 0);
    }
}

#[test]
fn memory_is_counted_and_what_waits_most_can_be_given_up() {
    let mut shard = Shard::new(&names(), Arc::new(Layout::default()));
    let empty = shard.bytes();
    for first in (2..200).rev() {
        shard.push_one(1, &commit(1, first, 1, false));
    }
    shard.push_one(2, &commit(2, 1, 1, false));
    let full = shard.bytes();
    assert!(full > empty + 198 * 100, "{empty} {full}");
    assert!(!shard.relieve(full));
    assert!(shard.relieve(1000));
    assert!(shard.bytes() < full - 198 * 100);
    // A spoiled stream takes nothing more.
    let before = shard.bytes();
    (0..100).for_each(|first| shard.push_one(1, &commit(1, first, 1, false)));
    assert_eq!(shard.bytes(), before);
    shard.push_one(2, &commit(2, 0, 1, false));
    let folded_streams = FoldedStreams::new(vec![Sorted::new(shard)], 1);
    assert_eq!(folded_streams.spoiled(&folded_streams.part("", None)), ["s-1"]);
}
