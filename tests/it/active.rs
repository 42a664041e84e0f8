//! Readers that follow the pointer: flips, versions they can't read, servers that go away.

use std::time::Duration;

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Client;
use statefold::projections::Registry;
use statefold::{ActiveHandle, Reading, follow_active};

use crate::support::commits::good_asset;
use crate::support::database::eventually;
use crate::support::versions::assets_of;
use crate::support::{Db, OwnServer, no_waiting, squidex};

/// A database with an event store, where nobody polls while a test runs.
async fn with_events(uri: Option<&str>, test: &str) -> Db {
    let db = match uri {
        Some(uri) => Db::at(uri, test).await,
        None => Db::new(test).await,
    };
    db.write(&good_asset("1")).await;
    db
}

async fn follow(db: &Db, registry: &Registry, poll: Duration) -> ActiveHandle {
    let lease = statefold::LeaseSettings { poll, ..db.lease.clone() };
    let settings = db.settings(no_waiting()).with_lease(lease).unwrap();
    follow_active(&settings, registry, "assets").await.unwrap()
}

/// Longer than any test: only a change stream shows anything sooner.
const NEVER: Duration = Duration::from_secs(3600);

/// Waits until the handle shows what is wanted.
async fn shows(handle: &mut ActiveHandle, wanted: impl Fn(&Reading) -> bool) -> Reading {
    let wait = async {
        let mut now = handle.reading();
        while !wanted(&now) {
            now = handle.changed().await.unwrap();
        }
        now
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the flip was never seen")
}

async fn rebuild(db: &Db, registry: &Registry) -> String {
    let report = db.rebuild(registry, &["Assets"], no_waiting()).await.unwrap();
    report.projections[0].collections[0].clone()
}

#[tokio::test]
async fn flips_are_seen_without_polling() {
    let db = with_events(None, "active").await;
    let mut handle = follow(&db, &squidex(), NEVER).await;
    assert_eq!((handle.collection(), handle.reading().generation), (None, None));
    for generation in 3..6 {
        let built = rebuild(&db, &squidex()).await;
        let reading = shows(&mut handle, |now| now.generation == Some(generation)).await;
        assert_eq!(handle.collection().as_deref(), Some(&*built));
        assert!(!reading.polling && reading.unreadable.is_none(), "{reading:?}");
    }
    // One that comes later, and a clone, begin with what is there.
    assert_eq!(follow(&db, &squidex(), NEVER).await.collection(), handle.collection());
    assert_eq!(handle.clone().collection().as_deref(), Some("States_Assets5"));
}

#[tokio::test]
async fn on_a_standalone_server_the_pointer_is_polled() {
    let server = OwnServer::start_with("active_standalone", &["--standalone"]);
    let db = with_events(Some(&server.uri), "active_standalone").await;
    let mut handle = follow(&db, &squidex(), Duration::from_millis(50)).await;
    for generation in 3..5 {
        rebuild(&db, &squidex()).await;
        let reading = shows(&mut handle, |now| now.generation == Some(generation)).await;
        assert!(reading.polling, "{reading:?}");
    }
}

#[tokio::test]
async fn a_version_that_the_program_can_t_read_is_not_followed() {
    let db = with_events(None, "active_versions").await;
    rebuild(&db, &assets_of(1)).await;
    let first = db.one("Migration", "Statefold").await.unwrap();
    let mut old = follow(&db, &assets_of(1), NEVER).await;
    let mut new = follow(&db, &assets_of(2), NEVER).await;
    let unread = shows(&mut new, |now| now.unreadable == Some(1)).await;
    assert_eq!((unread.generation, new.collection()), (None, None));

    rebuild(&db, &assets_of(2)).await;
    let newer = shows(&mut new, |now| now.generation == Some(4)).await;
    assert_eq!(newer.unreadable, None);
    let stays = shows(&mut old, |now| now.unreadable == Some(2)).await;
    assert_eq!((stays.generation, old.collection().as_deref()), (Some(3), Some("States_Assets3")));
    // Also one that starts only now.
    let started = follow(&db, &assets_of(1), NEVER).await.reading();
    assert_eq!((started.generation, started.unreadable), (Some(3), Some(2)));

    // Back again.
    let pointer = first.get_document("Generations").unwrap().get_document("Assets").unwrap();
    let back = doc! { "$set": { "Generations.Assets": pointer } };
    db.collection("Migration").update_one(doc! { "_id": "Statefold" }, back).await.unwrap();
    shows(&mut old, |now| now.unreadable.is_none() && now.generation == Some(3)).await;
    shows(&mut new, |now| now.unreadable == Some(1) && now.generation == Some(4)).await;
}

#[tokio::test]
async fn while_the_server_is_away_the_last_known_stays_and_then_it_goes_on() {
    let server = OwnServer::start("active_killed");
    let mut db = with_events(Some(&server.uri), "active_killed").await;
    db.selection_ms = 500;
    rebuild(&db, &squidex()).await;
    let mut handle = follow(&db, &squidex(), NEVER).await;
    shows(&mut handle, |now| now.generation == Some(3)).await;
    server.kill().await;
    assert_eq!(handle.collection().as_deref(), Some("States_Assets3"));
    server.restart();
    assert_eq!(handle.collection().as_deref(), Some("States_Assets3"));
    rebuild(&db, &squidex()).await;
    shows(&mut handle, |now| now.generation == Some(4)).await;
}

#[tokio::test]
async fn an_election_and_a_dropped_control_document_are_survived() {
    let server = OwnServer::start_with("active_election", &["--nodes", "3"]);
    let mut db = with_events(Some(&server.uri), "active_election").await;
    db.selection_ms = 15_000;
    rebuild(&db, &squidex()).await;
    let mut handle = follow(&db, &squidex(), NEVER).await;
    let client = Client::with_uri_str(&server.uri).await.unwrap();
    let step_down = doc! { "replSetStepDown": 60, "secondaryCatchUpPeriodSecs": 10 };
    // It closes connections, also the one this came by.
    let _ = client.database("admin").run_command(step_down).await;
    eventually("a new primary", || async { db.collection("probe").insert_one(doc! {}).await.is_ok() }).await;
    rebuild(&db, &squidex()).await;
    shows(&mut handle, |now| now.generation == Some(4)).await;
    db.collection("Migration").drop().await.unwrap();
    rebuild(&db, &squidex()).await;
    shows(&mut handle, |now| now.generation == Some(5)).await;
}

/// Number of operations and connections of the engine.
async fn present(db: &Db) -> usize {
    let pipeline = [
        doc! { "$currentOp": { "allUsers": true, "idleConnections": true, "idleCursors": true } },
        doc! { "$match": { "appName": &db.app } },
    ];
    let found = db.db.client().database("admin").aggregate(pipeline).await.unwrap();
    found.try_collect::<Vec<Document>>().await.unwrap().len()
}

#[tokio::test]
async fn the_task_ends_when_the_last_clone_is_dropped() {
    let db = with_events(None, "active_dropped").await;
    let handle = follow(&db, &squidex(), NEVER).await;
    let other = handle.clone();
    eventually("it to begin", || async { present(&db).await > 0 }).await;
    drop(handle);
    let mut other = other;
    rebuild(&db, &squidex()).await;
    shows(&mut other, |now| now.generation == Some(3)).await;
    drop(other);
    eventually("its end", || async { present(&db).await == 0 }).await;
}
