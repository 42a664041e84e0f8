//! An application of ours moves its own version along a path; that of Squidex is never written.

use bson::{Document, doc};
use futures::StreamExt;
use statefold::ErrorLimit;
use statefold::projections::Registry;
use statefold::{Error, Migrate, Outcome, Tuning};

use crate::starts::{assert_free, database, hash_of_ours, led, patient, refused, start};
use crate::support::commits::{APP, generated, good_asset};
use crate::support::{Db, commit, no_waiting, squidex};

/// Version 1 needs the assets, version 2 the folders too.
fn owner() -> Registry {
    let mut registry = squidex();
    registry.version(1, &["Assets"]).unwrap().version(2, &["AssetFolders"]).unwrap();
    registry
}

async fn version(db: &Db) -> i32 {
    db.one("Migration", "Default").await.unwrap().get_i32("Version").unwrap()
}

async fn set_version(db: &Db, version: i32) {
    let document = doc! { "_id": "Default", "IsLocked": false, "Version": version };
    db.collection("Migration").insert_one(document).await.unwrap();
}

/// An asset, and a folder that can't be folded.
fn with_a_broken_folder() -> Vec<Document> {
    let stream = format!("assetFolder-{APP}--broken");
    let mut commits = good_asset("1");
    commits.push(commit(&stream, -1, &[("AssetFolderCreatedEvent", "{")]));
    commits
}

#[tokio::test]
async fn the_version_moves_step_by_step_while_the_lock_is_held() {
    let db = database("steps", patient(), &generated(300, 2)).await;
    let mut changes = db.collection("Migration").watch().await.unwrap();
    let outcome = start(&db, &owner()).await.unwrap();
    let Outcome::Led { version: moved, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((moved, version(&db).await), (Some(2), 2));
    assert_free(&db).await;
    db.collection("Migration").insert_one(doc! { "_id": "end" }).await.unwrap();
    let (mut versions, mut locked) = (Vec::new(), false);
    loop {
        let change = changes.next().await.unwrap().unwrap();
        let id = change.document_key.unwrap().get_str("_id").unwrap().to_owned();
        let changed = match change.update_description {
            Some(description) => description.updated_fields,
            None => change.full_document.unwrap(),
        };
        if id == "end" {
            break;
        }
        if id == "Default" {
            locked = changed.get_bool("IsLocked").unwrap_or(locked);
            versions.extend(changed.get_i32("Version").ok().map(|version| (version, locked)));
        }
    }
    assert_eq!(versions, [(0, true), (1, true), (2, true)]);
    assert_eq!(start(&db, &owner()).await.unwrap(), Outcome::UpToDate);
}

#[tokio::test]
async fn a_projection_that_fails_keeps_the_version_where_the_path_still_holds() {
    let mut db = database("half_way", patient(), &with_a_broken_folder()).await;
    db.lease.attempts = 1;
    let error = refused(&db, &owner()).await;
    assert!(matches!(error, Error::BootFailed { attempts: 1, .. }), "{error:?}");
    assert_eq!(version(&db).await, 1);
    assert!(db.pointer("Assets").await.is_some() && db.pointer("AssetFolders").await.is_none());
    assert_free(&db).await;

    let tuning = Tuning { max_errors: ErrorLimit::Count(1), ..no_waiting() };
    let (_, report) = led(statefold::migrate(&db.settings(tuning), &owner(), Migrate::default())).await;
    let built: Vec<&str> = report.projections.iter().map(|one| one.projection.as_str()).collect();
    assert_eq!((built, version(&db).await), (vec!["AssetFolders"], 2));
}

#[tokio::test]
async fn a_version_that_stayed_behind_is_moved_although_nothing_is_to_be_built() {
    let db = database("only_version", patient(), &good_asset("1")).await;
    led(start(&db, &squidex())).await;
    let outcome = start(&db, &owner()).await.unwrap();
    let Outcome::Led { report: None, version: Some(2), .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(version(&db).await, 2);
    assert_free(&db).await;
}

#[tokio::test]
async fn the_registry_of_squidex_never_writes_the_version() {
    let db = database("version_of_squidex", patient(), &good_asset("1")).await;
    set_version(&db, 27).await;
    let before = db.one("Migration", "Default").await;
    led(start(&db, &squidex())).await;
    assert_eq!(db.one("Migration", "Default").await, before);
}

#[tokio::test]
async fn a_version_beyond_the_path_is_refused_and_nothing_is_written() {
    let db = database("beyond", patient(), &good_asset("1")).await;
    set_version(&db, 5).await;
    let before = hash_of_ours(&db).await;
    let error = refused(&db, &owner()).await;
    assert!(matches!(error, Error::Newer { found: 5, known: 2, .. }), "{error:?}");
    assert_eq!(hash_of_ours(&db).await, before);
}
