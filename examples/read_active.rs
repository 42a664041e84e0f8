//! How an application reads snapshots: ask the pointer for the active collection, then query it.
//!
//! ```sh
//! MONGODB_URI=… STATEFOLD_DATABASE=… cargo run --example read_active -- Assets 3
//! ```

use std::error::Error;

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Client;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let projection = args.next().unwrap_or_else(|| "Assets".into());
    let limit: i64 = args.next().unwrap_or_else(|| "3".into()).parse()?;
    let uri = std::env::var("MONGODB_URI").map_err(|_| "set MONGODB_URI")?;
    let database = std::env::var("STATEFOLD_DATABASE").map_err(|_| "set STATEFOLD_DATABASE")?;
    let database = Client::with_uri_str(uri).await?.database(&database);

    // One small document, in the database of the snapshots.
    let migration = database.collection::<Document>("Migration");
    let control = migration.find_one(doc! { "_id": "Statefold" }).await?.ok_or("statefold was never here")?;
    let pointer = control.get_document("Generations")?.get_document(&projection)?;
    let collection = pointer.get_str("Collection")?;

    println!("{projection} is read from {collection}:");
    let snapshots = database.collection::<Document>(collection);
    let found = snapshots.find(doc! { "dl": false }).sort(doc! { "mt": -1 }).limit(limit).await?;
    for snapshot in found.try_collect::<Vec<_>>().await? {
        println!("{}", serde_json::to_string_pretty(&bson::Bson::Document(snapshot).into_relaxed_extjson())?);
    }
    Ok(())
}
