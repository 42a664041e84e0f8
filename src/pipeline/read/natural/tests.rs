//! Passes over an event store that fails or doesn't answer.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;

use bson::{Document, RawArray, RawArrayBuf, RawDocumentBuf, Timestamp, doc};
use futures::StreamExt;
use futures::stream::BoxStream;
use statefold_projections::{
    Event, FoldError, Lookup, Projection, Sink, Spec, StreamFilter, StreamKey, Target,
};
use tokio::sync::{Notify, watch};

use crate::fold::{Digest, Lookups};
use crate::observe::Progress;
use crate::pipeline::ports::{HeadBatch, HeadDetail, NaturalScan, Part};
use crate::pipeline::read::natural::*;

/// Joins the event types of a stream.
struct Names(Spec);

impl Projection for Names {
    type State = String;
    fn spec(&self) -> &Spec {
        &self.0
    }
    fn apply(&self, state: &mut String, event: &Event<'_>) -> Result<(), FoldError> {
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

struct Batch(RawArrayBuf);

impl RawCommits for Batch {
    fn documents(&self) -> Result<&RawArray> {
        Ok(&self.0)
    }
}

/// The end of a scan, after its commits.
#[derive(Clone, Copy)]
enum End {
    Complete,
    Fails,
    Hangs,
}

/// An event store whose first scan gives a number of commits and then ends as told; the next is complete.
struct Source {
    commits: Vec<RawDocumentBuf>,
    first: (usize, End),
    scans: AtomicUsize,
    /// Notified when all commits of a scan that hangs are taken.
    hangs: Arc<Notify>,
}

impl Source {
    fn new(commits: Vec<RawDocumentBuf>, first: (usize, End)) -> Self {
        Self { commits, first, scans: AtomicUsize::new(0), hangs: Arc::default() }
    }
}

impl EventSource for Source {
    fn natural<'a>(&'a self, _: &'a [StreamRange]) -> BoxFuture<'a, Result<NaturalScan>> {
        let first = self.scans.fetch_add(1, Ordering::Relaxed) == 0;
        let (commits, end) = if first { self.first } else { (self.commits.len(), End::Complete) };
        let batches: Vec<Result<CommitBatch>> = self.commits.iter().take(commits).map(batch_of).collect();
        let hangs = Arc::clone(&self.hangs);
        let end = async move {
            match end {
                End::Complete => futures::stream::empty().boxed(),
                End::Fails => futures::stream::iter([Err(lost())]).boxed(),
                End::Hangs => {
                    hangs.notify_one();
                    futures::stream::pending().boxed()
                }
            }
        };
        let part = futures::stream::iter(batches).chain(futures::stream::once(end).flatten()).boxed();
        let scan = NaturalScan { by: NaturalBy::OneCursor, parts: VecDeque::from([part]) };
        futures::future::ready(Ok(scan)).boxed()
    }
    fn part(&self, _: &[StreamRange], _: &Part) -> BoxStream<'static, Result<CommitBatch>> {
        futures::stream::empty().boxed()
    }
    fn scan(&self, _: &StreamRange) -> BoxStream<'static, Result<CommitBatch>> {
        futures::stream::empty().boxed()
    }
    fn streams_since(&self, _: Vec<String>, _: Option<Timestamp>) -> BoxStream<'static, Result<CommitBatch>> {
        futures::stream::empty().boxed()
    }
    fn heads(&self, _: &StreamRange, _: HeadDetail) -> BoxStream<'static, Result<HeadBatch>> {
        futures::stream::empty().boxed()
    }
}

fn batch_of(commit: &RawDocumentBuf) -> Result<CommitBatch> {
    let mut array = RawArrayBuf::new();
    array.push(commit.as_ref());
    Ok(Box::new(Batch(array)))
}

fn lost() -> Error {
    Error::Unreachable { doing: "reading".into(), source: "the connection was lost".into() }
}

