//! Running servers are listed with what they can read, and are gone when they end, however they end.

use std::time::Duration;

use bson::doc;
use statefold::{Instance, InstanceRow};

use crate::starts::{ms, patient};
use crate::support::database::eventually;
use crate::support::versions::assets_of;
use crate::support::{Db, no_waiting, squidex};

/// A database whose servers are gone after 600 ms without a heartbeat.
async fn database(test: &str) -> Db {
    let mut db = Db::new(test).await;
    db.lease = patient();
    db.lease.poll = ms(200);
    db
}

async fn listed(db: &Db) -> Vec<InstanceRow> {
    statefold::instances(&db.settings(no_waiting()), &squidex()).await.unwrap()
}

async fn is_listed(db: &Db, id: &str) -> bool {
    listed(db).await.iter().any(|one| one.id == id)
}

async fn register(db: &Db) -> Instance {
    statefold::register_instance(&db.settings(no_waiting()), &squidex()).await.unwrap()
}

#[tokio::test]
async fn a_running_server_is_listed_with_what_it_can_read() {
    let mut db = database("instance_listed").await;
    // Beyond any hiccup of the machine.
    db.lease.poll = Duration::from_secs(60);
    let settings = db.settings(no_waiting()).with_read_only(true);
    let instance = statefold::register_instance(&settings, &assets_of(4)).await.unwrap();
    let other = register(&db).await;
    let all = listed(&db).await;
    assert_eq!(all.len(), 2);
    let row = all.iter().find(|one| one.id == instance.id()).unwrap();
    assert_eq!((row.pid, row.version.as_str()), (Some(std::process::id()), env!("CARGO_PKG_VERSION")));
    assert_eq!(row.reads.iter().collect::<Vec<_>>(), [(&"Assets".to_owned(), &vec![4])]);
    assert!(row.read_only && row.started.is_some() && !row.host.is_empty());
    let row = all.iter().find(|one| one.id == other.id()).unwrap();
    assert_eq!(row.reads.keys().collect::<Vec<_>>(), ["AssetFolders", "Assets"]);
    assert!(!row.read_only);
    let status = statefold::status(&db.settings(no_waiting()), &squidex()).await.unwrap();
    assert_eq!(
        status.instances.iter().map(|one| &one.id).collect::<Vec<_>>(),
        all.iter().map(|one| &one.id).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_server_that_goes_on_stays_listed_by_its_heartbeats() {
    let db = database("instance_beats").await;
    let instance = register(&db).await;
    let beats = || async { db.one("Statefold_Instances", instance.id()).await.unwrap() };
    let first = beats().await;
    eventually("two heartbeats", || async {
        let (former, now) = (first.get_datetime("GoneAt").unwrap(), beats().await);
        now.get_datetime("Heartbeat").unwrap() > former
    })
    .await;
    eventually("the instance in the list", || is_listed(&db, instance.id())).await;
    let now = beats().await;
    assert_eq!(now.get_datetime("StartedAt").unwrap(), first.get_datetime("StartedAt").unwrap());
}

#[tokio::test]
async fn a_server_that_is_closed_is_gone_at_once() {
    let db = database("instance_closed").await;
    let instance = register(&db).await;
    let id = instance.id().to_owned();
    instance.close().await.unwrap();
    assert_eq!(db.one("Statefold_Instances", &id).await, None);
    assert!(listed(&db).await.is_empty());
}

#[tokio::test]
async fn a_server_that_dies_is_no_longer_listed_when_its_time_is_over() {
    let db = database("instance_dropped").await;
    let instance = register(&db).await;
    let id = instance.id().to_owned();
    drop(instance);
    eventually("the instance to be gone", || async { !is_listed(&db, &id).await }).await;
}

#[tokio::test]
async fn a_dead_server_is_left_out_although_its_document_is_still_there() {
    let db = database("instance_left_out").await;
    let mut document = doc! { "_id": "dead", "Format": 1, "Host": "elsewhere", "Pid": 7_i64, "Reads": {} };
    // Without an index nobody removes it.
    for (gone_in_ms, listed_now) in [(-1000, false), (60_000, true)] {
        let gone_at = bson::DateTime::from_millis(bson::DateTime::now().timestamp_millis() + gone_in_ms);
        document.insert("GoneAt", gone_at);
        let instances = db.collection("Statefold_Instances");
        instances.replace_one(doc! { "_id": "dead" }, &document).upsert(true).await.unwrap();
        assert_eq!(is_listed(&db, "dead").await, listed_now);
        let status = statefold::status(&db.settings(no_waiting()), &squidex()).await.unwrap();
        assert_eq!(!status.instances.is_empty(), listed_now);
    }
}

#[tokio::test]
async fn documents_of_dead_servers_are_removed_by_the_server() {
    let db = database("instance_ttl").await;
    let instance = register(&db).await;
    let mut indexes = db.collection("Statefold_Instances").list_indexes().await.unwrap();
    let mut found = None;
    while indexes.advance().await.unwrap() {
        let index = indexes.deserialize_current().unwrap();
        if index.keys == doc! { "GoneAt": 1 } {
            found = index.options.unwrap().expire_after;
        }
    }
    assert_eq!(found, Some(Duration::ZERO));
    // What it compares with is a time of the server, in the future while the instance lives.
    let row = db.one("Statefold_Instances", instance.id()).await.unwrap();
    assert!(row.get_datetime("GoneAt").unwrap() > row.get_datetime("Heartbeat").unwrap());
    instance.close().await.unwrap();
}
