//! A migration that can't succeed: tried as often as allowed, and what is good is published all the
//! same.

use bson::Document;
use statefold::{Error, Migrate};

use crate::starts::{assert_free, database, led, newest_token, patient, start};
use crate::support::commits::{APP, asset_created, asset_stream, generated, good_asset};
use crate::support::database::assert_same;
use crate::support::{Db, Gate, commit, no_waiting, oracle, squidex};

fn broken_folder() -> Document {
    commit(&format!("assetFolder-{APP}--broken"), -1, &[("AssetFolderCreatedEvent", "{")])
}

fn broken_asset() -> Document {
    let created = asset_created("broken").replace("\"appId\"", "\"x\"");
    commit(&asset_stream("broken"), -1, &[("AssetCreatedEventV2", &created)])
}

/// A database whose servers try twice.
async fn trying_twice(test: &str, mut commits: Vec<Document>, broken: Document) -> Db {
    commits.push(broken);
    let mut db = database(test, patient(), &commits).await;
    db.lease.attempts = 2;
    db
}

/// Asserts that a start failed after two attempts, because of this projection.
fn assert_boot_failed(error: Error, projection: &str) {
    let Error::BootFailed { attempts, first } = error else { panic!("{error:?}") };
    assert_eq!(attempts, 2);
    let Error::FailedStreams { projection: of, failed_streams, .. } = *first else { panic!("{first:?}") };
    assert_eq!((of.as_str(), failed_streams), (projection, 1));
}

#[tokio::test]
async fn a_start_fails_after_its_attempts_with_the_first_cause() {
    let db = trying_twice("boot_failed", good_asset("1"), broken_asset()).await;
    assert_boot_failed(start(&db, &squidex()).await.unwrap_err(), "Assets");
    assert_eq!(newest_token(&db).await, 2);
    assert_eq!(db.pointer("Assets").await, None);
    assert_free(&db).await;
}

#[tokio::test]
async fn the_first_projection_is_published_although_the_second_fails() {
    let commits = generated(500, 11);
    let db = trying_twice("second_fails", commits.clone(), broken_folder()).await;
    assert_boot_failed(start(&db, &squidex()).await.unwrap_err(), "AssetFolders");
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    assert_eq!(db.pointer("Assets").await.unwrap().get_i64("Active").unwrap(), 3);
    assert_eq!(db.pointer("AssetFolders").await, None);
    // The second attempt has built no assets again.
    assert_eq!(db.read("Statefold_Builds").await.keys().collect::<Vec<_>>(), ["AssetFolders3", "Assets3"]);
}

#[tokio::test]
async fn the_second_projection_is_published_although_the_first_fails() {
    let commits = generated(500, 12);
    let db = trying_twice("first_fails", commits.clone(), broken_asset()).await;
    assert_boot_failed(start(&db, &squidex()).await.unwrap_err(), "Assets");
    assert_same(&db.read("States_AssetFolders3").await, &oracle::asset_folders(&commits));
    assert_eq!(db.pointer("AssetFolders").await.unwrap().get_i64("Active").unwrap(), 3);
    assert_eq!(db.pointer("Assets").await, None);
}

#[tokio::test]
async fn each_follower_tries_as_often_and_fails_too() {
    let db = trying_twice("all_fail", good_asset("1"), broken_asset()).await;
    let starting: Vec<_> = (0..3).map(|_| start(&db, &squidex())).collect();
    for one in starting {
        assert_boot_failed(one.await.unwrap_err(), "Assets");
    }
    assert_eq!(newest_token(&db).await, 6);
    assert_free(&db).await;
}

#[tokio::test]
async fn a_migration_that_panics_gives_lease_and_lock_back() {
    let mut db = database("panics", patient(), &good_asset("1")).await;
    db.lease.attempts = 1;
    let (panicking, _gate) = Gate::assets(|_| panic!("a fault of the projection"));
    let error = start(&db, &panicking).await.unwrap_err();
    let Error::BootFailed { attempts: 1, first } = error else { panic!("{error:?}") };
    assert!(matches!(*first, Error::Bug(_)), "{first:?}");
    assert_free(&db).await;
    // The build is kept, and another server goes on with it.
    let (token, report) = led(start(&db, &squidex())).await;
    assert_eq!((token, report.projections[0].generation), (2, 3));
}

#[tokio::test]
async fn the_hook_does_not_run_where_the_start_failed() {
    let db = trying_twice("no_hook", good_asset("1"), broken_asset()).await;
    let hook = Migrate::default().then(|_| async { panic!("the data are not there") });
    let error = statefold::migrate(&db.settings(no_waiting()), &squidex(), hook).await.unwrap_err();
    assert_boot_failed(error, "Assets");
}
