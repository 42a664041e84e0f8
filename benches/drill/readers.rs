//! The application's readers: they follow the active generation and read snapshots that must always
//! exist.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bson::{Document, doc};
use mongodb::Database;
use statefold::Settings;

use crate::args::{Args, Result};

/// Counters of all readers.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) reads: AtomicU64,
    pub(crate) errors: AtomicU64,
    /// Number of snapshots that were missing.
    pub(crate) missing: AtomicU64,
    /// Number of changes from one generation to another.
    pub(crate) switches: AtomicU64,
}

/// All readers.
pub(crate) struct Readers {
    pub(crate) seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Result<()>>>,
}

impl Readers {
    /// Starts the readers; they read the snapshots with these ids, whose streams no writer changes.
    pub(crate) fn start(args: &Args, db: &Database, ids: &Arc<Vec<String>>) -> Self {
        let (seen, stop) = (Arc::<Seen>::default(), Arc::new(AtomicBool::new(false)));
        let tasks = (0..args.readers).map(|number| {
            let (args, db, ids) = (args.clone(), db.clone(), Arc::clone(ids));
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            tokio::spawn(async move { read(&args, &db, &ids, &seen, &stop, number).await })
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
}

async fn read(
    args: &Args,
    db: &Database,
    ids: &[String],
    seen: &Seen,
    stop: &AtomicBool,
    number: usize,
) -> Result<()> {
    let settings = Settings::new(&args.uri, &args.database)?;
    let handle = statefold::follow_active(&settings, &statefold::squidex::registry(), "Assets").await?;
    let (mut last, mut at) = (None, number * 31);
    while !stop.load(Ordering::Relaxed) {
        let name: Option<String> = match args.mode.as_str() {
            "view" => Some("States_Assets".to_owned()),
            _ => handle.collection().map(|name| name.to_string()),
        };
        let (Some(name), Some(id)) = (name, ids.get(at % ids.len().max(1))) else {
            seen.errors.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        if last.as_ref() != Some(&name) {
            seen.switches.fetch_add(u64::from(last.is_some()), Ordering::Relaxed);
            last = Some(name.clone());
        }
        at += 1;
        seen.reads.fetch_add(1, Ordering::Relaxed);
        match db.collection::<Document>(&name).find_one(doc! { "_id": id }).await {
            Ok(Some(_)) => {}
            Ok(None) => _ = seen.missing.fetch_add(1, Ordering::Relaxed),
            Err(_) => _ = seen.errors.fetch_add(1, Ordering::Relaxed),
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    Ok(())
}
