//! Access to the server for all contenders: connecting, counting, cleaning up between runs.

use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use futures::TryStreamExt;
use mongodb::options::{ClientOptions, RunCursorCommandOptions};
use mongodb::raw_batch_cursor::RawBatchCursor;
use mongodb::{Client, Database};
use statefold::projections::{IndexDefinition, Registered};
use statefold::squidex;

use crate::error::Result;

/// The event store.
pub(crate) const EVENTS: &str = "Events2";
/// Collection that all results must be equal to.
pub(crate) const REFERENCE: &str = "Bench_Reference";
/// Prefix of the names of the streams that are folded, and the first name after them.
pub(crate) const PREFIX: &str = "asset-";
const PREFIX_END: &str = "asset.";
/// Collections that are kept between runs, besides those whose names begin with [`REFERENCE`].
const KEPT: [&str; 2] = [EVENTS, "Statefold_Fixture"];

/// Connects as statefold does.
///
/// # Errors
/// If the URI is invalid.
pub(crate) async fn connect(uri: &str, database: &str) -> Result<Database> {
    let mut options = ClientOptions::parse(uri).await?;
    options.max_connecting = Some(8);
    Ok(Client::with_options(options)?.database(database))
}

/// The projection that is measured.
///
/// # Errors
/// Never, as it is registered.
pub(crate) fn projection() -> Result<Registered> {
    Ok(squidex::registry().get("Assets")?.clone())
}

/// The streams of the projection as a filter.
pub(crate) fn in_prefix() -> Document {
    doc! { "EventStream": { "$gte": PREFIX, "$lt": PREFIX_END } }
}

/// Process id of the server.
///
/// # Errors
/// If the server doesn't say.
pub(crate) async fn server_pid(db: &Database) -> Result<u32> {
    let status = db.run_command(doc! { "serverStatus": 1, "repl": 0, "metrics": 0 }).await?;
    let pid = status.get("pid").and_then(number).ok_or("the server doesn't tell its process id")?;
    Ok(u32::try_from(pid)?)
}

/// The current operation time: a scan after it misses nothing acknowledged before.
///
/// # Errors
/// If the server has no operation times (a standalone).
pub(crate) async fn operation_time(db: &Database) -> Result<Timestamp> {
    let reply = db.run_command(doc! { "ping": 1 }).await?;
    Ok(reply.get_timestamp("operationTime").map_err(|_| "the server is no replica set")?)
}

/// An integer of any width.
pub(crate) fn number(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int64(number) => Some(*number),
        Bson::Int32(number) => Some((*number).into()),
        #[expect(clippy::cast_possible_truncation, reason = "counts are below 2^53")]
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

/// Number of commits that a filter finds.
///
/// # Errors
/// An error of the server.
pub(crate) async fn count(db: &Database, filter: Document) -> Result<u64> {
    let reply = db.run_command(doc! { "count": EVENTS, "query": filter }).await?;
    Ok(reply.get("n").and_then(number).and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

/// Opens a cursor over whole, unparsed batches.
///
/// # Errors
/// An error of the server.
pub(crate) async fn batches(db: &Database, mut command: Document, batch: u32) -> Result<RawBatchCursor> {
    if command.contains_key("aggregate") {
        command.insert("cursor", doc! { "batchSize": i64::from(batch) });
    } else {
        command.insert("batchSize", i64::from(batch));
    }
    let options = RunCursorCommandOptions::builder().batch_size(batch).build();
    Ok(db.run_cursor_command(command).with_options(options).batch().await?)
}

/// Runs a raw command and checks the reply for write errors, which the driver doesn't report.
///
/// # Errors
/// An error of the server, also for single documents.
pub(crate) async fn run_raw(db: &Database, command: RawDocumentBuf) -> Result<()> {
    let reply = db.run_raw_command(command).await?;
    match reply.get_array("writeErrors") {
        Ok(errors) if !errors.is_empty() => Err(format!("documents were refused: {errors:?}").into()),
        _ => Ok(()),
    }
}

/// Builds the indexes of the projection on a collection.
///
/// # Errors
/// An error of the server.
pub(crate) async fn create_indexes(db: &Database, collection: &str) -> Result<()> {
    let projection = projection()?;
    let indexes = projection.spec().targets().iter().flat_map(|target| target.indexes());
    create_these(db, collection, indexes).await
}

/// Builds indexes on a collection, in one command.
///
/// # Errors
/// An error of the server.
pub(crate) async fn create_these<'a>(
    db: &Database,
    collection: &str,
    indexes: impl Iterator<Item = &'a IndexDefinition>,
) -> Result<()> {
    let indexes: Vec<Document> = indexes.map(index).collect();
    let command = doc! {
        "createIndexes": collection, "indexes": indexes, "commitQuorum": "majority",
        "writeConcern": { "w": "majority" },
    };
    db.run_command(command).await?;
    Ok(())
}

fn index(index: &IndexDefinition) -> Document {
    let keys: Document =
        index.keys().iter().map(|(field, direction)| (field.clone(), direction.as_i32().into())).collect();
    doc! { "key": keys, "name": index.name() }
}

/// Number of secondary indexes of a collection.
///
/// # Errors
/// An error of the server.
pub(crate) async fn secondary_indexes(db: &Database, collection: &str) -> Result<usize> {
    let names = db.collection::<Document>(collection).list_index_names().await?;
    Ok(names.len().saturating_sub(1))
}

/// Removes the collections of former contenders and flushes the server's memory to disk, so that the
/// next run doesn't pay for it.
///
/// # Errors
/// An error of the server.
pub(crate) async fn clear_up(db: &Database) -> Result<()> {
    for name in db.list_collection_names().await? {
        if !KEPT.contains(&name.as_str()) && !name.starts_with(REFERENCE) {
            db.collection::<Document>(&name).drop().await?;
        }
    }
    db.client().database("admin").run_command(doc! { "fsync": 1 }).await?;
    Ok(())
}

/// All documents of a collection in the order of their ids.
///
/// # Errors
/// An error of the server.
pub(crate) async fn all(db: &Database, collection: &str) -> Result<Vec<RawDocumentBuf>> {
    let collection = db.collection::<RawDocumentBuf>(collection);
    Ok(collection.find(doc! {}).sort(doc! { "_id": 1 }).batch_size(1000).await?.try_collect().await?)
}
