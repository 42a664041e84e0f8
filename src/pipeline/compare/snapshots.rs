//! Compares folded snapshots with those that a collection holds: the last step of a build, with nothing
//! written.
//!
//! One hash is kept for each document. A stream whose hash differs is only suspected: the caller looks at
//! the suspects once more, one by one.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::RawDocument;
use futures::FutureExt;
use futures::future::BoxFuture;
use statefold_projections::StreamFilter;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::fold::{Digest, DocumentHashes, DocumentMatch, Documents};
use crate::lifecycle::{Share, stream_hash};
use crate::pipeline::ports::{CommitBatch, EventSource, PartitionRecord, RawCommits, SnapshotSink, Term};
use crate::pipeline::read::{BatchSink, read};
use crate::pipeline::workers::Workers;
use crate::plan::{Partition, StreamRange};

/// Memory for the names of suspected streams.
const NAMES_BYTES: usize = 64 * 1024 * 1024;
/// Memory of a name beside its letters.
const NAME_BYTES: usize = 48;

/// Streams to look at once more.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    /// Their names.
    pub(crate) streams: BTreeSet<String>,
    /// Number of further suspects, for whose names there is no memory.
    pub(crate) more: u64,
    bytes: usize,
}

impl Suspects {
    /// Whether nothing is suspected.
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.more == 0
    }

    fn add(&mut self, stream: String) {
        let bytes = stream.len() + NAME_BYTES;
        if self.bytes + bytes > NAMES_BYTES {
            self.more += u64::from(!self.streams.contains(&stream));
        } else if self.streams.insert(stream) {
            self.bytes += bytes;
        }
    }

    /// An empty set with only as much memory for names as these leave.
    fn beside(&self) -> Self {
        Self { bytes: self.bytes, ..Self::default() }
    }

    /// Adds those that were gathered [beside](Self::beside) these.
    fn merge(&mut self, mut other: Self) {
        self.streams.append(&mut other.streams);
        self.more += other.more;
        self.bytes = other.bytes;
    }
}

/// Takes the snapshots of partitions and compares them with stored ones.
pub(crate) struct SnapshotComparer {
    filter: StreamFilter,
    share: Share,
    targets: Vec<Arc<DocumentHashes>>,
    /// Also takes the records of finished partitions.
    records: Option<Arc<dyn SnapshotSink>>,
    found: Mutex<(Suspects, HashSet<u64>)>,
}

impl SnapshotComparer {
    /// A comparer for the streams of this share, given the stored documents of each target.
    pub(crate) fn new(
        filter: StreamFilter,
        share: Share,
        targets: Vec<DocumentHashes>,
        records: Option<Arc<dyn SnapshotSink>>,
    ) -> Self {
        let targets = targets.into_iter().map(Arc::new).collect();
        Self { filter, share, targets, records, found: Mutex::default() }
    }

    fn found<T>(&self, change: impl FnOnce(&mut (Suspects, HashSet<u64>)) -> T) -> T {
        change(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Number of stored documents of all targets.
    pub(crate) fn stored(&self) -> u64 {
        self.targets.iter().map(|stored| stored.len() as u64).sum()
    }

    /// The suspected streams, and hashes of the streams that could not be folded, once all partitions are
    /// done.
    ///
    /// # Errors
    /// If the names of left-over documents can't be read from these collections.
    pub(crate) async fn suspects<S: EventSource>(
        &self,
        collections: &[S],
        reader: &Reader<'_>,
    ) -> Result<(Suspects, HashSet<u64>)> {
        let (mut suspects, failed_streams) = self.found(std::mem::take);
        for (stored, source) in self.targets.iter().zip(collections) {
            if stored.unseen().next().is_none() {
                continue;
            }
            let (filter, stored) = (self.filter.clone(), Arc::clone(stored));
            // In a foreign collection everything may be left over, so memory is bounded while names are
            // gathered.
            let left_over = move |suspects: &mut Suspects, id: Option<&str>, _: &RawDocument| {
                let Some(id) = id else { return };
                let stream = filter.stream_of(id);
                if stored.is_unseen(stream_hash(&stream)) {
                    suspects.add(stream);
                }
            };
            let beside = suspects.beside();
            suspects.merge(each_document(source, move || beside.beside(), left_over, reader).await?);
        }
        Ok((suspects, failed_streams))
    }
}

impl SnapshotSink for SnapshotComparer {
    fn insert(&self, target: usize, documents: &[&[u8]], _: bool) -> BoxFuture<'static, Result<Term>> {
        let mut differ = Vec::new();
        for bytes in documents {
            let id = RawDocument::from_bytes(bytes).ok().and_then(|document| document.get_str("_id").ok());
            let stream = self.filter.stream_of(id.unwrap_or_default());
            let hash = stream_hash(&stream);
            let stored = self.targets.get(target).filter(|_| self.share.takes(hash));
            if stored.is_some_and(|stored| stored.compare(hash, bytes) != DocumentMatch::Equal) {
                differ.push(stream);
            }
        }
        if !differ.is_empty() {
            self.found(|(suspects, _)| differ.into_iter().for_each(|stream| suspects.add(stream)));
        }
        futures::future::ready(Ok(Term(None))).boxed()
    }

    fn clear<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<bool>> {
        match &self.records {
            Some(records) => records.clear(partition),
            None => futures::future::ready(Ok(true)).boxed(),
        }
    }

    fn finish<'a>(
        &'a self,
        partition: &'a Partition,
        record: &'a PartitionRecord,
        terms: &'a [Term],
    ) -> BoxFuture<'a, Result<()>> {
        let hashes = record.failed_streams.iter().map(|failed| stream_hash(&failed.stream));
        self.found(|(_, failed_streams)| failed_streams.extend(hashes));
        match &self.records {
            Some(records) => records.finish(partition, record, &[]),
            None => {
                debug_assert!(terms.len() <= 1, "nothing was written");
                futures::future::ready(Ok(())).boxed()
            }
        }
    }
}

