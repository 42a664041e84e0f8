//! A database that a newer program has migrated: an older one serves what it can read and writes
//! nothing, or refuses.

use bson::doc;
use statefold::{Behind, Error, Outcome};

use crate::process::{Process, SHORT};
use crate::starts::{database, hash_of_ours, led, patient, refused, start};
use crate::support::commits::generated;
use crate::support::database::assert_same;
use crate::support::versions::assets_of;
use crate::support::{Db, no_waiting, oracle};

/// A database that version 1 and then version 2 have migrated: generations 3 and 4.
async fn migrated_twice(test: &str) -> Db {
    let commits = generated(400, 9);
    let db = database(test, patient(), &commits).await;
    led(start(&db, &assets_of(1))).await;
    let (_, report) = led(start(&db, &assets_of(2))).await;
    assert_eq!((report.projections[0].generation, report.projections[0].projection_version), (4, 2));
    assert_same(&db.read("States_Assets4").await, &oracle::assets(&commits));
    db
}

#[tokio::test]
async fn an_old_server_serves_the_former_generation_and_writes_nothing() {
    let db = migrated_twice("serving").await;
    let before = hash_of_ours(&db).await;
    let outcome = start(&db, &assets_of(1)).await.unwrap();
    let behind = Behind { projection: "Assets".into(), registered: 1, active: 2, generation: 3 };
    assert_eq!(outcome, Outcome::Serving { behind: vec![behind] });
    assert_eq!(hash_of_ours(&db).await, before);
    let settings = db.settings(no_waiting());
    let active = statefold::active_generation(&settings, &assets_of(1), "Assets").await.unwrap().unwrap();
    assert_eq!(active.collection_of(1), Some("States_Assets3"));
    assert_eq!(active.collection_of(2), Some("States_Assets4"));
}

#[tokio::test]
async fn an_old_server_that_can_read_nothing_any_more_refuses_and_writes_nothing() {
    let db = migrated_twice("refused").await;
    db.collection("States_Assets3").drop().await.unwrap();
    let before = hash_of_ours(&db).await;
    let error = refused(&db, &assets_of(1)).await;
    assert!(matches!(error, Error::Newer { found: 2, known: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("the active generation of Assets is of version 2"), "{error}");
    assert_eq!(hash_of_ours(&db).await, before);
}

#[tokio::test]
async fn the_program_ends_well_while_it_may_serve_and_with_8_when_it_can_read_nothing() {
    let db = migrated_twice("exit_codes").await;
    let before = hash_of_ours(&db).await;
    let outcome = Process::start(&db, &["migrate"], SHORT).ended().await.json(0);
    assert_eq!((&outcome["outcome"], &outcome["behind"][0]["generation"]), (&"serving".into(), &3.into()));
    assert_eq!(hash_of_ours(&db).await, before);
    db.collection("States_Assets3").drop().await.unwrap();
    let before = hash_of_ours(&db).await;
    let ended = Process::start(&db, &["migrate"], SHORT).ended().await.json(8);
    assert_eq!(ended["error"]["code"], "newer_format", "{ended}");
    assert_eq!(hash_of_ours(&db).await, before);
}

#[tokio::test]
async fn the_newer_server_goes_on_as_if_the_older_had_never_started() {
    let db = migrated_twice("newer_again").await;
    start(&db, &assets_of(1)).await.unwrap();
    assert_eq!(start(&db, &assets_of(2)).await.unwrap(), Outcome::UpToDate);
    assert_eq!(db.collection("Statefold_Builds").count_documents(doc! {}).await.unwrap(), 2);
}
