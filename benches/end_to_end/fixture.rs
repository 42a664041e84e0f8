//! The event store that is read: made once for each number of commits, then reused.

use std::process::{Command, Stdio};

use bson::{Bson, Document, doc};
use mongodb::Database;
use statefold::fixture::FIXTURE_FORMAT;

use crate::database;
use crate::database::{EVENTS, number};
use crate::error::Result;
use crate::statefold::STATEFOLD;

/// Seed of all ids, names and random choices.
pub(crate) const SEED: i64 = 1;

/// Name of the database with this many commits.
pub(crate) fn database_name(commits: u64) -> String {
    format!("bench_{commits}")
}

/// Makes the event store, unless it exists.
///
/// # Errors
/// An error of the server, or a failure of `statefold fixture`.
pub(crate) async fn ensure(db: &Database, uri: &str, commits: u64) -> Result<()> {
    ensure_with(db, uri, commits, &[]).await
}

/// As [`ensure`], with further flags.
///
/// # Errors
/// An error of the server, or a failure of `statefold fixture`.
pub(crate) async fn ensure_with(db: &Database, uri: &str, commits: u64, flags: &[&str]) -> Result<()> {
    if is_there(db, commits).await? {
        println!("the event store of {commits} commits is there already");
        return Ok(());
    }
    println!("making an event store of {commits} commits");
    db.drop().await?;
    let status = Command::new(STATEFOLD)
        .args(["fixture", "--commits", &commits.to_string(), "--seed", &SEED.to_string(), "--log", "warn"])
        .args(flags)
        .env("MONGODB_URI", uri)
        .env("STATEFOLD_DATABASE", db.name())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() || !is_there(db, commits).await? {
        return Err(format!("statefold fixture ended with {status}").into());
    }
    database::clear_up(db).await
}

async fn is_there(db: &Database, commits: u64) -> Result<bool> {
    let marker = db.collection::<Document>("Statefold_Fixture").find_one(doc! { "_id": EVENTS }).await?;
    let Some(marker) = marker else { return Ok(false) };
    let is = |name: &str, wanted: i64| marker.get(name).and_then(number) == Some(wanted);
    let complete = marker.get("Complete") == Some(&Bson::Boolean(true));
    let known = complete && is("Seed", SEED) && is("Format", FIXTURE_FORMAT.into());
    Ok(known && database::count(db, doc! {}).await? == commits)
}
