//! The application's writers: they append to existing and new streams, with one or several events per
//! commit, and delete streams permanently. Every acknowledged commit is recorded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::error::{ErrorKind, WriteFailure};

use crate::args::{Args, Result};
use crate::support::commits::{asset_created, asset_renamed, asset_stream, commit};

/// Error code of an insert that a validator refused.
const REFUSED: i32 = 121;
/// Number of commits of a writer after which it deletes a stream permanently.
const DELETE_EVERY: usize = 500;

/// One acknowledged insert.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Insert {
    pub(crate) acknowledged: Instant,
    /// Time from the first try to the acknowledgement.
    pub(crate) took: Duration,
    /// True if the fence refused it at first.
    pub(crate) refused: bool,
}

/// The acknowledged writes of one writer.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The commits of each of its streams; empty for a deleted stream.
    pub(crate) streams: BTreeMap<String, Vec<Document>>,
    pub(crate) inserts: Vec<Insert>,
    pub(crate) events: u64,
}

/// All writers.
pub(crate) struct Writers {
    pub(crate) written: Vec<Arc<Mutex<Written>>>,
    /// Number of commits of each stream when a writer first noticed the fence.
    before_fence: Arc<Mutex<Option<BTreeMap<String, usize>>>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Result<()>>>,
}

struct Writer {
    number: usize,
    events: Collection<Document>,
    all: Vec<Arc<Mutex<Written>>>,
    before_fence: Arc<Mutex<Option<BTreeMap<String, usize>>>>,
    stop: Arc<AtomicBool>,
    pause: Duration,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lengths(all: &[Arc<Mutex<Written>>]) -> BTreeMap<String, usize> {
    let streams = |written: &Arc<Mutex<Written>>| -> Vec<(String, usize)> {
        locked(written).streams.iter().map(|(name, commits)| (name.clone(), commits.len())).collect()
    };
    all.iter().flat_map(streams).collect()
}

impl Writers {
    /// Starts the writers; the existing streams are divided among them.
    pub(crate) async fn start(
        args: &Args,
        events: &Collection<Document>,
        existing: &[String],
    ) -> Result<Self> {
        let all: Vec<Arc<Mutex<Written>>> = (0..args.writers).map(|_| Arc::default()).collect();
        let (before_fence, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        for (at, stream) in existing.iter().enumerate() {
            let filter = doc! { "EventStream": stream };
            let found = events.find(filter).sort(doc! { "EventStreamOffset": 1 }).await?;
            let commits: Vec<Document> = found.try_collect().await?;
            if let Some(written) = all.get(at % args.writers.max(1)) {
                locked(written).streams.insert(stream.clone(), commits);
            }
        }
        let tasks = (0..args.writers).map(|number| {
            let writer = Writer {
                number,
                events: events.clone(),
                all: all.clone(),
                before_fence: Arc::clone(&before_fence),
                stop: Arc::clone(&stop),
                pause: Duration::from_millis(args.pause),
            };
            tokio::spawn(writer.run())
        });
        let tasks = tasks.collect();
        Ok(Self { written: all, before_fence, stop, tasks })
    }

    /// Forgets the last fence that a writer noticed.
    pub(crate) fn next(&self) {
        *locked(&self.before_fence) = None;
    }

    /// Number of commits of each stream that were acknowledged before the last fence was noticed; empty
    /// if none was noticed.
    pub(crate) fn before_fence(&self) -> BTreeMap<String, usize> {
        locked(&self.before_fence).clone().unwrap_or_default()
    }

    /// Number of events acknowledged so far.
    pub(crate) fn events(&self) -> u64 {
        self.written.iter().map(|written| locked(written).events).sum()
    }

    /// The longest delay of an insert by a fence since an instant, for each writer that was refused.
    pub(crate) fn outages(&self, since: Instant) -> Vec<Duration> {
        let longest = |written: &Arc<Mutex<Written>>| {
            let written = locked(written);
            let late = written.inserts.iter().rev().take_while(|insert| insert.acknowledged >= since);
            late.filter(|insert| insert.refused).map(|insert| insert.took).max()
        };
        self.written.iter().filter_map(longest).collect()
    }

    /// The acknowledged commits of all streams.
    pub(crate) fn streams(&self) -> BTreeMap<String, Vec<Document>> {
        self.written.iter().flat_map(|written| locked(written).streams.clone()).collect()
    }

    /// Stops the writers and waits for their end.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            task.await??;
        }
        Ok(())
    }
}

