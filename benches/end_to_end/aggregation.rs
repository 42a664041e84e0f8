//! A server-side aggregation: the part of the fold that one pipeline can express.
//!
//! It groups the commits of each stream, sorts them by their offsets and takes from the first and last
//! events the values in headers, and those that a regular expression finds in the text of a payload:
//! times, authors, version, name, hash, deletion. It can't read JSON (there is no operator for it before
//! 8.x), so metadata, tags, sizes and escapes are missing; it counts events that change nothing, so the
//! version differs; and it doesn't refuse a stream with a hole. Its result is therefore not compared.

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Database;

use crate::database::{EVENTS, in_prefix, server_pid};
use crate::error::Result;
use crate::meter::Meter;
use crate::outcome::Outcome;

const COLLECTION: &str = "Bench_Aggregation";

/// Runs the aggregation.
///
/// # Errors
/// An error of the server.
pub(crate) async fn work(db: &Database) -> Result<Outcome> {
    let server = server_pid(db).await?;
    let meter = Meter::start(server)?;
    let command = doc! {
        "aggregate": EVENTS, "pipeline": pipeline(), "hint": { "$natural": 1 }, "allowDiskUse": true,
        "cursor": {},
    };
    let _: Vec<Document> = db.run_cursor_command(command).await?.try_collect().await?;
    let outcome = Outcome::of(&meter.stop()?);
    let documents = db.collection::<Document>(COLLECTION).estimated_document_count().await?;
    Ok(Outcome { documents, ..outcome })
}

fn pipeline() -> Vec<Document> {
    vec![
        doc! { "$match": in_prefix() },
        doc! { "$match": { "EventStream": { "$not": { "$regex": "--deleted$" } } } },
        doc! { "$group": {
            "_id": "$EventStream",
            "commits": { "$push": { "offset": "$EventStreamOffset", "events": "$Events" } },
        } },
        doc! { "$set": { "commits": { "$sortArray": { "input": "$commits", "sortBy": { "offset": 1 } } } } },
        doc! { "$set": { "events": { "$reduce": {
            "input": "$commits.events", "initialValue": [],
            "in": { "$concatArrays": ["$$value", "$$this"] },
        } } } },
        doc! { "$project": {
            "_id": { "$substrBytes": ["$_id", 6, -1] },
            "id": cut(doc! { "$first": "$events.Payload" }, r#""assetId":"([^"]+)""#),
            "mt": { "$toDate": { "$last": "$events.Metadata.Timestamp" } },
            "mb": cut(doc! { "$last": "$events.Payload" }, r#""actor":"([^"]+)""#),
            "ct": { "$toDate": { "$first": "$events.Metadata.Timestamp" } },
            "cb": cut(doc! { "$first": "$events.Payload" }, r#""actor":"([^"]+)""#),
            "vs": { "$subtract": [{ "$size": "$events" }, 1] },
            "ai": cut(doc! { "$first": "$events.Payload" }, r#""appId":"([^",]+)"#),
            "dl": { "$in": ["AssetDeletedEvent", "$events.Type"] },
            "fn": last_with(r#""fileName":"([^"]+)""#),
            "fh": last_with(r#""fileHash":"([^"]+)""#),
        } },
        doc! { "$out": COLLECTION },
    ]
}

/// Expression for the first group of a pattern, matched in a text.
fn cut(text: Document, pattern: &str) -> Document {
    doc! { "$let": {
        "vars": { "found": { "$regexFind": { "input": text, "regex": pattern } } },
        "in": { "$first": "$$found.captures" },
    } }
}

/// Expression for the first group of a pattern, matched in the last payload that matches it.
fn last_with(pattern: &str) -> Document {
    let having = doc! { "$filter": {
        "input": "$events.Payload", "as": "payload",
        "cond": { "$regexMatch": { "input": "$$payload", "regex": pattern } },
    } };
    cut(doc! { "$last": having }, pattern)
}
