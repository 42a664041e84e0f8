//! A leader that is killed between the flip of a cut-over without a fence and the end of its drain: the
//! status says so, and the next start finishes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use futures::TryStreamExt;

use crate::process::{Process, SHORT};
use crate::starts::{assert_free, assert_no_staging};
use crate::support::commits::{asset_created, asset_renamed, asset_stream, generated};
use crate::support::database::{assert_same, eventually};
use crate::support::server::stop_failing;
use crate::support::{Db, OwnServer, commit, fail_command, no_waiting, oracle, squidex};

/// Appends to some streams until it is told to stop.
async fn write(db: Arc<Db>, stop: Arc<AtomicBool>) -> Vec<Document> {
    let mut stored = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("drained-{}", number % 9);
        let event = match number / 9 {
            0 => ("AssetCreatedEventV2", asset_created(&id)),
            round => ("AssetAnnotatedEvent", asset_renamed(&id, &format!("{round}.png"))),
        };
        let next = commit(&asset_stream(&id), number / 9 - 1, &[(event.0, &event.1)]);
        db.collection("Events2").insert_one(&next).await.unwrap();
        stored.push(next);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stored
}

async fn is_undrained(db: &Db) -> bool {
    db.pointer("Assets").await.is_some_and(|pointer| pointer.contains_key("Undrained"))
}

/// Kills a leader after its flip, while the server keeps it waiting: at the end of each transaction, and,
/// if one is named, then at this command on this collection. `undrained`: whether the drain isn't over by
/// then; absent if the server may or may not have carried that command out.
async fn killed_after_the_flip(test: &str, then: Option<(&str, &str)>, undrained: Option<bool>) {
    let mut commits = generated(600, 74);
    let server = OwnServer::start(&format!("drain-{test}"));
    let db = Arc::new(Db::at(&server.uri, test).await);
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(Arc::clone(&db), Arc::clone(&stop)));

    // Every round of refolding takes so long that something is always left for after the flip.
    let slow = doc! { "failCommands": ["commitTransaction"], "blockConnection": true, "blockTimeMS": 300 };
    fail_command(&server.uri, &db.app, doc! { "times": 1_000_000 }, slow).await;
    let mut leader = Process::start(&db, &["rebuild", "Assets", "--yes"], SHORT);
    eventually("the flip", || async { is_undrained(&db).await }).await;
    if let Some((command, collection)) = then {
        let data = doc! {
            "failCommands": [command], "namespace": format!("{}.{collection}", db.name),
            "blockConnection": true, "blockTimeMS": 5000,
        };
        // The transactions go on.
        let before = stop_failing(&server.uri).await;
        fail_command(&server.uri, &db.app, doc! { "times": 1_000_000 }, data).await;
        let admin = db.db.client().database("admin");
        let wait = doc! {
            "waitForFailPoint": "failCommand", "timesEntered": before + 1, "maxTimeMS": 60_000,
        };
        admin.run_command(wait).await.unwrap();
    }
    leader.signal("KILL");
    assert_eq!(leader.ended().await.code, None);
    stop_failing(&server.uri).await;
    stop.store(true, Ordering::Relaxed);
    commits.extend(writer.await.unwrap());

    let status = statefold::status(&db.settings(no_waiting()), &squidex()).await.unwrap();
    assert!(status.leader.is_some() && !status.is_led, "{status:?}");
    let assets = status.projections.iter().find(|status| status.projection == "Assets").unwrap();
    assert_eq!(assets.active_generation, Some(4), "{assets:?}");
    assert!(undrained.is_none_or(|undrained| assets.undrained == undrained), "{assets:?}");
    let undrained = assets.undrained;
    if undrained {
        assert!(assets.lag.as_ref().unwrap().streams > 0, "{assets:?}");
        let shown = Process::start(&db, &["status"], SHORT).ended().await;
        assert!(shown.stdout.contains("statefold migrate"), "{}", shown.stdout);
    }

    Process::start(&db, &["migrate"], SHORT).ended().await.json(0);
    assert!(!is_undrained(&db).await);
    let pointer = db.pointer("Assets").await.unwrap();
    assert_eq!(pointer.get_str("Collection").unwrap(), "States_Assets4");
    if undrained {
        assert_same(&db.read("States_Assets4").await, &oracle::assets(&commits));
    }
    assert_free(&db).await;
    assert_no_staging(&db).await;
    // And the next generation is right as well.
    Process::start(&db, &["rebuild", "Assets", "--yes"], SHORT).ended().await.json(0);
    assert_same(&db.read("States_Assets5").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn killed_in_the_drain() {
    killed_after_the_flip("draining", None, Some(true)).await;
}

#[tokio::test]
async fn killed_while_the_drained_streams_are_looked_at() {
    killed_after_the_flip("looking", Some(("find", "States_Assets4")), Some(true)).await;
}

#[tokio::test]
async fn killed_while_the_end_of_the_drain_is_noted() {
    killed_after_the_flip("noting", Some(("update", "Migration")), None).await;
}

#[tokio::test]
async fn killed_while_the_records_are_settled() {
    killed_after_the_flip("settling", Some(("update", "Statefold_Builds")), Some(false)).await;
}

#[tokio::test]
async fn killed_while_views_are_switched() {
    let commits = generated(600, 75);
    let server = OwnServer::start("drain-views");
    let db = Arc::new(Db::at(&server.uri, "views").await);
    db.write(&commits).await;
    let by_view = ["rebuild", "Assets", "--yes", "--mode", "view"];
    Process::start(&db, &by_view, SHORT).ended().await.json(0);
    let data = doc! {
        "failCommands": ["collMod"], "namespace": format!("{}.States_Assets", db.name),
        "closeConnection": true,
    };
    fail_command(&server.uri, &db.app, doc! { "times": 1_000_000 }, data).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(Arc::clone(&db), Arc::clone(&stop)));
    let mut leader = Process::start(&db, &["rebuild", "Assets", "--yes"], SHORT);
    let flipped = || async {
        let pointer = db.pointer("Assets").await.unwrap();
        pointer.get_str("Collection").is_ok_and(|name| name == "States_Assets4")
    };
    eventually("the flip", flipped).await;
    leader.signal("KILL");
    assert_eq!(leader.ended().await.code, None);
    let tried = stop_failing(&server.uri).await;
    stop.store(true, Ordering::Relaxed);
    let commits = [commits, writer.await.unwrap()].concat();

    let status = statefold::status(&db.settings(no_waiting()), &squidex()).await.unwrap();
    let assets = status.projections.iter().find(|status| status.projection == "Assets").unwrap();
    assert_eq!(assets.views_elsewhere, ["States_Assets shows States_Assets3, not States_Assets4"], "{tried}");

    Process::start(&db, &["migrate"], SHORT).ended().await.json(0);
    let filter = doc! { "name": "States_Assets" };
    let views: Vec<_> = db.db.list_collections().filter(filter).await.unwrap().try_collect().await.unwrap();
    assert_eq!(views[0].options.view_on.as_deref(), Some("States_Assets4"));
    assert!(!is_undrained(&db).await);
    assert_same(&db.read("States_Assets").await, &oracle::assets(&commits));
    assert_free(&db).await;
    assert_no_staging(&db).await;
}
