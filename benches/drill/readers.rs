//! The application's readers: they follow the active generation, and read snapshots that must always exist,
//! and others that an application keeps current, which must never go back for long.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::{Document, doc};
use mongodb::Database;
use statefold::Settings;

use crate::args::{Args, Result};

/// Pause between two reads.
const EVERY: Duration = Duration::from_millis(3);

/// What all readers saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) reads: AtomicU64,
    pub(crate) errors: AtomicU64,
    /// Number of snapshots that were missing.
    pub(crate) missing: AtomicU64,
    /// Number of changes from one generation to another.
    pub(crate) switches: AtomicU64,
    /// How long streams were seen as they had been before something that this reader had seen already.
    pub(crate) back: Mutex<Vec<Duration>>,
}

/// All readers.
pub(crate) struct Readers {
    pub(crate) seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Result<()>>>,
}

impl Readers {
    /// Starts the readers. They read the snapshots with the ids `kept`, whose streams no writer changes, and
    /// those with the ids `written`, which an application keeps current.
    pub(crate) fn start(args: &Args, db: &Database, kept: Vec<String>, written: Vec<String>) -> Self {
        let (seen, stop) = (Arc::<Seen>::default(), Arc::new(AtomicBool::new(false)));
        let (kept, written) = (Arc::new(kept), Arc::new(written));
        let tasks = (0..args.readers).map(|number| {
            let reader = Reader {
                args: args.clone(),
                db: db.clone(),
                kept: Arc::clone(&kept),
                written: Arc::clone(&written),
                seen: Arc::clone(&seen),
                stop: Arc::clone(&stop),
            };
            tokio::spawn(reader.run(number))
        });
        let tasks = tasks.collect();
        Self { seen, stop, tasks }
    }

    /// Stops the readers and waits for their end.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            task.await??;
        }
        Ok(())
    }

    /// The times since the last call that a stream was seen in the past.
    pub(crate) fn back(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.seen.back.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Reader {
    args: Args,
    db: Database,
    kept: Arc<Vec<String>>,
    written: Arc<Vec<String>>,
    seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
}

impl Reader {
    async fn run(self, number: usize) -> Result<()> {
        let settings = Settings::new(&self.args.uri, &self.args.database)?;
        let registry = statefold::squidex::registry();
        let handle = statefold::follow_active(&settings, &registry, "Assets").await?;
        let (mut last, mut at) = (None, number * 31);
        // The newest version seen of each stream, and since when an older one is seen.
        let mut newest: HashMap<&str, (i64, Option<Instant>)> = HashMap::new();
        while !self.stop.load(Ordering::Relaxed) {
            let Some(name) = handle.collection().map(|name| name.to_string()) else {
                self.seen.errors.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(EVERY).await;
                continue;
            };
            let generation = self.generation_of(&name).await?;
            if last.as_ref() != Some(&generation) {
                self.seen.switches.fetch_add(u64::from(last.is_some()), Ordering::Relaxed);
                last = Some(generation);
            }
            at += 1;
            // What was seen in the past is looked at again at once.
            let behind = newest.iter().find(|(_, (_, since))| since.is_some()).map(|(id, _)| *id);
            let always_there = behind.is_none() && at.is_multiple_of(4);
            let chosen = if always_there { &self.kept } else { &self.written };
            let Some(id) = behind.or_else(|| chosen.get(at % chosen.len().max(1)).map(String::as_str)) else {
                continue;
            };
            self.seen.reads.fetch_add(1, Ordering::Relaxed);
            match self.db.collection::<Document>(&name).find_one(doc! { "_id": id }).await {
                Ok(Some(found)) => self.note(&mut newest, id, found.get_i64("vs").unwrap_or(-1)),
                Ok(None) => _ = self.seen.missing.fetch_add(u64::from(always_there), Ordering::Relaxed),
                Err(_) => _ = self.seen.errors.fetch_add(1, Ordering::Relaxed),
            }
            tokio::time::sleep(EVERY).await;
        }
        Ok(())
    }

    /// With one name for all generations, the name alone doesn't tell them apart.
    async fn generation_of(&self, name: &str) -> Result<String> {
        match self.args.mode.as_str() {
            "rename" => Ok(crate::probe::active(&self.db).await?.0.to_string()),
            _ => Ok(name.to_owned()),
        }
    }

    fn note<'a>(&self, newest: &mut HashMap<&'a str, (i64, Option<Instant>)>, id: &'a str, version: i64) {
        let (known, since) = newest.entry(id).or_insert((version, None));
        if version < *known {
            since.get_or_insert_with(Instant::now);
            return;
        }
        *known = version;
        if let Some(since) = since.take() {
            let mut back = self.seen.back.lock().unwrap_or_else(PoisonError::into_inner);
            back.push(since.elapsed());
        }
    }
}
