//! The application goes on writing while a generation is built and cut over to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::{Document, doc};
use mongodb::Collection;
use mongodb::error::{ErrorKind, WriteFailure};
use statefold::{Error, Rebuild};

use crate::support::commits::{asset_created, asset_renamed, asset_stream, generated, good_asset};
use crate::support::database::{Db, assert_same, behind_a_fence, eventually};
use crate::support::server::stop_failing;
use crate::support::{Gate, OwnServer, commit, fail_command, no_waiting, oracle, squidex};

/// Whether the event store refused this because it is fenced.
fn is_fenced(error: &mongodb::error::Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == 121)
}

/// What a writer was acknowledged.
struct Written {
    commits: Vec<Document>,
    /// How many of them before the fence that it saw last.
    before_fence: Option<usize>,
}

/// A writer of one application server: assets are created and renamed, without a pause.
async fn write(events: Collection<Document>, writer: usize, stop: Arc<AtomicBool>) -> Written {
    let mut written = Written { commits: Vec::new(), before_fence: None };
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let id = format!("live-{writer}-{}", number / 3);
        let offset = number % 3 - 1;
        let (name, event) = match offset {
            -1 => ("AssetCreatedEventV2", asset_created(&id)),
            _ => ("AssetAnnotatedEvent", asset_renamed(&id, &format!("{number}.png"))),
        };
        let one = commit(&asset_stream(&id), offset, &[(name, &event)]);
        while let Err(error) = events.insert_one(&one).await {
            assert!(is_fenced(&error), "{error}");
            written.before_fence = Some(written.commits.len());
        }
        written.commits.push(one);
        number += 1;
    }
    written
}

fn stream_of(commit: &Document) -> &str {
    commit.get_str("EventStream").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_event_is_missing_after_the_cut_over() {
    let commits = generated(1500, 91);
    let db = Db::new("live").await;
    db.write(&commits).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| tokio::spawn(write(db.collection("Events2"), writer, Arc::clone(&stop))))
        .collect();
    let report = db.rebuild(&squidex(), &["Assets"], behind_a_fence()).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    assert!(report.cut_over[0].fenced && report.projections[0].streams_refolded > 0, "{report:?}");

    let built = db.read("States_Assets3").await;
    let of_before = oracle::assets(&commits);
    assert!(of_before.iter().all(|(id, snapshot)| built.get(id) == Some(snapshot)));
    let mut streams = 0;
    for writer in writers {
        let Written { commits, before_fence } = writer.await.unwrap();
        let before_fence = before_fence.expect("every writer came upon the fence");
        for events in commits.chunk_by(|one, next| stream_of(one) == stream_of(next)) {
            let id = stream_of(&events[0]).strip_prefix("asset-").unwrap();
            let needed =
                commits[..before_fence].iter().filter(|one| stream_of(one) == stream_of(&events[0])).count();
            // What came after the fence may be there, what came before it must be.
            let states: Vec<_> = (0..=events.len()).map(|end| oracle::assets(&events[..end])).collect();
            let found = states.iter().position(|state| state.get(id) == built.get(id));
            assert!(found.is_some_and(|found| found >= needed), "{id}: {needed} events, {found:?} are there");
            streams += usize::from(needed > 0);
        }
    }
    assert!(streams > 0);
    let list =
        db.db.run_command(doc! { "listCollections": 1, "filter": { "name": "Events2" } }).await.unwrap();
    assert!(!format!("{list}").contains("Statefold"), "{list}");
}

#[tokio::test]
async fn while_a_transaction_is_open_the_fence_is_not_raised_and_writers_go_on() {
    let db = Db::new("open_transaction").await;
    db.write(&generated(300, 92)).await;
    let mut session = db.db.client().start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    let open = good_asset("in-transaction");
    db.collection("Events2").insert_many(&open).session(&mut session).await.unwrap();

    let running = statefold::rebuild(&db.settings(behind_a_fence()), &squidex(), Rebuild::of(["Assets"]));
    let mut progress = running.progress();
    progress.wait_for(|now| now.phase == statefold::Phase::Publishing).await.unwrap();
    // Inserts are not held up for good by a fence that waits for the transaction.
    db.append(&good_asset("meanwhile")).await;
    session.commit_transaction().await.unwrap();
    let report = running.await.unwrap();
    assert!(report.cut_over[0].fenced && report.cut_over[0].tries >= 1, "{report:?}");
    let built = db.read("States_Assets3").await;
    for id in ["in-transaction", "meanwhile"] {
        let stream = asset_stream(id);
        assert!(built.contains_key(stream.strip_prefix("asset-").unwrap()), "{id}");
    }
}