impl Writer {
    async fn run(self) -> Result<()> {
        let mut number = 0_usize;
        while !self.stop.load(Ordering::Relaxed) {
            number += 1;
            let stream = self.stream(number);
            if number.is_multiple_of(DELETE_EVERY) {
                self.delete(&stream).await?;
            } else {
                self.append(&stream, number).await?;
            }
            tokio::time::sleep(self.pause).await;
        }
        Ok(())
    }

    fn mine(&self) -> Option<&Arc<Mutex<Written>>> {
        self.all.get(self.number)
    }

    /// Chooses a new stream, or an existing one to continue.
    fn stream(&self, number: usize) -> String {
        let new = || asset_stream(&format!("drill-{}-{number}", self.number));
        let Some(mine) = self.mine() else { return new() };
        let written = locked(mine);
        let living: Vec<&String> =
            written.streams.iter().filter(|(_, commits)| !commits.is_empty()).map(|(name, _)| name).collect();
        match number % 3 {
            0 => new(),
            _ => living
                .get(number.wrapping_mul(7919) % living.len().max(1))
                .map_or_else(new, |name| (*name).clone()),
        }
    }

    async fn append(&self, stream: &str, number: usize) -> Result<()> {
        let Some(mine) = self.mine() else { return Ok(()) };
        let before: i64 = {
            let written = locked(mine);
            let commits = written.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
            let count = |commit: &Document| commit.get("EventsCount").and_then(bson::Bson::as_i64);
            commits.iter().filter_map(count).sum()
        };
        let id = stream.rsplit("--").next().unwrap_or(stream);
        let (created, renamed) = (asset_created(id), asset_renamed(id, &format!("{number}.png")));
        let events: Vec<(&str, &str)> = match (before, number % 5) {
            (0, _) => vec![("AssetCreatedEventV2", &created)],
            (_, 0) => vec![("AssetAnnotatedEvent", &renamed), ("AssetAnnotatedEvent", &renamed)],
            _ => vec![("AssetAnnotatedEvent", &renamed)],
        };
        let document = commit(stream, before - 1, &events);
        let began = Instant::now();
        let mut refused = false;
        while let Err(error) = self.events.insert_one(&document).await {
            if !is_refused(&error) {
                return Err(error.into());
            }
            if !refused {
                refused = true;
                // Everything acknowledged until now was written before the fence was raised.
                locked(&self.before_fence).get_or_insert_with(|| lengths(&self.all));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut written = locked(mine);
        written.events += events.len() as u64;
        written.streams.entry(stream.to_owned()).or_default().push(document);
        written.inserts.push(Insert { acknowledged: Instant::now(), took: began.elapsed(), refused });
        Ok(())
    }

    /// Deletes a stream permanently, as Squidex does: a commit in another stream records it, then the
    /// commits of the stream are removed.
    async fn delete(&self, stream: &str) -> Result<()> {
        let Some(mine) = self.mine() else { return Ok(()) };
        // Recorded first: a generation that is built meanwhile may or may not have the stream.
        locked(mine).streams.insert(stream.to_owned(), Vec::new());
        let farewell = commit(&format!("{stream}--deleted"), -1, &[("AssetDeletedEvent", "{}")]);
        while let Err(error) = self.events.insert_one(&farewell).await {
            if !is_refused(&error) {
                return Err(error.into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.events.delete_many(doc! { "EventStream": stream }).await?;
        Ok(())
    }
}

fn is_refused(error: &mongodb::error::Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == REFUSED)
}
