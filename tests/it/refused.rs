//! What can't be worked with is refused before anything is written.

use bson::doc;
use statefold::Error;

use crate::support::commits::good_asset;
use crate::support::{Db, no_waiting, squidex};

async fn refusal(db: &Db) -> String {
    let before = db.collections().await;
    let error = db.rebuild(&squidex(), &[], no_waiting()).await.unwrap_err();
    assert_eq!(db.collections().await, before);
    match error {
        Error::Unsupported(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn sharded_snapshots_are_refused_by_the_name_of_a_shard() {
    let db = Db::new("sharded").await;
    db.write(&good_asset("1")).await;
    db.collection("States_Assets2_0").insert_one(doc! { "_id": "a--1" }).await.unwrap();
    let reason = refusal(&db).await;
    assert!(reason.contains("States_Assets2_0") && reason.contains("assetShardCount"), "{reason}");
}

#[tokio::test]
async fn an_event_store_without_the_index_on_streams_is_refused_with_the_command_that_makes_it() {
    let db = Db::new("no_index").await;
    db.append(&good_asset("1")).await;
    let keys = doc! { "EventStream": 1, "Timestamp": 1 };
    let index = mongodb::IndexModel::builder().keys(keys).build();
    db.collection("Events2").create_index(index).await.unwrap();
    let reason = refusal(&db).await;
    let command = "db.Events2.createIndex({EventStream: 1, EventStreamOffset: -1}, {unique: true})";
    assert!(reason.contains(command), "{reason}");

    db.write(&[]).await;
    db.rebuild(&squidex(), &[], no_waiting()).await.unwrap();
}

#[tokio::test]
async fn an_unknown_projection_is_refused_with_the_names_of_the_known_ones() {
    let db = Db::new("unknown").await;
    db.write(&good_asset("1")).await;
    let error = db.rebuild(&squidex(), &["Asset"], no_waiting()).await.unwrap_err();
    assert!(matches!(error, Error::Registry(_)), "{error:?}");
    assert!(error.to_string().contains("Assets, AssetFolders"), "{error}");
}
