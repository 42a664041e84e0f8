//! The course of the drill.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::{Client, Database};
use serde_json::Value;

use crate::args::{Args, Result};
use crate::engine;
use crate::readers::Readers;
use crate::report::{Row, middle_and_worst, table};
use crate::support::oracle;
use crate::writers::Writers;

/// Number of existing streams that the writers continue.
const EXISTING: i64 = 400;
/// Number of snapshots that the readers read.
const LOOKED_FOR: i64 = 2000;
/// Number of events whose time into the active generation is measured.
const FOLLOWED: usize = 20;

/// Runs the drill; returns true if nothing was lost and no reader met an error or a missing snapshot.
pub(crate) async fn run(args: &Args) -> Result<bool> {
    let db = Client::with_uri_str(&args.uri).await?.database(&args.database);
    db.drop().await?;
    println!("An event store of {} commits …", args.commits);
    engine::run(args, &["fixture", "--yes", "--commits", &args.commits.to_string()]).await?;
    let (touched, kept) = streams(&db).await?;
    let mut writers = Writers::start(args, &db.collection("Events2"), &touched).await?;
    println!("{} writers at work; the first generation is built …", args.writers);
    let mut rows =
        vec![cut_over(args, &db, &writers, &["rebuild", "Assets", "--yes", "--mode", &args.mode]).await?];
    let mut readers = Readers::start(args, &db, &Arc::new(kept));
    println!("{} readers at work; {} more cut-overs …", args.readers, args.cutovers.saturating_sub(1));
    for number in 1..args.cutovers.max(1) {
        let verb: &[&str] =
            if number == 1 { &["rebuild", "Assets", "--yes"] } else { &["rollback", "Assets", "--yes"] };
        rows.push(cut_over(args, &db, &writers, verb).await?);
    }
    println!("\n{}", table(&rows));
    let cleaned = engine::run(args, &["cleanup", "--yes", "--keep", "0"]).await?;
    let caught_up = followed(args, &db).await?;
    writers.stop().await?;
    readers.stop().await?;
    // The last generation must equal an independent fold of all acknowledged commits, and verify.
    engine::run(args, &["rebuild", "Assets", "--yes"]).await?;
    let missing = compare(&db, &writers.streams(), &lengths(&writers.streams())).await?.1;
    let verified = engine::run(args, &["verify", "Assets"]).await?;
    let collections = db.list_collection_names().await?;
    let snapshots = collections.iter().filter(|name| name.starts_with("States_")).count();

    let seen = &readers.seen;
    let (reads, errors) = (seen.reads.load(Ordering::Relaxed), seen.errors.load(Ordering::Relaxed));
    let unseen = seen.missing.load(Ordering::Relaxed);
    let lost = rows.iter().map(|row| row.lost).sum::<u64>() + missing;
    let items = cleaned.get("items").and_then(Value::as_array).map_or(0, Vec::len);
    println!("events acknowledged: {}; lost: {lost}", writers.events());
    println!(
        "reads: {reads}; errors: {errors}; snapshots missing: {unseen}; switches of a reader: {}",
        seen.switches.load(Ordering::Relaxed)
    );
    if let Some((median, worst)) = middle_and_worst(caught_up) {
        println!(
            "from an event to the active generation (follow): \
             median {median:.0} ms, worst {worst:.0} ms of {FOLLOWED}"
        );
    }
    let equal = verified.pointer("/projections/0/differing") == Some(&Value::from(0));
    println!("clean-up looked at {items} things; snapshot collections in the end: {snapshots}");
    println!("the last generation equals the event store: {equal}");
    Ok(lost == 0 && errors == 0 && unseen == 0 && equal)
}

/// Names of streams that writers continue, and ids of snapshots whose streams no writer changes.
async fn streams(db: &Database) -> Result<(Vec<String>, Vec<String>)> {
    let pipeline = [
        doc! { "$match": {
            "EventStream": { "$gte": "asset-", "$lt": "asset." }, "EventStreamOffset": -1_i64,
        } },
        doc! { "$sample": { "size": 4 * (EXISTING + LOOKED_FOR) } },
        doc! { "$project": { "_id": 0, "EventStream": 1 } },
    ];
    let found: Vec<Document> =
        db.collection::<Document>("Events2").aggregate(pipeline).await?.try_collect().await?;
    let names = found.iter().filter_map(|commit| commit.get_str("EventStream").ok().map(str::to_owned));
    let mut names: Vec<String> = names.filter(|name| !name.ends_with("--deleted")).collect();
    names.sort();
    names.dedup();
    let (mut touched, mut kept) = (Vec::new(), Vec::new());
    for (at, name) in names.into_iter().enumerate() {
        let events = db.collection::<Document>("Events2");
        let commits = events.find(doc! { "EventStream": &name });
        let commits: Vec<Document> =
            commits.sort(doc! { "EventStreamOffset": 1 }).await?.try_collect().await?;
        let snapshot = oracle::assets(&commits).into_keys().next();
        match snapshot {
            Some(_) if touched.len() < usize::try_from(EXISTING)? && at % 5 == 0 => touched.push(name),
            Some(id) if kept.len() < usize::try_from(LOOKED_FOR)? => kept.push(id),
            _ => {}
        }
    }
    Ok((touched, kept))
}

