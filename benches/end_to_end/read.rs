//! The floor of reading: the fastest scan found for the official driver, its documents dropped. Ranges
//! of record ids in natural order, each read by its own task.

use bson::{Bson, Document, RawDocument, Timestamp, doc};
use futures::TryStreamExt;
use mongodb::Database;
use mongodb::raw_batch_cursor::RawBatch;

use crate::database::{EVENTS, batches, in_prefix, number, operation_time, server_pid};
use crate::error::Result;
use crate::meter::Meter;
use crate::outcome::Outcome;

/// Number of sampled documents from which bounds are chosen.
const SAMPLES: i32 = 400;

/// End of a range: its last commit, and the record id of that commit.
#[derive(Debug, Clone)]
struct Bound {
    record: i64,
    id: Bson,
}

/// Reads all commits of the prefix.
///
/// # Errors
/// An error of the server.
pub(crate) async fn work(db: &Database, ranges: u32, batch: u32) -> Result<Outcome> {
    // This also connects, so that connecting isn't measured.
    let server = server_pid(db).await?;
    let meter = Meter::start(server)?;
    let documents = all(db, &in_prefix(), ranges, batch).await?;
    Ok(Outcome { documents, ..Outcome::of(&meter.stop()?) })
}

/// Reads all commits that a filter finds, and returns their number.
///
/// # Errors
/// An error of the server.
pub(crate) async fn all(db: &Database, filter: &Document, ranges: u32, batch: u32) -> Result<u64> {
    let since = operation_time(db).await?;
    let bounds = bounds(db, filter, ranges).await?;
    let ends = bounds.iter().cloned().map(Some).chain([None]);
    let starts = std::iter::once(None).chain(bounds.iter().map(|bound| Some(bound.record)));
    let tasks: Vec<_> = starts
        .zip(ends)
        .map(|(start, end)| tokio::spawn(scan(db.clone(), filter.clone(), since, start, end, batch)))
        .collect();
    let mut documents = 0;
    for task in tasks {
        documents += task.await??;
    }
    Ok(documents)
}

/// Bounds that divide the collection into roughly equal parts.
async fn bounds(db: &Database, filter: &Document, ranges: u32) -> Result<Vec<Bound>> {
    if ranges < 2 {
        return Ok(Vec::new());
    }
    let events = db.collection::<Document>(EVENTS);
    let pipeline = [
        doc! { "$sample": { "size": SAMPLES } },
        doc! { "$match": filter.clone() },
        doc! { "$project": { "_id": 1 } },
    ];
    let sampled: Vec<Document> = events.aggregate(pipeline).await?.try_collect().await?;
    let ids: Vec<Bson> = sampled.iter().filter_map(|sample| sample.get("_id").cloned()).collect();
    // A sample carries no record ids.
    let found = events.find(doc! { "_id": { "$in": ids } }).projection(doc! { "_id": 1 });
    let found: Vec<Document> = found.show_record_id(true).await?.try_collect().await?;
    let bound = |document: &Document| {
        let record = document.get("$recordId").and_then(number)?;
        Some(Bound { record, id: document.get("_id")?.clone() })
    };
    let mut found: Vec<Bound> = found.iter().filter_map(bound).collect();
    found.sort_unstable_by_key(|bound| bound.record);
    found.dedup_by_key(|bound| bound.record);
    let step = found.len() / ranges as usize;
    Ok(found.into_iter().skip(step).step_by(step.max(1)).take(ranges as usize - 1).collect())
}

async fn scan(
    db: Database,
    filter: Document,
    since: Timestamp,
    start: Option<i64>,
    end: Option<Bound>,
    batch: u32,
) -> Result<u64> {
    let mut command = doc! {
        "find": EVENTS, "filter": filter, "hint": { "$natural": 1 }, "$_requestResumeToken": true,
        "readConcern": { "level": "majority", "afterClusterTime": since },
    };
    if let Some(start) = start {
        command.insert("$_resumeAfter", doc! { "$recordId": start });
    }
    let mut cursor = batches(&db, command, batch).await?;
    let mut documents = 0;
    while let Some(batch) = cursor.try_next().await? {
        let last = end.as_ref().filter(|end| scanned(&batch).is_none_or(|record| record >= end.record));
        for entry in batch.doc_slices()? {
            let document = entry?.as_document().ok_or("the server sent no document")?;
            documents += 1;
            if last.is_some_and(|end| has_id(document, &end.id)) {
                return Ok(documents);
            }
        }
        if last.is_some() {
            return Err("a bound was not where it belongs".into());
        }
    }
    Ok(documents)
}

/// Record id of the last document that the server scanned for a batch.
fn scanned(batch: &RawBatch) -> Option<i64> {
    let cursor = batch.as_raw_document().get_document("cursor").ok()?;
    cursor.get_document("postBatchResumeToken").ok()?.get_i64("$recordId").ok()
}

fn has_id(document: &RawDocument, id: &Bson) -> bool {
    let own = document.get("_id").ok().flatten();
    own.and_then(|own| Bson::try_from(own).ok()).is_some_and(|own| own == *id)
}
