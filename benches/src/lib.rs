//! Workloads of the hot-path benches: commits of a fixture, by event type, and states.
//!
//! Each workload is measured twice, by [`time`](../benches/time.rs) and by
//! [`instructions`](../benches/instructions.rs). It handles [`COMMITS`] commits, except for [`Whole`],
//! which folds those of a store of [`STORE`]. Documents and layout are never freed.

use std::sync::{Arc, LazyLock};

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf};
use statefold::bench::{Route, Router, decode_frame, encode_frame};
use statefold::fixture::{FixtureSpec, Generator, Shape, ShapedCommits};
use statefold::projections::declarative::{Definitions, Format};
use statefold::projections::{Commit, Layout, NoLookup, Registered, Registry, Slot, Snapshots, States};
use statefold::squidex;

/// Number of commits of a workload.
pub const COMMITS: usize = 64;
/// Number of commits of the fixture.
pub const STORE: u64 = 8000;

/// Types of asset events: current ones, legacy ones, and one that no projection knows.
pub const EVENT_TYPES: [&str; 8] = [
    "AssetCreatedEventV2",
    "AssetUpdatedEventV2",
    "AssetAnnotatedEvent",
    "AssetMovedEvent",
    "AssetDeletedEvent",
    "AssetCreatedEvent",
    "AssetTaggedEvent",
    UNKNOWN,
];
/// A type that no projection knows.
pub const UNKNOWN: &str = "AssetFileScannedEvent";

static REGISTRY: LazyLock<Registry> = LazyLock::new(squidex::registry);
static DOCUMENTS: LazyLock<Vec<RawDocumentBuf>> = LazyLock::new(|| match FixtureSpec::new(STORE, None, 1) {
    Ok(spec) => Generator::new(spec).collect(),
    Err(error) => unreachable!("a constant: {error}"),
});

/// The layout of the fixture.
#[must_use]
pub fn layout() -> &'static Layout {
    REGISTRY.layout()
}

/// All commits of the fixture.
pub fn store() -> impl Iterator<Item = &'static RawDocument> {
    DOCUMENTS.iter().map(AsRef::as_ref)
}

static FOLDERS: LazyLock<Vec<RawDocumentBuf>> = LazyLock::new(|| {
    let spec =
        FixtureSpec::new(STORE, None, 1).map(|spec| spec.with_kinds("folders".parse().unwrap_or_default()));
    match spec {
        Ok(spec) => Generator::new(spec).collect(),
        Err(error) => unreachable!("a constant: {error}"),
    }
});
static ORDERS: LazyLock<Vec<RawDocumentBuf>> =
    LazyLock::new(|| ShapedCommits::new(Shape::Orders, STORE, 1).collect());
static FOLDERS_AS_DATA: LazyLock<Registry> =
    LazyLock::new(|| as_data(include_str!("../../examples/projections/assetfolders.toml")));
static ORDERS_AS_DATA: LazyLock<Registry> =
    LazyLock::new(|| as_data(include_str!("../../examples/projections/orders.toml")));

fn as_data(text: &str) -> Registry {
    let registry =
        Definitions::parse("shipped", text, Format::Toml).map(|definitions| definitions.registry());
    match registry {
        Ok(Ok(registry)) => registry,
        wrong => unreachable!("it ships: {wrong:?}"),
    }
}

fn registered(registry: &'static Registry, name: &str) -> &'static Registered {
    match registry.get(name) {
        Ok(registered) => registered,
        Err(error) => unreachable!("registered: {error}"),
    }
}

fn assets() -> &'static Registered {
    registered(&REGISTRY, "Assets")
}

fn decode(document: &'static RawDocument) -> Commit<'static> {
    decode_with(document, layout())
}

fn decode_with(document: &'static RawDocument, layout: &'static Layout) -> Commit<'static> {
    match Commit::decode(document, layout) {
        Ok(commit) => commit,
        Err(error) => unreachable!("the fixture writes commits: {error}"),
    }
}

/// Documents of streams with this prefix.
#[must_use]
pub fn documents(prefix: &str) -> Vec<&'static RawDocument> {
    store().filter(|document| decode(document).stream.starts_with(prefix)).take(COMMITS).collect()
}

