//! Folds commits as they arrive, in any order: one state per stream, all in memory.
//!
//! A commit ahead of its stream's next event waits for its predecessor. A stream that can't be folded
//! this way (an event that fails, a hole, commits that overlap) is *spoiled*: it is refolded from
//! its commits in stream order, which alone decides what becomes of it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bson::RawDocument;
use hashbrown::HashTable;
use statefold_projections::{Chunked, Commit, Layout, Registered, Slot, States, StreamFilter};

use crate::fold::folded::FoldCounts;
use crate::fold::names::{Name, Names};
use crate::fold::route::Arrival;
use crate::lifecycle::Head;

/// All that is known of one stream besides its state.
pub(super) struct Stream {
    pub(super) hash: u64,
    pub(super) name: Name,
    pub(super) slot: Slot,
    pub(super) next_number: i64,
    pub(super) head: Head,
    pub(super) bytes: u64,
    pub(super) events: u32,
    state_bytes: u32,
    pub(super) spoiled: bool,
    waits: bool,
}

/// The streams of one projection whose hash leads here.
pub(crate) struct Shard {
    pub(super) filter: StreamFilter,
    layout: Arc<Layout>,
    pub(super) states: Box<dyn States>,
    index: HashTable<u32>,
    pub(super) streams: Chunked<Stream>,
    pub(super) names: Names,
    waiting: HashMap<u32, BTreeMap<i64, Box<[u8]>>>,
    waiting_bytes: usize,
    state_bytes: usize,
    counts: FoldCounts,
}

impl Shard {
    /// A shard that has seen nothing yet.
    pub(crate) fn new(projection: &Registered, layout: Arc<Layout>) -> Self {
        Self {
            filter: projection.spec().stream_filter().clone(),
            layout,
            states: projection.states(),
            index: HashTable::new(),
            streams: Chunked::default(),
            names: Names::default(),
            waiting: HashMap::new(),
            waiting_bytes: 0,
            state_bytes: 0,
            counts: FoldCounts::default(),
        }
    }

