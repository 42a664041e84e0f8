//! The floor of writing: finished snapshots in memory, in the order of their ids, inserted by two
//! writers; and, measured separately, the index builds on that collection.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bson::{RawArrayBuf, RawDocumentBuf, cstr, doc, rawdoc};
use mongodb::Database;
use mongodb::options::{Acknowledgment, WriteConcern};

use crate::database::{REFERENCE, all, clear_up, create_indexes, run_raw, server_pid};
use crate::error::Result;
use crate::meter::Meter;
use crate::outcome::Outcome;

const COLLECTION: &str = "Bench_Write";
const WRITERS: usize = 2;
const DOCUMENTS_PER_BATCH: usize = 1000;

/// Writes all snapshots, then builds the indexes (part `index`, not in `seconds`).
///
/// # Errors
/// An error of the server.
pub(crate) async fn work(db: &Database, raw_command: bool) -> Result<Outcome> {
    let snapshots = Arc::new(all(db, REFERENCE).await?);
    let documents = snapshots.len() as u64;
    clear_up(db).await?;
    let server = server_pid(db).await?;
    db.create_collection(COLLECTION).await?;
    let meter = Meter::start(server)?;
    let next = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| tokio::spawn(write(db.clone(), Arc::clone(&snapshots), Arc::clone(&next), raw_command)))
        .collect();
    for writer in writers {
        writer.await??;
    }
    // Once this document is majority-committed, all earlier ones are.
    let barrier = db.collection("Bench_Barrier");
    barrier.insert_one(doc! {}).write_concern(WriteConcern::majority()).await?;
    let mut outcome = Outcome { documents, ..Outcome::of(&meter.stop()?) };
    let meter = Meter::start(server)?;
    create_indexes(db, COLLECTION).await?;
    outcome.parts.insert("index".into(), meter.seconds());
    Ok(outcome)
}

/// Writes batches until all are written.
async fn write(
    db: Database,
    snapshots: Arc<Vec<RawDocumentBuf>>,
    next: Arc<AtomicUsize>,
    raw_command: bool,
) -> Result<()> {
    let concern = WriteConcern::builder().w(Acknowledgment::Nodes(1)).build();
    loop {
        let first = next.fetch_add(1, Ordering::Relaxed) * DOCUMENTS_PER_BATCH;
        let range = first..snapshots.len().min(first + DOCUMENTS_PER_BATCH);
        let Some(batch) = snapshots.get(range as Range<usize>).filter(|batch| !batch.is_empty()) else {
            return Ok(());
        };
        if raw_command {
            run_raw(&db, insert(COLLECTION, batch)).await?;
        } else {
            let collection = db.collection::<RawDocumentBuf>(COLLECTION);
            collection.insert_many(batch).ordered(false).write_concern(concern.clone()).await?;
        }
    }
}

/// The insert of a batch, unordered, acknowledged by the primary.
pub(crate) fn insert(collection: &str, batch: &[RawDocumentBuf]) -> RawDocumentBuf {
    let mut documents = RawArrayBuf::new();
    for document in batch {
        documents.push(document.as_ref());
    }
    let mut command = rawdoc! { "insert": collection, "ordered": false, "writeConcern": { "w": 1 } };
    command.append(cstr!("documents"), documents);
    command
}
