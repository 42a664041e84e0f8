//! What can be seen of a cut-over from outside: when the pointer moved, and when the new generation had
//! what was acknowledged before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Database;

use crate::args::Result;
use crate::writers::Writers;

/// Pause between two looks.
const EVERY: Duration = Duration::from_millis(1);
/// How long before the flip an event may have been acknowledged to be looked for.
const BEFORE: Duration = Duration::from_millis(300);
/// How long an event is looked for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A cut-over as seen from outside.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The collection that readers use from then on.
    pub(crate) collection: String,
    /// When the pointer had moved: the last look before it was seen.
    pub(crate) flipped: Option<Instant>,
    /// For each stream with an event of the last moment before the flip: how long it was read as it had been
    /// before.
    pub(crate) past: Vec<Duration>,
    /// Streams that still were in the past in the end.
    pub(crate) left: usize,
}

/// The active generation: its number, and its collection.
pub(crate) async fn active(db: &Database) -> Result<(i64, String)> {
    let control = db.collection::<Document>("Migration").find_one(doc! { "_id": "Statefold" }).await?;
    let pointer = control.as_ref().and_then(|control| control.get_document("Generations").ok());
    let pointer = pointer.and_then(|all| all.get_document("Assets").ok()).ok_or("no pointer")?;
    let number = pointer.get("Active").and_then(bson::Bson::as_i64);
    let number = number.or_else(|| pointer.get_i32("Active").ok().map(i64::from)).unwrap_or_default();
    Ok((number, pointer.get_str("Collection")?.to_owned()))
}

/// Watches the pointer until it has moved, then looks for what was acknowledged right before, of streams
/// whose snapshots nobody but the engine writes.
pub(crate) async fn watch(db: &Database, writers: &Writers) -> Result<Seen> {
    let (before, _) = active(db).await?;
    let (flipped, collection) = loop {
        let asked = Instant::now();
        let (now, collection) = active(db).await?;
        if now != before {
            break (asked, collection);
        }
        tokio::time::sleep(EVERY).await;
    };
    let mut wanted: BTreeMap<String, i64> = writers.appended_between(flipped.checked_sub(BEFORE), flipped);
    let mut seen = Seen { collection, flipped: Some(flipped), ..Seen::default() };
    let snapshots = db.collection::<Document>(&seen.collection);
    while !wanted.is_empty() && flipped.elapsed() < PATIENCE {
        let ids: Vec<&String> = wanted.keys().collect();
        let found = snapshots.find(doc! { "_id": { "$in": ids } }).projection(doc! { "vs": 1 }).await?;
        let found: Vec<Document> = found.try_collect().await?;
        for document in found {
            let id = document.get_str("_id")?;
            let version = document.get_i64("vs").unwrap_or(-1);
            if wanted.get(id).is_some_and(|wanted| version >= *wanted) {
                wanted.remove(id);
                seen.past.push(flipped.elapsed());
            }
        }
        tokio::time::sleep(EVERY).await;
    }
    seen.left = wanted.len();
    Ok(seen)
}
