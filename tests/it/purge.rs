//! A purge leaves the database as it was before the first rebuild.

use bson::{Document, doc};
use futures::TryStreamExt;
use statefold::{Error, Purge};

use crate::support::commits::{generated, good_asset};
use crate::support::{Db, Gate, no_waiting, squidex};

/// Everything that can be told of a database: collections with options, indexes and contents.
async fn everything(db: &Db) -> Vec<String> {
    let listed = db.db.run_cursor_command(doc! { "listCollections": 1 }).await.unwrap();
    let mut listed: Vec<Document> = listed.try_collect().await.unwrap();
    listed.sort_by_key(|one| one.get_str("name").unwrap().to_owned());
    let mut all = Vec::new();
    for mut one in listed {
        let name = one.get_str("name").unwrap().to_owned();
        let options = one.get_document_mut("options").unwrap();
        // A fence that was lifted leaves what is the same as nothing.
        for (option, value) in [
            ("validator", doc! {}.into()),
            ("validationLevel", bson::Bson::from("strict")),
            ("validationAction", "error".into()),
        ] {
            if options.get(option) == Some(&value) {
                options.remove(option);
            }
        }
        let indexes = db.db.run_cursor_command(doc! { "listIndexes": &name }).await.unwrap();
        let indexes: Vec<Document> = indexes.try_collect().await.unwrap();
        all.push(format!("{one} {indexes:?} {}", db.hash(&name).await));
    }
    all
}

async fn purge(db: &Db, force: bool) -> statefold::Result<statefold::CleanupReport> {
    statefold::purge(&db.settings(no_waiting()), &squidex(), Purge { force, really: true }).await
}

/// Rebuilds, an unfinished build and litter of a dead one.
async fn used(db: &Db) {
    db.rebuild(&squidex(), &[], no_waiting()).await.unwrap();
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let (registry, gate) = Gate::assets(|_| true);
    let request = statefold::Rebuild { fresh: true, ..statefold::Rebuild::of(["Assets"]) };
    let running = statefold::rebuild(&db.settings(no_waiting()), &registry, request);
    gate.reached().await;
    running.cancellation().cancel();
    gate.open();
    assert!(matches!(running.await, Err(Error::Interrupted)));
    db.collection("States_AssetFolders9__t1").insert_one(doc! { "_id": "late" }).await.unwrap();
}

#[tokio::test]
async fn a_database_of_squidex_is_as_it_was() {
    let db = Db::new("purge_squidex").await;
    db.write(&generated(300, 5)).await;
    db.collection("States_Assets2").insert_one(doc! { "_id": "theirs" }).await.unwrap();
    db.collection("States_Apps").insert_one(doc! { "_id": "theirs" }).await.unwrap();
    let version = doc! { "_id": "Default", "IsLocked": false, "Version": 27 };
    db.collection("Migration").insert_one(version).await.unwrap();
    let before = everything(&db).await;
    used(&db).await;

    let listed = statefold::purge(&db.settings(no_waiting()), &squidex(), Purge::default()).await.unwrap();
    let active = listed.items.iter().find(|item| item.name() == "States_Assets4").unwrap();
    assert!(active.eligible && active.reason.contains("ACTIVE"), "{active:?}");
    let theirs = listed.items.iter().find(|item| item.name() == "States_Assets2").unwrap();
    assert!(!theirs.eligible && theirs.reason.contains("not built by statefold"), "{theirs:?}");
    assert_ne!(everything(&db).await, before, "only listed");

    purge(&db, false).await.unwrap();
    assert_eq!(everything(&db).await, before);
    // And it can begin anew.
    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert_eq!(report.projections[0].generation, 3);
}

#[tokio::test]
async fn a_database_without_any_version_document_has_none_afterwards() {
    let db = Db::new("purge_plain").await;
    db.write(&good_asset("1")).await;
    let before = everything(&db).await;
    used(&db).await;
    purge(&db, false).await.unwrap();
    assert_eq!(everything(&db).await, before);
}

#[tokio::test]
async fn an_adopted_generation_and_one_under_the_name_of_the_application_stay() {
    let db = Db::new("purge_adopted").await;
    db.write(&good_asset("1")).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let builds = db.collection("Statefold_Builds");
    let adopted = doc! { "$set": { "Adopted": true } };
    builds.update_one(doc! { "_id": "Assets3" }, adopted).await.unwrap();
    // As the cut-over by renaming leaves it.
    let admin = db.db.client().database("admin");
    let (from, to) = (format!("{}.States_Assets4", db.name), format!("{}.States_Assets2", db.name));
    admin.run_command(doc! { "renameCollection": from, "to": to }).await.unwrap();
    let renamed = doc! { "$set": { "Targets.0.Collection": "States_Assets2" } };
    builds.update_one(doc! { "_id": "Assets4" }, renamed).await.unwrap();

    let error = purge(&db, false).await.unwrap_err();
    assert!(error.to_string().contains("stands under the application's own name"), "{error}");
    purge(&db, true).await.unwrap();
    let left: Vec<String> = db.collections().await;
    assert_eq!(left, ["Events2", "States_Assets2", "States_Assets3"]);
}

#[tokio::test]
async fn it_is_refused_while_servers_run_or_a_fence_stands() {
    let db = Db::new("purge_refused").await;
    db.write(&good_asset("1")).await;
    let before = everything(&db).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let instance = statefold::register_instance(&db.settings(no_waiting()), &squidex()).await.unwrap();
    let error = purge(&db, false).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { unless: "--force", .. }), "{error}");
    assert!(error.to_string().contains(&format!("(pid {}) runs", std::process::id())), "{error}");
    instance.close().await.unwrap();

    let record = doc! { "Statefold": "read-only", "Reason": "a backup", "Token": 1_i64, "FormerOptions": {} };
    let validator = doc! { "$expr": { "$and": [false, { "$literal": record }] } };
    db.db.run_command(doc! { "collMod": "Events2", "validator": validator }).await.unwrap();
    let error = purge(&db, false).await.unwrap_err();
    assert!(error.to_string().contains("fenced: read-only mode: a backup"), "{error}");
    assert!(db.pointer("Assets").await.is_some());

    purge(&db, true).await.unwrap();
    assert_eq!(everything(&db).await, before);
    db.append(&good_asset("2")).await;
}