/// Decodes every document, and returns the number of events.
#[must_use]
pub fn decode_all(documents: &[&'static RawDocument]) -> i64 {
    documents.iter().map(|document| decode(document).count).sum()
}

/// Finds the stream of every document, and returns the bytes of their names.
#[must_use]
pub fn route_all(documents: &[&'static RawDocument]) -> usize {
    documents.iter().filter_map(|document| Commit::stream_of(document, layout())).map(str::len).sum()
}

/// Decodes the events of every document, and returns the bytes of their types.
#[must_use]
pub fn decode_events(documents: &[&'static RawDocument]) -> usize {
    let events = documents.iter().flat_map(|document| decode(document).events());
    events.flatten().map(|event| event.event_type.len()).sum()
}

/// A batch as the server sends it, and the router to two shards.
pub struct Batch {
    array: RawArrayBuf,
    router: Router,
}

impl Batch {
    /// The first commits of the fixture.
    #[must_use]
    pub fn new() -> Self {
        let mut array = RawArrayBuf::new();
        store().take(COMMITS).for_each(|commit| array.push(commit));
        let filter = assets().spec().stream_filter().clone();
        let all = (filter.first().to_owned(), filter.end());
        let router = Router::new(vec![Route::new(filter, vec![all], true)], Arc::new(layout().clone()));
        Self { array, router }
    }

    /// Routes the batch, and returns the number of commits that were selected.
    #[must_use]
    pub fn route(&self) -> usize {
        let lists = self.router.by_shard(&self.array, usize::MAX, 2).unwrap_or_default();
        lists.iter().flatten().map(Vec::len).sum()
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

/// Commits on their way to a spill file and back.
pub struct Frame {
    commits: Vec<u8>,
    frame: Vec<u8>,
    read: Vec<u8>,
}

impl Frame {
    /// The commits of one frame, and the encoded frame.
    #[must_use]
    pub fn new() -> Self {
        let commits: Vec<u8> =
            documents("asset-").into_iter().flat_map(|document| document.as_bytes()).copied().collect();
        let mut frame = Vec::new();
        encode_frame(&commits, &mut frame);
        Self { commits, frame, read: Vec::new() }
    }

    /// Size of the commits, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.commits.len()
    }

    /// Compresses the commits, and returns the size of the frame.
    pub fn encode(&mut self) -> usize {
        encode_frame(&self.commits, &mut self.frame);
        self.frame.len()
    }

    /// Reads the frame, and returns the size of the commits.
    pub fn decode(&mut self) -> usize {
        match decode_frame(&self.frame, &mut self.read) {
            Ok(()) => self.read.len(),
            Err(error) => unreachable!("just written: {error}"),
        }
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

/// Commits to fold into one existing state.
pub struct Fold {
    states: Box<dyn States>,
    slot: Slot,
    commits: Vec<Commit<'static>>,
}

impl Fold {
    /// Commits with one asset event each, of this type.
    #[must_use]
    pub fn of_type(event_type: &str) -> Self {
        let is = |commit: &Commit<'_>| {
            let mut events = commit.events().flatten();
            commit.count == 1
                && events.all(|event| event.event_type.eq_ignore_ascii_case(event_type))
                && !commit.stream.ends_with("--deleted")
        };
        let found: Vec<Commit<'static>> = store().map(decode).filter(is).take(COMMITS).collect();
        Self::new(found.iter().cycle().take(COMMITS).copied().collect())
    }

    /// Commits of streams with this prefix.
    #[must_use]
    pub fn of_streams(prefix: &str) -> Self {
        Self::new(documents(prefix).into_iter().map(decode).collect())
    }

    fn new(commits: Vec<Commit<'static>>) -> Self {
        assert_eq!(commits.len(), COMMITS, "the fixture has too few such commits");
        let mut states = assets().states();
        let slot = states.open();
        let mut fold = Self { states, slot, commits };
        // The first commit of the first asset that has the current form of the creation event.
        let is_first = |commit: &Commit<'_>| {
            commit.first_number == 0
                && commit.events().flatten().all(|event| event.event_type == "AssetCreatedEventV2")
        };
        if let Some(first) = store().map(decode).find(is_first) {
            fold.apply(&first);
        }
        fold
    }

    fn apply(&mut self, commit: &Commit<'_>) -> u64 {
        match self.states.apply(self.slot, commit) {
            Ok(events) => events,
            Err(failure) => unreachable!("the fixture can be folded: {failure}"),
        }
    }

    /// Folds the commits, and returns the number of events.
    pub fn run(&mut self) -> u64 {
        let mut events = 0;
        for at in 0..self.commits.len() {
            if let Some(commit) = self.commits.get(at).copied() {
                events += self.apply(&commit);
            }
        }
        events
    }
}

/// The streams of a projection in a whole fixture, from documents to snapshots, in the order of the store.
pub struct Whole {
    projection: Registered,
    layout: &'static Layout,
    states: Box<dyn States>,
    /// Each document with the position of its stream.
    documents: Vec<(&'static RawDocument, usize)>,
    streams: Vec<&'static str>,
    slots: Vec<Slot>,
    snapshots: Snapshots,
}

impl Whole {
    /// The assets.
    #[must_use]
    pub fn new() -> Self {
        Self::of(assets(), layout(), &DOCUMENTS)
    }

    /// Asset folders, folded by the projection in Rust or by the one that is written as data.
    #[must_use]
    pub fn folders(as_data: bool) -> Self {
        let registry = if as_data { &FOLDERS_AS_DATA } else { &*REGISTRY };
        Self::of(registered(registry, "AssetFolders"), layout(), &FOLDERS)
    }

    /// Orders, whose projection is written as data.
    #[must_use]
    pub fn orders() -> Self {
        Self::of(registered(&ORDERS_AS_DATA, "Orders"), ORDERS_AS_DATA.layout(), &ORDERS)
    }

    /// Collects the documents and streams, without folding.
    fn of(projection: &Registered, layout: &'static Layout, store: &'static [RawDocumentBuf]) -> Self {
        let mut places = std::collections::HashMap::new();
        let (mut documents, mut streams) = (Vec::new(), Vec::new());
        for document in store {
            let document: &RawDocument = document;
            let stream = decode_with(document, layout).stream;
            if projection.spec().stream_filter().matches(stream) {
                let place = *places.entry(stream).or_insert_with(|| {
                    streams.push(stream);
                    streams.len() - 1
                });
                documents.push((document, place));
            }
        }
        let snapshots = Snapshots::new(projection.spec().targets().len());
        let (projection, states) = (projection.clone(), projection.states());
        Self { projection, layout, states, documents, streams, slots: Vec::new(), snapshots }
    }

    /// Number of commits.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.documents.len()
    }

    /// Number of streams.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Folds all commits, leaves the states open and returns the number of events.
    pub fn fold(&mut self) -> u64 {
        self.slots = self.streams.iter().map(|_| self.states.open()).collect();
        let mut events = 0;
        for (document, place) in &self.documents {
            let commit = decode_with(document, self.layout);
            if let Some(slot) = self.slots.get(*place) {
                events += self.states.apply(*slot, &commit).unwrap_or(0);
            }
        }
        events
    }

    /// Bytes of all states.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.slots.iter().map(|slot| self.states.bytes(*slot)).sum()
    }

    /// Writes the snapshots of all states, and returns their bytes.
    pub fn emit(&mut self) -> usize {
        self.snapshots = Snapshots::new(self.projection.spec().targets().len());
        for (slot, stream) in self.slots.iter().zip(&self.streams) {
            if let Some(key) = self.projection.spec().stream_filter().key(stream) {
                // A stream without a snapshot writes nothing.
                let _written = self.states.emit(*slot, &key, &NoLookup, &mut self.snapshots);
            }
        }
        self.snapshots.byte_len()
    }

    /// Closes all states.
    pub fn close(&mut self) {
        for slot in self.slots.drain(..) {
            self.states.close(slot);
        }
    }

    /// Folds, writes and closes all states, and returns the bytes of the snapshots.
    pub fn run(&mut self) -> usize {
        self.fold();
        let bytes = self.emit();
        self.close();
        bytes
    }
}

impl Default for Whole {
    fn default() -> Self {
        Self::new()
    }
}