fn lengths(streams: &BTreeMap<String, Vec<Document>>) -> BTreeMap<String, usize> {
    streams.iter().map(|(name, commits)| (name.clone(), commits.len())).collect()
}

/// Runs one cut-over, and checks that the new generation has everything acknowledged before its fence.
async fn cut_over(args: &Args, db: &Database, writers: &Writers, verb: &[&str]) -> Result<Row> {
    writers.next();
    let at_least = lengths(&writers.streams());
    let began = Instant::now();
    let report = engine::run(args, verb).await?;
    let seconds = began.elapsed().as_secs_f64();
    // Writers that were refused until the end of the fence have written by now.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let outages = writers.outages(began);
    let noticed = writers.before_fence();
    let needed = if noticed.is_empty() { at_least } else { noticed };
    let (checked, lost) = compare(db, &writers.streams(), &needed).await?;
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let row = Row {
        verb: verb.first().copied().unwrap_or_default().to_owned(),
        generation: number("/projections/0/generation"),
        seconds,
        fence_ms: report.pointer("/cut_over/0/fence_ms").and_then(Value::as_f64).unwrap_or_default(),
        refolded: (number("/projections/0/streams_refolded"), number("/cut_over/0/refolded_fenced")),
        tries: number("/cut_over/0/tries"),
        outages,
        checked,
        lost,
    };
    println!(
        "  {} to generation {}: fence {:.1} ms, {:.1} s in all, lost {}",
        row.verb, row.generation, row.fence_ms, row.seconds, row.lost
    );
    Ok(row)
}

/// Checks the active generation: the snapshot of each stream must be that of the needed number of commits,
/// or of more. Returns the number of commits checked, and of streams that lack some.
async fn compare(
    db: &Database,
    streams: &BTreeMap<String, Vec<Document>>,
    needed: &BTreeMap<String, usize>,
) -> Result<(u64, u64)> {
    let control = db.collection::<Document>("Migration").find_one(doc! { "_id": "Statefold" }).await?;
    let pointer = control.as_ref().and_then(|control| control.get_document("Generations").ok());
    let pointer = pointer.and_then(|all| all.get_document("Assets").ok());
    let name = pointer.and_then(|pointer| pointer.get_str("Collection").ok()).ok_or("no pointer")?;
    let snapshots = db.collection::<Document>(name);
    let (mut checked, mut lost) = (0, 0);
    for (stream, commits) in streams {
        let needed = needed.get(stream).copied().unwrap_or(0);
        // A deleted stream may or may not have its snapshot still.
        if commits.is_empty() || needed == 0 {
            continue;
        }
        let id = stream.strip_prefix("asset-").unwrap_or(stream);
        let found = snapshots.find_one(doc! { "_id": id }).await?;
        checked += needed as u64;
        let states = (needed.min(commits.len())..=commits.len())
            .map(|end| oracle::assets(commits.get(..end).unwrap_or_default()).remove(id));
        if !states.into_iter().any(|state| state == found) {
            lost += 1;
            println!("  LOST: {stream}, {needed} of {} commits needed", commits.len());
        }
    }
    Ok((checked, lost))
}

/// Times from an insert to its snapshot in the active generation while `follow` runs, in milliseconds.
async fn followed(args: &Args, db: &Database) -> Result<Vec<f64>> {
    let mut follower = engine::start(args, &["follow", "Assets"])?;
    let events = db.collection::<Document>("Events2");
    let control = db.collection::<Document>("Migration").find_one(doc! { "_id": "Statefold" }).await?;
    let pointer = control.as_ref().and_then(|control| control.get_document("Generations").ok());
    let name = pointer
        .and_then(|all| all.get_document("Assets").ok())
        .and_then(|pointer| pointer.get_str("Collection").ok());
    let snapshots = db.collection::<Document>(name.ok_or("no pointer")?);
    let mut times = Vec::new();
    // The first event isn't counted: it waits until the follower has caught up with former events.
    for number in 0..=FOLLOWED {
        let id = format!("followed-{number}");
        let stream = crate::support::commits::asset_stream(&id);
        let created = crate::support::commits::asset_created(&id);
        let commit = crate::support::commits::commit(&stream, -1, &[("AssetCreatedEventV2", &created)]);
        events.insert_one(commit).await?;
        let began = Instant::now();
        let id = stream.strip_prefix("asset-").unwrap_or(&stream).to_owned();
        while snapshots.find_one(doc! { "_id": &id }).await?.is_none() {
            if began.elapsed() > Duration::from_secs(120) {
                return Err("the follower doesn't follow".into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if number > 0 {
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    std::process::Command::new("kill").args(["-TERM", &follower.id().to_string()]).status()?;
    tokio::task::spawn_blocking(move || follower.wait()).await??;
    Ok(times)
}
