//! The application's writers. Half of them append to existing and new streams, with one or several events
//! per commit, and delete streams permanently. The others save objects as Squidex does: they load the
//! snapshot, read the events after its version, append, and write the snapshot if it still has that
//! version. Every acknowledged commit is recorded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::Database;
use mongodb::error::{ErrorKind, WriteFailure};
use statefold::{ActiveHandle, Settings};

use crate::args::{Args, Result};
use crate::support::commits::{asset_created, asset_renamed, asset_stream, commit};
use crate::support::oracle;

/// Error code of an insert that a validator refused.
const REFUSED: i32 = 121;
/// Number of commits of a writer after which it deletes a stream permanently.
const DELETE_EVERY: usize = 500;

/// One acknowledged insert.
#[derive(Debug, Clone)]
pub(crate) struct Insert {
    /// Id of the object, and the version of its snapshot from then on.
    pub(crate) object: (String, i64),
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
    /// Snapshots that could not be written because they had another version by then.
    pub(crate) conflicts: u64,
    /// Times that an insert was refused.
    pub(crate) refused: u64,
}

/// All writers.
pub(crate) struct Writers {
    pub(crate) written: Vec<Arc<Mutex<Written>>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Result<()>>>,
}

struct Writer {
    number: usize,
    db: Database,
    events: Collection<Document>,
    /// The active generation, for a writer that saves snapshots.
    active: Option<ActiveHandle>,
    all: Vec<Arc<Mutex<Written>>>,
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
    pub(crate) async fn start(args: &Args, db: &Database, existing: &[String]) -> Result<Self> {
        let events = db.collection::<Document>("Events2");
        let all: Vec<Arc<Mutex<Written>>> = (0..args.writers).map(|_| Arc::default()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        for (at, stream) in existing.iter().enumerate() {
            let filter = doc! { "EventStream": stream };
            let found = events.find(filter).sort(doc! { "EventStreamOffset": 1 }).await?;
            let commits: Vec<Document> = found.try_collect().await?;
            if let Some(written) = all.get(at % args.writers.max(1)) {
                locked(written).streams.insert(stream.clone(), commits);
            }
        }
        let settings = Settings::new(&args.uri, &args.database)?;
        let registry = statefold::squidex::registry();
        let mut tasks = Vec::new();
        for number in 0..args.writers {
            let saves = saves_snapshots(number);
            let active = match saves {
                true => Some(statefold::follow_active(&settings, &registry, "Assets").await?),
                false => None,
            };
            let writer = Writer {
                number,
                db: db.clone(),
                active,
                events: events.clone(),
                all: all.clone(),
                stop: Arc::clone(&stop),
                pause: Duration::from_millis(args.pause),
            };
            tasks.push(tokio::spawn(writer.run()));
        }
        Ok(Self { written: all, stop, tasks })
    }

    /// Ids of the objects whose snapshots are written as well, and that are never deleted.
    pub(crate) fn saved(&self) -> Vec<String> {
        let saving = self.written.iter().enumerate().filter(|(number, _)| saves_snapshots(*number));
        let ids = |written: &Arc<Mutex<Written>>| -> Vec<String> {
            locked(written).streams.keys().map(|stream| id_of(stream).to_owned()).collect()
        };
        saving.flat_map(|(_, written)| ids(written)).collect()
    }

    /// The objects to which only events were appended between these moments, each with the version of its
    /// snapshot.
    pub(crate) fn appended_between(&self, from: Option<Instant>, until: Instant) -> BTreeMap<String, i64> {
        let mut objects = BTreeMap::new();
        for (_, written) in self.written.iter().enumerate().filter(|(number, _)| !saves_snapshots(*number)) {
            let written = locked(written);
            let late = written.inserts.iter().rev().take_while(|one| Some(one.acknowledged) >= from);
            for one in late.filter(|one| one.acknowledged < until) {
                let (id, number) = &one.object;
                let is_there = |commits: &Vec<Document>| !commits.is_empty();
                if written.streams.iter().any(|(stream, commits)| id_of(stream) == id && is_there(commits)) {
                    let known: &mut i64 = objects.entry(id.clone()).or_insert(*number);
                    *known = (*known).max(*number);
                }
            }
        }
        objects
    }

    /// Number of commits of each stream that were acknowledged before a moment.
    pub(crate) fn lengths_at(&self, moment: Instant) -> BTreeMap<String, usize> {
        let mut lengths = lengths(&self.written);
        for written in &self.written {
            let written = locked(written);
            for one in written.inserts.iter().rev().take_while(|one| one.acknowledged >= moment) {
                let stream = format!("asset-{}", one.object.0);
                lengths.entry(stream).and_modify(|length| *length = length.saturating_sub(1));
            }
        }
        lengths
    }

    /// Conflicts of snapshots, and refused inserts, so far.
    pub(crate) fn conflicts_and_refusals(&self) -> (u64, u64) {
        let of = |written: &Arc<Mutex<Written>>| {
            let written = locked(written);
            (written.conflicts, written.refused)
        };
        self.written.iter().map(of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
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
            if self.active.is_some() {
                self.save(&stream, number).await?;
            } else if number.is_multiple_of(DELETE_EVERY) {
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
            0 if self.active.is_none() => new(),
            _ => living
                .get(number.wrapping_mul(7919) % living.len().max(1))
                .map_or_else(new, |name| (*name).clone()),
        }
    }

    /// Saves a change of an object as Squidex does.
    async fn save(&self, stream: &str, number: usize) -> Result<()> {
        let (Some(mine), Some(active)) = (self.mine(), &self.active) else { return Ok(()) };
        let Some(name) = active.collection() else { return Ok(()) };
        let (snapshots, id) = (self.db.collection::<Document>(&name), id_of(stream));
        let loaded = snapshots.find_one(doc! { "_id": id }).await?;
        let version = loaded.as_ref().and_then(|loaded| loaded.get_i64("vs").ok());
        let behind = doc! { "EventStream": stream, "EventStreamOffset": { "$gte": version.unwrap_or(-1) } };
        let _behind: Vec<Document> = self.events.find(behind).await?.try_collect().await?;
        self.append(stream, number).await?;
        let state = {
            let written = locked(mine);
            oracle::assets(written.streams.get(stream).map(Vec::as_slice).unwrap_or_default()).remove(id)
        };
        let Some(state) = state else { return Ok(()) };
        let landed = match version {
            Some(version) => {
                let as_loaded = doc! { "_id": id, "vs": version };
                snapshots.replace_one(as_loaded, state).await?.matched_count == 1
            }
            None => snapshots.insert_one(state).await.is_ok(),
        };
        locked(mine).conflicts += u64::from(!landed);
        Ok(())
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
            locked(mine).refused += 1;
            refused = true;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let acknowledged = Instant::now();
        let mut written = locked(mine);
        written.events += events.len() as u64;
        written.streams.entry(stream.to_owned()).or_default().push(document);
        let commits = written.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
        let state = oracle::assets(commits).remove(id_of(stream));
        let version = state.and_then(|state| state.get_i64("vs").ok()).unwrap_or(-1);
        let object = (id_of(stream).to_owned(), version);
        let took = acknowledged.duration_since(began);
        written.inserts.push(Insert { object, acknowledged, took, refused });
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

/// Whether the writer of this number saves snapshots.
fn saves_snapshots(number: usize) -> bool {
    number % 2 == 1
}

/// Id of a stream's object.
pub(crate) fn id_of(stream: &str) -> &str {
    stream.strip_prefix("asset-").unwrap_or(stream)
}

fn is_refused(error: &mongodb::error::Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == REFUSED)
}
