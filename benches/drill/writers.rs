//! The application's writers: streams that exist, new ones, several events in a commit, permanent deletes. What the
//! server acknowledged is recorded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::error::{ErrorKind, WriteFailure};

use crate::support::commits::{asset_created, asset_renamed, asset_stream, commit};
use crate::{Args, Result};

/// Error of an insert that a validator refused.
const REFUSED: i32 = 121;
/// Each so many commits a stream is deleted for good.
const DELETE_EVERY: usize = 500;

/// One acknowledged insert.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Insert {
    pub(crate) acknowledged: Instant,
    /// From the first try to the acknowledgement.
    pub(crate) took: Duration,
    /// Whether the fence refused it at first.
    pub(crate) refused: bool,
}

/// What one writer was acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The commits of each of its streams; empty if it was deleted.
    pub(crate) streams: BTreeMap<String, Vec<Document>>,
    pub(crate) inserts: Vec<Insert>,
    pub(crate) events: u64,
}

/// All writers.
pub(crate) struct Writers {
    pub(crate) written: Vec<Arc<Mutex<Written>>>,
    /// How many commits each stream had when a fence was noticed first.
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
    let of = |written: &Arc<Mutex<Written>>| -> Vec<(String, usize)> {
        locked(written).streams.iter().map(|(name, commits)| (name.clone(), commits.len())).collect()
    };
    all.iter().flat_map(of).collect()
}

impl Writers {
    /// Starts them; each goes on with some streams that exist.
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

    /// Forgets the fence that was noticed last.
    pub(crate) fn next(&self) {
        *locked(&self.before_fence) = None;
    }

    /// How many commits of each stream were acknowledged before the fence that was noticed last; before now, if
    /// none was.
    pub(crate) fn before_fence(&self) -> BTreeMap<String, usize> {
        locked(&self.before_fence).clone().unwrap_or_default()
    }

    /// Events acknowledged so far.
    pub(crate) fn events(&self) -> u64 {
        self.written.iter().map(|written| locked(written).events).sum()
    }

    /// For each writer the longest time that an insert was held up by a fence since then.
    pub(crate) fn outages(&self, since: Instant) -> Vec<Duration> {
        let of = |written: &Arc<Mutex<Written>>| {
            let written = locked(written);
            let late = written.inserts.iter().rev().take_while(|insert| insert.acknowledged >= since);
            late.filter(|insert| insert.refused).map(|insert| insert.took).max()
        };
        self.written.iter().filter_map(of).collect()
    }

    /// The commits of all their streams.
    pub(crate) fn streams(&self) -> BTreeMap<String, Vec<Document>> {
        self.written.iter().flat_map(|written| locked(written).streams.clone()).collect()
    }

    /// Stops them.
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

    /// A new stream, or one to go on with.
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
            commits.iter().filter_map(|one| one.get("EventsCount").and_then(bson::Bson::as_i64)).sum()
        };
        let id = stream.rsplit("--").next().unwrap_or(stream);
        let (created, renamed) = (asset_created(id), asset_renamed(id, &format!("{number}.png")));
        let events: Vec<(&str, &str)> = match (before, number % 5) {
            (0, _) => vec![("AssetCreatedEventV2", &created)],
            (_, 0) => vec![("AssetAnnotatedEvent", &renamed), ("AssetAnnotatedEvent", &renamed)],
            _ => vec![("AssetAnnotatedEvent", &renamed)],
        };
        let one = commit(stream, before - 1, &events);
        let began = Instant::now();
        let mut refused = false;
        while let Err(error) = self.events.insert_one(&one).await {
            if !is_refused(&error) {
                return Err(error.into());
            }
            if !refused {
                refused = true;
                // Whatever is acknowledged by now was written before the fence was raised.
                locked(&self.before_fence).get_or_insert_with(|| lengths(&self.all));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut written = locked(mine);
        written.events += events.len() as u64;
        written.streams.entry(stream.to_owned()).or_default().push(one);
        written.inserts.push(Insert { acknowledged: Instant::now(), took: began.elapsed(), refused });
        Ok(())
    }

    /// Deletes a stream for good, as Squidex does: said in a stream of its own, then its commits go.
    async fn delete(&self, stream: &str) -> Result<()> {
        let Some(mine) = self.mine() else { return Ok(()) };
        // Already before: a generation that is built meanwhile may know it or not.
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
