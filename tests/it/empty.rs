//! Nothing to do: an event store without assets, and a database without event store.

use mongodb::IndexModel;

use futures::TryStreamExt;

use crate::support::{Db, commit, no_waiting, squidex};

#[tokio::test]
async fn streams_of_other_kinds_give_an_empty_generation_with_its_indexes() {
    let db = Db::new("other_streams").await;
    db.write(&[commit("content-a--1", -1, &[("ContentCreatedEventV2", "{}")])]).await;
    let report = db.rebuild(&squidex(), &[], no_waiting()).await.unwrap();
    let built: Vec<(u32, u64, u64)> =
        report.projections.iter().map(|built| (built.generation, built.commits, built.snapshots)).collect();
    assert_eq!(built, [(3, 0, 0), (3, 0, 0)]);
    for (collection, indexes) in [("States_Assets3", 5), ("States_AssetFolders3", 2)] {
        assert!(db.read(collection).await.is_empty());
        let cursor = db.collection(collection).list_indexes().await.unwrap();
        let found: Vec<IndexModel> = cursor.try_collect().await.unwrap();
        assert_eq!(found.len(), indexes, "{collection}");
    }
    assert!(db.pointer("Assets").await.is_some() && db.pointer("AssetFolders").await.is_some());
}

#[tokio::test]
async fn a_database_without_event_store_is_not_made_and_others_are_named() {
    let other = Db::new("has_events").await;
    other.write(&[commit("content-a--1", -1, &[("ContentCreatedEventV2", "{}")])]).await;
    let db = Db::new("no_events").await;
    let report = db.rebuild(&squidex(), &[], no_waiting()).await.unwrap();
    assert!(report.projections.is_empty());
    assert!(report.databases_with_events.contains(&other.name), "{report:?}");
    assert!(!report.databases_with_events.contains(&db.name), "{report:?}");
    let databases = db.db.client().list_database_names().await.unwrap();
    assert!(!databases.contains(&db.name), "{databases:?}");
}