#[tokio::test]
async fn a_fence_that_was_left_behind_is_lifted_by_the_next_start() {
    let db = Db::new("orphaned_fence").await;
    db.write(&good_asset("1")).await;
    db.rebuild(&squidex(), &[], no_waiting()).await.unwrap();
    let former = doc! { "validator": { "EventStream": { "$exists": true } }, "validationLevel": "moderate" };
    let record = doc! {
        "Statefold": "fence", "Reason": "cut-over", "Token": 1_i64, "Host": "gone", "FormerOptions": former,
    };
    let refuse = doc! { "$expr": { "$and": [false, { "$literal": record }] } };
    let fence = doc! { "collMod": "Events2", "validator": refuse };
    db.db.run_command(fence).await.unwrap();
    let refused = db.collection("Events2").insert_many(good_asset("2")).await;
    assert!(refused.is_err());
    let status = statefold::status(&db.settings(no_waiting()), &squidex()).await.unwrap();
    assert!(!status.can_write);
    assert!(status.fence.unwrap().to_string().starts_with("cut-over, raised by gone"));

    // Everything is up to date; the start leads all the same, for the fence.
    let started = statefold::migrate(&db.settings(no_waiting()), &squidex(), statefold::Migrate::default());
    let outcome = started.await.unwrap();
    assert!(matches!(outcome, statefold::Outcome::Led { report: None, .. }), "{outcome:?}");
    db.append(&good_asset("2")).await;
    let list =
        db.db.run_command(doc! { "listCollections": 1, "filter": { "name": "Events2" } }).await.unwrap();
    let text = format!("{list}");
    assert!(text.contains("moderate") && !text.contains("Statefold"), "{text}");
}

#[tokio::test]
async fn an_event_store_that_is_dropped_meanwhile_ends_the_rebuild() {
    let commits = generated(300, 93);
    let db = Db::new("dropped_store").await;
    db.write(&commits).await;
    let (gated, gate) = Gate::assets(|_| true);
    let running = statefold::rebuild(&db.settings(no_waiting()), &gated, Rebuild::default());
    gate.reached().await;
    db.collection("Events2").drop().await.unwrap();
    gate.open();
    let error = running.await.unwrap_err();
    assert!(matches!(error, Error::Mismatch(_) | Error::Server { .. }), "{error:?}");
    db.assert_nothing_published().await;
}

#[tokio::test]
async fn when_the_history_of_changes_is_lost_everything_is_compared() {
    let server = OwnServer::start("history_lost");
    let db = Db::at(&server.uri, "history_lost").await;
    let mut commits = generated(900, 94);
    db.write(&commits).await;
    let (gated, gate) = Gate::assets(|_| true);
    // One batch holds everything: the scan has passed what is written later.
    let by_streams = Some(statefold::Strategy::Stream);
    let tuning =
        statefold::Tuning { strategy: by_streams, partitions: Some(1), batch_commits: 5000, ..no_waiting() };
    let running = statefold::rebuild(&db.settings(tuning), &gated, Rebuild::default());
    gate.reached().await;
    // The feed is opened when everything is written, and finds that the oplog has rolled over.
    let data = doc! {
        "failCommands": ["aggregate"], "errorCode": 286, "namespace": format!("{}.Events2", db.name),
    };
    let failed_before = stop_failing(&server.uri).await;
    fail_command(&server.uri, &db.app, doc! { "times": 1 }, data).await;
    let late = good_asset("late");
    db.append(&late).await;
    commits.extend(late);
    gate.open();
    let report = running.await.unwrap();
    assert_eq!(stop_failing(&server.uri).await, failed_before + 1);
    assert_eq!(report.projections[0].streams_refolded, 1);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

/// Time of the oldest entry of a server's oplog.
async fn oldest(oplog: &Collection<Document>) -> bson::Timestamp {
    let first = oplog.find_one(doc! {}).sort(doc! { "$natural": 1 }).await.unwrap().unwrap();
    first.get_timestamp("ts").unwrap()
}

#[tokio::test]
async fn an_oplog_that_rolls_over_during_the_build_costs_a_comparison() {
    let server = OwnServer::start_with("rolls_over", &["--oplog-mb", "1", "--", "--syncdelay", "1"]);
    let db = Db::at(&server.uri, "rolls_over").await;
    let mut commits = generated(600, 95);
    db.write(&commits).await;
    let (gated, gate) = Gate::assets(|_| true);
    let by_streams = Some(statefold::Strategy::Stream);
    let tuning =
        statefold::Tuning { strategy: by_streams, partitions: Some(1), batch_commits: 5000, ..no_waiting() };
    let running = statefold::rebuild(&db.settings(tuning), &gated, Rebuild::default());
    gate.reached().await;
    let late = good_asset("late");
    db.append(&late).await;
    commits.extend(late);
    let oplog = db.db.client().database("local").collection("oplog.rs");
    let newest: Document = oplog.find_one(doc! {}).sort(doc! { "$natural": -1 }).await.unwrap().unwrap();
    let written = newest.get_timestamp("ts").unwrap();
    let filler = "x".repeat(100_000);
    eventually("the oplog to roll over", || async {
        for _ in 0..20 {
            db.collection("Filler").insert_one(doc! { "filler": &filler }).await.unwrap();
        }
        // What a restart would need is kept until it is on disk: here each second.
        oldest(&oplog).await > written
    })
    .await;
    gate.open();
    let report = running.await.unwrap();
    assert_eq!(report.projections[0].streams_refolded, 1);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}