    /// Folds commits of a batch.
    ///
    /// Streams are looked up for all commits before any is folded: looking up means waiting for memory, and
    /// the processor waits for several at a time if nothing else comes in between.
    pub(crate) fn push(&mut self, arrivals: &[Arrival<'_>]) {
        let layout = Arc::clone(&self.layout);
        let found: Vec<Option<u32>> = arrivals
            .iter()
            .map(|arrival| arrival.commit.as_ref().and_then(|commit| self.find(arrival.hash, commit.stream)))
            .collect();
        for (Arrival { hash, document, commit }, at) in arrivals.iter().zip(found) {
            match (commit, at) {
                (Some(commit), Some(at)) => self.receive(at, commit, document, &layout),
                (commit, _) => self.commit(*hash, document, commit.as_ref(), &layout),
            }
        }
    }

    /// Folds one commit, given the hash of its stream.
    pub(crate) fn push_one(&mut self, hash: u64, document: &RawDocument) {
        let layout = Arc::clone(&self.layout);
        self.commit(hash, document, Commit::decode(document, &layout).ok().as_ref(), &layout);
    }

    fn commit(&mut self, hash: u64, document: &RawDocument, commit: Option<&Commit<'_>>, layout: &Layout) {
        match commit {
            Some(commit) => {
                let at = self.stream(hash, commit.stream);
                self.receive(at, commit, document, layout);
            }
            None => {
                if let Some(name) = Commit::stream_of(document, layout) {
                    let at = self.stream(hash, name);
                    self.spoil(at);
                }
            }
        }
    }

    /// Position of a stream, if it is known.
    fn find(&self, hash: u64, name: &str) -> Option<u32> {
        let is_stream = |at: &u32| {
            let stream = self.streams.get(*at as usize);
            stream.is_some_and(|stream| stream.hash == hash && self.names.get(stream.name) == name)
        };
        self.index.find(hash, is_stream).copied()
    }

    /// Position of a stream, which is added if it isn't known yet.
    fn stream(&mut self, hash: u64, name: &str) -> u32 {
        if let Some(at) = self.find(hash, name) {
            return at;
        }
        let slot = self.states.open();
        let state_bytes = u32::try_from(self.states.bytes(slot)).unwrap_or(u32::MAX);
        self.state_bytes += state_bytes as usize;
        let at = self.streams.push(Stream {
            hash,
            name: self.names.add(name),
            slot,
            next_number: 0,
            head: Head::NONE,
            bytes: 0,
            events: 0,
            state_bytes,
            spoiled: false,
            waits: false,
        });
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        let streams = &self.streams;
        self.index.insert_unique(hash, at, |at| streams.get(*at as usize).map_or(0, |stream| stream.hash));
        at
    }

    /// Applies a commit, or lets it wait for its predecessor, or spoils the stream.
    fn receive(&mut self, at: u32, commit: &Commit<'_>, document: &RawDocument, layout: &Layout) {
        let Some(stream) = self.streams.get_mut(at as usize) else { return };
        if stream.spoiled {
            return;
        }
        let (next, waits) = (stream.next_number, stream.waits);
        match commit.first_number.cmp(&next) {
            std::cmp::Ordering::Equal => {
                self.apply(at, commit, document);
                if waits {
                    self.apply_waiting(at, layout);
                }
            }
            std::cmp::Ordering::Greater => self.wait(at, commit.first_number, document),
            std::cmp::Ordering::Less => self.spoil(at),
        }
    }

    fn apply(&mut self, at: u32, commit: &Commit<'_>, document: &RawDocument) {
        let bytes = document.as_bytes().len();
        let Some(stream) = self.streams.get_mut(at as usize) else { return };
        let Ok(events) = self.states.apply(stream.slot, commit) else {
            self.spoil(at);
            return;
        };
        stream.next_number = commit.next_number();
        stream.head = stream.head.after(document, commit.offset);
        stream.bytes += bytes as u64;
        stream.events += u32::try_from(events).unwrap_or(u32::MAX);
        self.counts.commits += 1;
        self.counts.events += events;
        self.counts.bytes += bytes as u64;
        let state_bytes = u32::try_from(self.states.bytes(stream.slot)).unwrap_or(u32::MAX);
        self.state_bytes = self.state_bytes - stream.state_bytes as usize + state_bytes as usize;
        stream.state_bytes = state_bytes;
    }

    fn wait(&mut self, at: u32, first_number: i64, document: &RawDocument) {
        match self.waiting.entry(at).or_default().entry(first_number) {
            Entry::Vacant(place) => _ = place.insert(document.as_bytes().into()),
            Entry::Occupied(_) => return self.spoil(at),
        }
        self.waiting_bytes += cost_of_waiting(document.as_bytes().len());
        if let Some(stream) = self.streams.get_mut(at as usize) {
            stream.waits = true;
        }
    }

    /// Applies the commits that waited for the one that has just been applied.
    fn apply_waiting(&mut self, at: u32, layout: &Layout) {
        loop {
            let Some(stream) = self.streams.get_mut(at as usize) else { return };
            let Some(waiting) = self.waiting.get_mut(&at) else { return };
            let Some(bytes) = waiting.remove(&stream.next_number) else { return };
            self.waiting_bytes -= cost_of_waiting(bytes.len());
            if waiting.is_empty() {
                stream.waits = false;
                self.waiting.remove(&at);
            }
            let document = RawDocument::from_bytes(&bytes).ok();
            let commit =
                document.and_then(|document| Some((document, Commit::decode(document, layout).ok()?)));
            match commit {
                Some((document, commit)) => self.apply(at, &commit, document),
                None => self.spoil(at),
            }
        }
    }

    /// Gives up a stream: its state is dropped, and its commits will be read again in stream order.
    fn spoil(&mut self, at: u32) {
        let Some(stream) = self.streams.get_mut(at as usize) else { return };
        if stream.spoiled {
            return;
        }
        stream.spoiled = true;
        self.states.close(stream.slot);
        self.state_bytes -= stream.state_bytes as usize;
        stream.state_bytes = 0;
        self.forget_waiting(at);
    }

    fn forget_waiting(&mut self, at: u32) -> usize {
        let waiting = self.waiting.remove(&at).unwrap_or_default();
        let bytes = waiting.values().map(|bytes| cost_of_waiting(bytes.len())).sum();
        self.waiting_bytes -= bytes;
        bytes
    }

    /// Spoils the stream whose waiting commits take the most memory, if that is at least `bytes_min`, and
    /// returns whether there was one: a huge stream that arrives out of order must not push out all others.
    pub(crate) fn relieve(&mut self, bytes_min: usize) -> bool {
        let cost = |waiting: &BTreeMap<i64, Box<[u8]>>| -> usize {
            waiting.values().map(|bytes| cost_of_waiting(bytes.len())).sum()
        };
        let largest = self.waiting.iter().map(|(at, waiting)| (cost(waiting), *at)).max();
        match largest.filter(|(bytes, _)| *bytes >= bytes_min) {
            Some((_, at)) => {
                self.spoil(at);
                true
            }
            None => false,
        }
    }

    /// Ends the shard: streams that still wait for a commit are spoiled.
    pub(crate) fn finish(&mut self) {
        let waiting: Vec<u32> = self.waiting.keys().copied().collect();
        waiting.into_iter().for_each(|at| self.spoil(at));
    }

    /// Memory in use, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let index = self.index.capacity() * (size_of::<u32>() + 1);
        self.state_bytes + self.waiting_bytes + self.streams.bytes() + self.names.bytes() + index
    }

    /// Memory of the streams themselves, in bytes, without what is reserved for more streams.
    pub(crate) fn bytes_of_streams(&self) -> usize {
        let names: usize = self.streams.iter().map(|stream| self.names.get(stream.name).len()).sum();
        self.state_bytes + names + self.streams.len() * (size_of::<Stream>() + 2 * size_of::<u64>())
    }

    /// Takes the counts since the last call. Streams are counted when they are complete.
    pub(crate) fn take_counts(&mut self) -> FoldCounts {
        std::mem::take(&mut self.counts)
    }

    /// Number of streams seen.
    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }
}

/// Memory of a waiting commit: its bytes and its place in the map.
fn cost_of_waiting(bytes: usize) -> usize {
    bytes + 64
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
