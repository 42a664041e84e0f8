//! An insert of a former try that reaches the server after its partition was cleared.

use bson::{Document, doc};
use statefold::{Error, Rebuild, Strategy, Tuning};

use crate::support::commits::{asset_stream, generated, last_asset_stream};
use crate::support::database::assert_same;
use crate::support::server::stop_failing;
use crate::support::{Db, Gate, OwnServer, commit, fail_command, no_waiting, oracle};

/// One partition, read in several batches.
fn tuning() -> Tuning {
    Tuning {
        partitions: Some(1),
        batch_commits: 100,
        strategy: Some(Strategy::Stream),
        max_errors: "1".parse().unwrap(),
        ..no_waiting()
    }
}

/// The stream that is folded last: the scan goes from large names to small ones.
fn last(commits: &[Document]) -> String {
    let names = commits.iter().map(|commit| commit.get_str("EventStream").unwrap());
    names.filter(|name| name.starts_with("asset-") && !name.ends_with("--deleted")).min().unwrap().to_owned()
}

/// Rebuilds. The first try of the only partition fails; when the second has cleared what was there, these
/// documents arrive. Nothing of them may be left in the end.
async fn arrives_late(server: &OwnServer, test: &str, collection: &str, late: impl Fn(&str) -> Document) {
    let commits = generated(900, 91);
    let db = Db::at(&server.uri, test).await;
    db.write(&commits).await;
    // One stream becomes a failed stream.
    db.append(&[commit(&asset_stream("bad"), -1, &[("AssetCreatedEventV2", "{")])]).await;
    let stream = last(&commits);
    let (gated, gate) = {
        let stream = stream.clone();
        Gate::assets(move |event| event.stream == stream)
    };
    let data = doc! {
        "failCommands": ["getMore"], "errorCode": 262, "namespace": format!("{}.Events2", db.name),
    };
    let failed_before = stop_failing(&server.uri).await;
    // One for the scan, one for the feed, which is opened again.
    fail_command(&server.uri, &db.app, doc! { "times": 2 }, data).await;
    let running = statefold::rebuild(&db.settings(tuning()), &gated, Rebuild::of(["Assets"]));
    // The first try ended before it came here.
    gate.reached().await;
    assert_eq!(stop_failing(&server.uri).await, failed_before + 2);
    let staging = db.staging("States_Assets3").await.unwrap();
    let collection = collection.replace("STAGING", &staging);
    let late = late(&stream);
    let id = late.get_str("_id").unwrap().to_owned();
    db.collection(&collection).insert_one(late).await.unwrap();
    gate.open();
    let report = running.await.unwrap();
    assert_eq!(report.projections[0].failed_streams, 1);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    let collection = collection.replace(&staging, "States_Assets3");
    let now = db.one(&collection, &id).await.unwrap();
    assert!(!now.contains_key("stale"), "{now}");
}

#[tokio::test]
async fn what_arrives_late_is_not_taken_for_what_is_written_anew() {
    let server = OwnServer::start("late");
    arrives_late(&server, "late_snapshot", "STAGING", |stream| {
        doc! { "_id": stream.strip_prefix("asset-").unwrap(), "stale": true }
    })
    .await;
    arrives_late(&server, "late_heads", "Statefold_Heads", |_| {
        doc! { "_id": "Assets3/0/0", "Build": "Assets3", "Partition": 0, "Token": 1_i64, "stale": true }
    })
    .await;
    arrives_late(&server, "late_letter", "Statefold_DeadLetters", |_| {
        let stream = asset_stream("bad");
        doc! {
            "_id": format!("Assets3/{stream}"), "Build": "Assets3", "Partition": 0, "Token": 1_i64,
            "stale": true,
        }
    })
    .await;
}

#[tokio::test]
async fn a_conflict_of_another_unique_index_ends_the_rebuild_and_is_named() {
    let commits = generated(300, 92);
    let db = Db::new("conflict").await;
    db.write(&commits).await;
    let first = last_asset_stream(&commits);
    let (gated, gate) = Gate::assets(move |event| event.stream == first);
    let running = statefold::rebuild(&db.settings(tuning()), &gated, Rebuild::of(["Assets"]));
    gate.reached().await;
    let staging = db.staging("States_Assets3").await.unwrap();
    // No snapshot has this field: all of them conflict.
    let index = doc! { "key": { "nowhere": 1 }, "name": "one_of_a_kind", "unique": true };
    db.db.run_command(doc! { "createIndexes": staging, "indexes": [index] }).await.unwrap();
    gate.open();
    let error = running.await.unwrap_err();
    assert!(matches!(error, Error::Server { code: Some(11000), transient: false, .. }), "{error:?}");
    assert!(error.with_sources().contains("one_of_a_kind"), "{}", error.with_sources());
    db.assert_nothing_published().await;
}
