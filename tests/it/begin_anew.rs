//! Unfinished builds that are given up: by an operator, by `fresh`, or because the definition changed.

use statefold::{Error, Rebuild, Standing};

use crate::support::commits::{asset_stream, good_asset};
use crate::support::database::Db;
use crate::support::orders::{Orders, orders_registry};
use crate::support::{commit, no_waiting, squidex};

/// A database with a build of assets that was refused: one stream of two can't be folded.
async fn refused(test: &str) -> Db {
    let db = Db::new(test).await;
    db.write(&good_asset("1")).await;
    db.append(&[commit(&asset_stream("bad"), -1, &[("AssetCreatedEventV2", "{")])]).await;
    let error = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap_err();
    assert!(matches!(error, Error::FailedStreams { .. }), "{error:?}");
    db
}

async fn repair(db: &Db) {
    let bad = bson::doc! { "EventStream": asset_stream("bad") };
    db.collection("Events2").delete_many(bad).await.unwrap();
}

async fn state(db: &Db, build: &str) -> String {
    db.one("Statefold_Builds", build).await.unwrap().get_str("State").unwrap().to_owned()
}

async fn records_of(db: &Db, build: &str) -> u64 {
    let mut count = 0;
    for collection in ["Statefold_Checkpoints", "Statefold_Heads", "Statefold_DeadLetters"] {
        count += db.collection(collection).count_documents(bson::doc! { "Build": build }).await.unwrap();
    }
    count
}

#[tokio::test]
async fn abort_drops_staging_and_records_and_the_next_rebuild_begins_anew() {
    let db = refused("aborted").await;
    let settings = db.settings(no_waiting());
    let staging = db.staging("States_Assets3").await.unwrap();
    let shown = statefold::abort(&settings, &squidex(), &[], true).await.unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!((shown[0].build.as_str(), &shown[0].staging), ("Assets3", &vec![staging.clone()]));
    assert!(db.collections().await.contains(&staging));
    assert!(records_of(&db, "Assets3").await > 0);

    let aborted = statefold::abort(&settings, &squidex(), &["assets".into()], false).await.unwrap();
    assert_eq!((aborted[0].build.as_str(), &aborted[0].staging), ("Assets3", &vec![staging]));
    assert_eq!(db.staging("States_Assets3").await, None);
    assert_eq!((state(&db, "Assets3").await.as_str(), records_of(&db, "Assets3").await), ("aborted", 0));
    db.assert_unlocked().await;
    assert!(statefold::abort(&settings, &squidex(), &[], false).await.unwrap().is_empty());

    repair(&db).await;
    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert_eq!((report.projections[0].generation, report.projections[0].partitions_resumed), (4, 0));
}

#[tokio::test]
async fn a_fresh_rebuild_gives_up_the_unfinished_one() {
    let db = refused("fresh").await;
    repair(&db).await;
    let request = Rebuild { fresh: true, ..Rebuild::of(["Assets"]) };
    let report = statefold::rebuild(&db.settings(no_waiting()), &squidex(), request).await.unwrap();
    let built = &report.projections[0];
    assert_eq!((built.generation, built.partitions_resumed, built.snapshots), (4, 0, 1));
    assert_eq!(state(&db, "Assets3").await, "aborted");
    assert_eq!((db.staging("States_Assets").await, records_of(&db, "Assets3").await), (None, 0));
}

#[tokio::test]
async fn another_version_of_the_projection_does_not_resume_what_an_older_one_began() {
    let db = Db::new("new_version").await;
    Orders::write(&db, &[("order-1", &["Placed", "Broken"])]).await;
    let old = orders_registry(1);
    db.rebuild(&old, &["Orders"], no_waiting()).await.unwrap_err();
    let report = db.rebuild(&orders_registry(2), &["Orders"], no_waiting()).await;
    assert!(matches!(report, Err(Error::FailedStreams { .. })), "{report:?}");
    assert_eq!(
        (state(&db, "Orders1").await, state(&db, "Orders2").await),
        ("aborted".into(), "failed".into())
    );
    assert_eq!(db.staging("Orders1").await, None);
}

#[tokio::test]
async fn an_older_program_does_not_replace_what_a_newer_one_built() {
    let db = Db::new("older_program").await;
    Orders::write(&db, &[("order-1", &["Placed"])]).await;
    db.rebuild(&orders_registry(2), &[], no_waiting()).await.unwrap();
    let before = db.collections().await;
    let error = db.rebuild(&orders_registry(1), &[], no_waiting()).await.unwrap_err();
    assert!(matches!(error, Error::Newer { found: 2, known: 1, .. }), "{error:?}");
    assert_eq!(db.collections().await, before);
    assert_eq!(db.pointer("Orders").await.unwrap().get_str("Collection").unwrap(), "Orders1");
    db.assert_unlocked().await;
}

#[tokio::test]
async fn status_tells_of_an_unfinished_build_and_of_an_outdated_generation() {
    let db = Db::new("status").await;
    Orders::write(&db, &[("order-1", &["Placed"])]).await;
    let settings = db.settings(no_waiting());
    let standing = async |version| {
        let report = statefold::status(&settings, &orders_registry(version)).await.unwrap();
        (report.projections[0].state, report.projections[0].active_generation, report.is_behind())
    };
    assert_eq!(standing(1).await, (Standing::Behind, None, true));
    db.rebuild(&orders_registry(1), &[], no_waiting()).await.unwrap();
    assert_eq!(standing(1).await, (Standing::UpToDate, Some(1), false));
    assert_eq!(standing(2).await.0, Standing::Behind);
    db.rebuild(&orders_registry(2), &[], no_waiting()).await.unwrap();
    assert_eq!(standing(2).await.1, Some(2));
    assert_eq!(standing(1).await.0, Standing::Ahead);
    db.collection("Orders2").drop().await.unwrap();
    assert_eq!(standing(2).await.0, Standing::Broken);
}
