//! The course of the drill.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::{Client, Database};
use serde_json::Value;

use crate::args::{Args, Result};
use crate::engine;
use crate::probe;
use crate::readers::Readers;
use crate::report::{Row, middle_and_worst, milliseconds, table};
use crate::support::oracle;
use crate::writers::{Writers, id_of};

/// Number of existing streams that the writers continue.
const EXISTING: i64 = 2000;
/// Number of snapshots that the readers read.
const LOOKED_FOR: i64 = 2000;
/// Number of events whose time into the active generation is measured.
const FOLLOWED: usize = 20;

/// Runs the drill; returns true if nothing was lost, nothing was refused without a fence, and no reader met
/// an error, a missing snapshot, or one that stayed in the past.
pub(crate) async fn run(args: &Args) -> Result<bool> {
    let db = Client::with_uri_str(&args.uri).await?.database(&args.database);
    db.drop().await?;
    println!("An event store of {} commits …", args.commits);
    engine::run(args, &["fixture", "--yes", "--commits", &args.commits.to_string()]).await?;
    let (touched, kept) = streams(&db).await?;
    println!("the first generations are built …");
    engine::run(args, &["rebuild", "Assets", "--yes"]).await?;
    engine::run(args, &["rebuild", "Assets", "--yes", "--mode", &args.mode]).await?;
    let mut writers = Writers::start(args, &db, &touched).await?;
    let mut readers = Readers::start(args, &db, kept, writers.saved());
    println!("{} writers and {} readers at work", args.writers, args.readers);
    let fences =
        ["none", "short"].into_iter().filter(|fence| args.fence.as_deref().is_none_or(|only| only == *fence));
    let mut good = true;
    for fence in fences {
        let mut rows = Vec::new();
        for number in 0..args.cutovers {
            let row = cut_over(args, &db, &writers, &readers, fence).await?;
            if !row.is_good(fence) || number == 0 {
                println!("  {number}: {row:?}");
            }
            rows.push(row);
        }
        good &= rows.iter().all(|row| row.is_good(fence));
        println!("\n{}", table(fence, &rows));
    }
    let caught_up = if args.mode == "pointer" { followed(args, &db).await? } else { Vec::new() };
    writers.stop().await?;
    readers.stop().await?;
    // The last generation must equal an independent fold of all acknowledged commits, and verify.
    engine::run(args, &["rollback", "Assets", "--yes"]).await?;
    let missing = compare(&db, &writers, &writers.lengths_at(Instant::now())).await?.1;
    let verified = engine::run(args, &["verify", "Assets"]).await?;
    let seen = &readers.seen;
    let (reads, errors) = (seen.reads.load(Ordering::Relaxed), seen.errors.load(Ordering::Relaxed));
    let unseen = seen.missing.load(Ordering::Relaxed);
    println!("events acknowledged: {}; missing in the end: {missing}", writers.events());
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
    println!("the last generation equals the event store: {equal}");
    Ok(good && missing == 0 && errors == 0 && unseen == 0 && equal)
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

/// Makes one cut-over, back or forward, and looks at it from outside.
async fn cut_over(
    args: &Args,
    db: &Database,
    writers: &Writers,
    readers: &Readers,
    fence: &str,
) -> Result<Row> {
    readers.back();
    let before = writers.conflicts_and_refusals();
    let began = Instant::now();
    let verb = ["rollback", "Assets", "--yes", "--verify", "heads", "--fence", fence];
    let (report, seen) = tokio::join!(engine::run(args, &verb), probe::watch(db, writers));
    let (report, seen) = (report?, seen?);
    let seconds = began.elapsed().as_secs_f64();
    // Writers that were refused have written by now, and readers have seen what they saw.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let flipped = seen.flipped.unwrap_or(began);
    let (checked, lost) = compare(db, writers, &writers.lengths_at(flipped)).await?;
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let ms = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).unwrap_or_default();
    let after = writers.conflicts_and_refusals();
    Ok(Row {
        seconds,
        fence_ms: ms("/cut_over/0/fence_ms"),
        drain_ms: ms("/cut_over/0/drain_ms"),
        drained: number("/cut_over/0/refolded_after"),
        tries: number("/cut_over/0/tries"),
        outages: writers.outages(began),
        refused: after.1 - before.1,
        conflicts: after.0 - before.0,
        past: seen.past.into_iter().map(milliseconds).collect(),
        left_in_the_past: seen.left,
        back: readers.back().into_iter().map(milliseconds).collect(),
        checked,
        lost,
    })
}

/// Checks the active generation: the snapshot of each stream must be that of the needed number of commits,
/// or of more. Returns the number of commits checked, and of streams that lack some.
async fn compare(db: &Database, writers: &Writers, needed: &BTreeMap<String, usize>) -> Result<(u64, u64)> {
    let snapshots = db.collection::<Document>(&probe::active(db).await?.1);
    let ids: Vec<&str> = needed.keys().map(|stream| id_of(stream)).collect();
    let found: Vec<Document> = snapshots.find(doc! { "_id": { "$in": ids } }).await?.try_collect().await?;
    let id = |document: &Document| document.get_str("_id").unwrap_or_default().to_owned();
    let found: BTreeMap<String, Document> =
        found.into_iter().map(|document| (id(&document), document)).collect();
    // Read afterwards: it has every event that may be in a snapshot.
    let streams = writers.streams();
    let (mut checked, mut lost) = (0, 0);
    for (stream, needed) in needed {
        // A deleted stream may or may not have its snapshot still.
        let Some(commits) = streams.get(stream).filter(|commits| !commits.is_empty() && *needed > 0) else {
            continue;
        };
        checked += *needed as u64;
        let found = found.get(id_of(stream));
        let mut states = (*needed..=commits.len())
            .map(|end| oracle::assets(commits.get(..end).unwrap_or_default()).remove(id_of(stream)));
        if !states.any(|state| state.as_ref() == found) {
            lost += 1;
            if lost == 1 {
                let commits = commits.len();
                println!("  LOST: {stream}, {needed} of {commits} commits needed: {found:?}");
            }
        }
    }
    Ok((checked, lost))
}

/// Times from an insert to its snapshot in the active generation while `follow` runs, in milliseconds.
async fn followed(args: &Args, db: &Database) -> Result<Vec<f64>> {
    let mut follower = engine::start(args, &["follow", "Assets"])?;
    let events = db.collection::<Document>("Events2");
    let snapshots = db.collection::<Document>(&probe::active(db).await?.1);
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
