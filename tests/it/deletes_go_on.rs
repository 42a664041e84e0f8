//! Streams that are deleted all the while: which ones the change stream doesn't tell, and comparing all heads
//! takes long where there are many. It is done a few times, not in each round.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use futures::TryStreamExt;
use statefold::Rebuild;

use crate::support::commits::{asset_created, asset_stream, generated};
use crate::support::server::stop_failing;
use crate::support::{Db, OwnServer, commit, fail_command, no_waiting, oracle, squidex};

/// Makes streams, and deletes each for good a moment later, until it is stopped.
async fn make_and_delete(db: Arc<Db>, stop: Arc<AtomicBool>) {
    let events = db.collection("Events2");
    let mut number = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        let id = format!("brief-{number}");
        let created = commit(&asset_stream(&id), -1, &[("AssetCreatedEventV2", &asset_created(&id))]);
        events.insert_one(&created).await.unwrap();
        if let Some(before) = number.checked_sub(10) {
            let gone = asset_stream(&format!("brief-{before}"));
            events.delete_many(doc! { "EventStream": gone }).await.unwrap();
        }
        number += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heads_of_all_streams_are_compared_a_few_times_only() {
    let server = OwnServer::start("deletes-go-on");
    let db = Arc::new(Db::at(&server.uri, "deletes_go_on").await);
    db.write(&generated(800, 77)).await;
    for _ in 0..2 {
        db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    }
    // A comparison takes longer than a round may.
    let slow = doc! {
        "failCommands": ["aggregate"], "blockConnection": true, "blockTimeMS": 150,
        "namespace": format!("{}.Events2", db.name),
    };
    let before = stop_failing(&server.uri).await;
    fail_command(&server.uri, &db.app, doc! { "times": 1_000_000 }, slow).await;
    let stop = Arc::new(AtomicBool::new(false));
    let deleter = tokio::spawn(make_and_delete(Arc::clone(&db), Arc::clone(&stop)));
    statefold::rollback(&db.settings(no_waiting()), &squidex(), Rebuild::of(["Assets"])).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    deleter.await.unwrap();
    let commands = stop_failing(&server.uri).await - before;

    let record =
        db.collection("Statefold_Builds").find_one(doc! { "State": "active" }).await.unwrap().unwrap();
    let partitions = i64::try_from(record.get_array("Ranges").unwrap().len()).unwrap();
    // Streams are read, and the change stream is opened, by such commands, too: a dozen. With a comparison in
    // each round there were five times as many.
    assert!(commands > 1 && commands <= 30 * partitions, "{commands} in {partitions} partitions");

    // What is left is folded by the next one, and nothing of what is gone is there.
    statefold::rollback(&db.settings(no_waiting()), &squidex(), Rebuild::of(["Assets"])).await.unwrap();
    let pointer = db.pointer("Assets").await.unwrap();
    let built = db.read(pointer.get_str("Collection").unwrap()).await;
    let left: Vec<Document> =
        db.collection("Events2").find(doc! {}).await.unwrap().try_collect().await.unwrap();
    assert_eq!(built, oracle::assets(&left));
}
