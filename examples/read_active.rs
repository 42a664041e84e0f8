//! Reads snapshots as an application does: a handle names the active collection, now and after each flip.
//!
//! ```sh
//! MONGODB_URI=… STATEFOLD_DATABASE=… cargo run --example read_active -- Assets 3
//! MONGODB_URI=… STATEFOLD_DATABASE=… cargo run --example read_active -- Assets 3 --follow
//! ```
//!
//! With `--follow` it reads again whenever the pointer moves, until Ctrl-C or SIGTERM. A program in another
//! language does the same with one small document: `Migration/{_id: "Statefold"}`, field
//! `Generations.Assets.Collection`.

use std::error::Error;

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::{Client, Database};
use statefold::{Settings, follow_active, squidex};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let projection = args.next().unwrap_or_else(|| "Assets".into());
    let limit: i64 = args.next().unwrap_or_else(|| "3".into()).parse()?;
    let follow = args.next().as_deref() == Some("--follow");
    let uri = std::env::var("MONGODB_URI").map_err(|_| "set MONGODB_URI")?;
    let database = std::env::var("STATEFOLD_DATABASE").map_err(|_| "set STATEFOLD_DATABASE")?;

    // Once at the start of a program, for each projection that it reads.
    let settings = Settings::new(&uri, &database)?;
    let mut active = follow_active(&settings, &squidex::registry(), &projection).await?;
    let database = Client::with_uri_str(&uri).await?.database(&database);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    loop {
        // For each query; this asks no server.
        match active.collection() {
            Some(collection) => {
                println!("{projection} is read from {collection}:");
                print(&database, &collection, limit).await?;
            }
            None => println!("there is no generation of {projection} yet that this program can read"),
        }
        if !follow {
            return Ok(());
        }
        tokio::select! {
            changed = active.changed() => {
                changed?;
            }
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
    }
}

#[expect(clippy::print_stdout, reason = "an example")]
async fn print(database: &Database, collection: &str, limit: i64) -> Result<(), Box<dyn Error>> {
    let snapshots = database.collection::<Document>(collection);
    let found = snapshots.find(doc! { "dl": false }).sort(doc! { "mt": -1 }).limit(limit).await?;
    for snapshot in found.try_collect::<Vec<_>>().await? {
        println!("{}", serde_json::to_string_pretty(&bson::Bson::Document(snapshot).into_relaxed_extjson())?);
    }
    Ok(())
}