fn commit(stream: &str, offset: i64, event: &str) -> RawDocumentBuf {
    let events: Vec<Document> = vec![doc! { "Type": event, "Payload": "{}" }];
    let document = doc! { "EventStream": stream, "EventStreamOffset": offset, "Events": events };
    RawDocumentBuf::try_from(document).unwrap()
}

/// Runs a pass in memory; `watch` acts while it runs.
async fn run(
    source: &Source,
    watch: impl AsyncFnOnce(&CancellationToken),
) -> Result<(Arc<FoldedStreams>, Progress)> {
    let spec = Spec::new("Names", 1).streams(StreamFilter::prefix("s-")).target(Target::new("N"));
    let (progress, seen) = watch::channel(Progress::default());
    let wanted = [Wanted {
        projection: Registered::new(Names(spec)),
        recorder: Recorder::new("Names", &progress),
        ranges: vec![StreamRange { first: "s-".into(), end: None }],
        all: true,
        share: Share::ALL,
    }];
    let pass = Pass {
        source,
        layout: Arc::new(Layout::default()),
        wanted: wanted.iter().collect(),
        workers: Arc::new(Workers::new(2)?),
        readers: 2,
        shards: 2,
        cancel: CancellationToken::new(),
    };
    let memory = Arc::new(Memory::new(2, 1 << 20));
    let (folded, ()) = tokio::join!(pass.in_memory(&memory), watch(&pass.cancel));
    match folded? {
        InMemory::Done(mut streams, _) => Ok((streams.remove(0), seen.borrow().clone())),
        InMemory::Outgrown => Err(Error::MemoryBudget { budget: 1 }),
    }
}

/// Digest, streams to be read in stream order, and number of commits of a pass that nothing else interrupts.
async fn result(source: &Source) -> (Digest, Vec<String>, u64) {
    let (streams, progress) = run(source, async |_: &CancellationToken| {}).await.unwrap();
    let mut part = streams.part("", None);
    let (spoiled, mut digest) = (streams.spoiled(&part), Digest::default());
    while let Some(folded) = streams.take(&mut part, &mut Lookups::default(), 1 << 20) {
        digest.merge(folded.digest);
    }
    (digest, spoiled, progress.commits)
}

#[tokio::test]
async fn a_scan_that_starts_over_gives_the_same_as_an_undisturbed_one() {
    // A stream in order, one in reverse, and two commits with the same offset that differ.
    let commits = vec![
        commit("s-good", -1, "A"),
        commit("s-twice", -1, "A"),
        commit("s-reverse", 0, "B"),
        commit("s-ahead", 3, "B"),
        commit("s-twice", -1, "A, but longer"),
        commit("s-ahead", 3, "B, but longer"),
        commit("s-reverse", -1, "A"),
        commit("s-good", 0, "B"),
    ];
    let undisturbed = result(&Source::new(commits.clone(), (8, End::Complete))).await;
    assert_eq!(undisturbed.0.documents(), 2);
    assert_eq!(undisturbed.1.len(), 2, "{undisturbed:?}");
    // Each takes one pause; run together they take no longer.
    let disturbed = (0..commits.len()).map(|read| {
        let source = Source::new(commits.clone(), (read, End::Fails));
        async move { (result(&source).await, source.scans.into_inner()) }
    });
    for (disturbed, scans) in futures::future::join_all(disturbed).await {
        assert_eq!(scans, 2);
        assert_eq!(disturbed, undisturbed);
    }
}

#[tokio::test]
async fn a_cancelled_scan_does_not_wait_for_a_server_that_does_not_answer() {
    let source = Source::new(vec![commit("s-1", -1, "A")], (1, End::Hangs));
    let hangs = Arc::clone(&source.hangs);
    let running = run(&source, async move |cancel: &CancellationToken| {
        hangs.notified().await;
        cancel.cancel();
    });
    let ended = tokio::time::timeout(Duration::from_secs(60), running).await.unwrap();
    assert!(matches!(ended, Err(Error::Interrupted)));
}
