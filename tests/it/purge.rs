//! A purge leaves the database as it was before the first rebuild.

use bson::{Document, doc};
use futures::TryStreamExt;
use statefold::{Adopt, Cleanup, CleanupSettings, CutOverMode, Error, Insistence, Purge, Rebuild};

use crate::support::commits::{generated, good_asset};
use crate::support::database::assert_same;
use crate::support::{Db, Gate, no_waiting, oracle, squidex};

/// Everything that can be told of a database: collections with options, indexes and contents.
async fn everything(db: &Db) -> Vec<String> {
    let listed = db.db.run_cursor_command(doc! { "listCollections": 1 }).await.unwrap();
    let mut listed: Vec<Document> = listed.try_collect().await.unwrap();
    listed.sort_by_key(|one| one.get_str("name").unwrap().to_owned());
    let mut all = Vec::new();
    for mut one in listed {
        let name = one.get_str("name").unwrap().to_owned();
        // The server's own, empty once there are no views.
        if name == "system.views" {
            continue;
        }
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
    statefold::purge(&db.settings(no_waiting()), &squidex(), Purge { force, dry_run: false }).await
}

/// Rebuilds, an unfinished build and litter of a dead one.
async fn used(db: &Db) {
    db.rebuild(&squidex(), &[], no_waiting()).await.unwrap();
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let (registry, gate) = Gate::assets(|_| true);
    let request = Rebuild { fresh: true, ..Rebuild::of(["Assets"]) };
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
    let commits = generated(300, 6);
    db.write(&commits).await;
    let snapshots = oracle::assets(&commits);
    db.collection("States_Assets2").insert_many(snapshots.clone().into_values()).await.unwrap();
    let settings = db.settings(no_waiting());
    let collections = vec!["States_Assets2".to_owned()];
    let adopt = Adopt { projection: "Assets".into(), collections, dry_run: false, ..Adopt::default() };
    statefold::adopt(&settings, &squidex(), adopt).await.unwrap();
    let by_rename = Rebuild { mode: Some(CutOverMode::Rename), ..Rebuild::of(["Assets"]) };
    statefold::rebuild(&settings, &squidex(), by_rename).await.unwrap();
    assert_eq!(db.pointer("Assets").await.unwrap().get_str("Collection").unwrap(), "States_Assets2");

    // Clean-up keeps the copy of the adopted one, whatever is kept, unless it is named in full.
    let none = CleanupSettings { keep: 0, ..CleanupSettings::default() };
    let settings = settings.with_cleanup(none);
    let really = |collections: Vec<String>| Cleanup { collections, dry_run: false, ..Cleanup::default() };
    let report = statefold::cleanup(&settings, &squidex(), really(Vec::new())).await.unwrap();
    let copy = report.items.iter().find(|item| item.name() == "States_Assets2__g2").unwrap();
    assert!(!copy.eligible && copy.reason.contains("adopted"), "{copy:?}");

    let error = purge(&db, false).await.unwrap_err();
    assert!(error.to_string().contains("stands under the application's own name"), "{error}");
    purge(&db, true).await.unwrap();
    assert_eq!(db.collections().await, ["Events2", "States_Assets2", "States_Assets2__g2"]);
    assert_same(&db.read("States_Assets2").await, &snapshots);
    // Now nobody knows whose the copy is: it still goes only if it is named in full.
    let report = statefold::cleanup(&settings, &squidex(), really(Vec::new())).await.unwrap();
    assert!(report.items.iter().all(|item| !item.eligible) && report.items.len() == 2, "{report:#?}");
    let named = really(vec!["States_Assets2__g2".into()]);
    statefold::cleanup(&settings, &squidex(), named).await.unwrap();
    assert!(!db.collections().await.contains(&"States_Assets2__g2".to_owned()));
}

#[tokio::test]
async fn a_view_that_was_switched_goes_too() {
    let db = Db::new("purge_view").await;
    db.write(&good_asset("1")).await;
    let before = everything(&db).await;
    let by_view = || Rebuild { mode: Some(CutOverMode::View), ..Rebuild::of(["Assets"]) };
    for _ in 0..3 {
        statefold::rebuild(&db.settings(no_waiting()), &squidex(), by_view()).await.unwrap();
    }
    // Clean-up takes what readers have left.
    let really = Cleanup { dry_run: false, ..Cleanup::default() };
    statefold::cleanup(&db.settings(no_waiting()), &squidex(), really).await.unwrap();
    assert!(!db.collections().await.contains(&"States_Assets3".to_owned()));
    assert_eq!(db.read("States_Assets").await.len(), 1);
    purge(&db, false).await.unwrap();
    assert_eq!(everything(&db).await, before);
}

#[tokio::test]
async fn it_is_refused_while_servers_run_or_a_fence_stands() {
    let db = Db::new("purge_refused").await;
    db.write(&good_asset("1")).await;
    let before = everything(&db).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let instance = statefold::register_instance(&db.settings(no_waiting()), &squidex()).await.unwrap();
    let error = purge(&db, false).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { unless: Insistence::Force, .. }), "{error}");
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