/// The means to read a whole collection.
pub(crate) struct Reader<'a> {
    pub(crate) readers: usize,
    pub(crate) workers: &'a Arc<Workers>,
    pub(crate) cancel: &'a CancellationToken,
}

/// Reads the hashes of all documents of a collection that belong to a share of the streams, and their
/// digest.
///
/// # Errors
/// Those of reading.
pub(crate) async fn read_stored<S: EventSource>(
    collection: &S,
    target: usize,
    (filter, share): (&StreamFilter, Share),
    expected: u64,
    reader: &Reader<'_>,
) -> Result<(DocumentHashes, Digest)> {
    let filter = filter.clone();
    let capacity = usize::try_from(share.of(expected)).unwrap_or(0);
    let hashed =
        move |(stored, digest): &mut (DocumentHashes, Digest), id: Option<&str>, document: &RawDocument| {
            let Some(id) = id else { return };
            let hash = stream_hash(&filter.stream_of(id));
            if share.takes(hash) {
                stored.add(hash, document.as_bytes());
                digest.add(target, document.as_bytes());
            }
        };
    each_document(
        collection,
        move || (DocumentHashes::with_capacity(capacity), Digest::default()),
        hashed,
        reader,
    )
    .await
}

/// Reads all documents of a collection: their digest, and the names of the streams in a share.
///
/// # Errors
/// Those of reading.
pub(crate) async fn read_digest<S: EventSource>(
    collection: &S,
    target: usize,
    (filter, share): (&StreamFilter, Share),
    reader: &Reader<'_>,
) -> Result<(Digest, Vec<String>)> {
    let filter = filter.clone();
    let added =
        move |(digest, names): &mut (Digest, Vec<String>), id: Option<&str>, document: &RawDocument| {
            digest.add(target, document.as_bytes());
            let stream = id.map(|id| filter.stream_of(id));
            names.extend(stream.filter(|stream| share.takes(stream_hash(stream))));
        };
    each_document(collection, || (Digest::default(), Vec::new()), added, reader).await
}

/// Takes a document, with its `_id` if that is a text.
type Take<T> = Box<dyn Fn(&mut T, Option<&str>, &RawDocument) + Send + Sync>;

struct EachDocument<T> {
    workers: Arc<Workers>,
    fresh: Box<dyn Fn() -> T + Send + Sync>,
    /// The gathered values, and the function that adds a document to them.
    state: Arc<(Mutex<T>, Take<T>)>,
}

/// Hands all documents to `take`, in any order.
async fn each_document<S: EventSource, T: Send + 'static>(
    collection: &S,
    fresh: impl Fn() -> T + Send + Sync + 'static,
    take: impl Fn(&mut T, Option<&str>, &RawDocument) + Send + Sync + 'static,
    reader: &Reader<'_>,
) -> Result<T> {
    let state: Arc<(Mutex<T>, Take<T>)> = Arc::new((Mutex::new(fresh()), Box::new(take)));
    let workers = Arc::clone(reader.workers);
    let each = EachDocument { workers, fresh: Box::new(fresh), state: Arc::clone(&state) };
    let everything = [StreamRange { first: String::new(), end: None }];
    read(collection, &everything, reader.readers, &Arc::new(each), reader.cancel).await?;
    let state = Arc::into_inner(state).ok_or_else(|| Error::Bug("a reader is still at work".into()))?;
    Ok(state.0.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl<T: Send + 'static> BatchSink for EachDocument<T> {
    fn take(&self, _: usize, batch: CommitBatch) -> BoxFuture<'_, Result<()>> {
        let (workers, state) = (Arc::clone(&self.workers), Arc::clone(&self.state));
        async move { workers.run(move || taken(&*batch, &state)).await? }.boxed()
    }

    fn waited(&self, _: Duration) {}

    fn begin_again(&self) -> BoxFuture<'_, Result<()>> {
        *self.state.0.lock().unwrap_or_else(PoisonError::into_inner) = (self.fresh)();
        futures::future::ready(Ok(())).boxed()
    }
}

fn taken<T>(batch: &dyn RawCommits, (state, take): &(Mutex<T>, Take<T>)) -> Result<()> {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    for document in Documents::of(batch.documents()?).take(batch.limit()) {
        let document = document.ok_or_else(|| Error::Mismatch("the server sent a broken batch".into()))?;
        take(&mut state, document.get_str("_id").ok(), document);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_suspects_stay_within_their_memory() {
        let name = |number: usize| format!("{number:02}{}", "x".repeat(1 << 20));
        let mut first = Suspects::default();
        (0..10).chain(0..10).for_each(|number| first.add(name(number)));
        assert_eq!((first.streams.len(), first.more), (10, 0));
        let mut second = first.beside();
        (10..80).for_each(|number| second.add(name(number)));
        first.merge(second);
        assert!(first.bytes <= NAMES_BYTES);
        assert_eq!((first.streams.len(), first.more), (63, 17));
    }
}
