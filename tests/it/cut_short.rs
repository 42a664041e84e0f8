//! A run that ends while it publishes: the next one finishes the work, or does it anew if it has to.

use bson::{Document, doc};
use statefold::{Error, Rebuild, Verification};

use crate::support::commits::{asset_renamed, generated, good_asset, last_asset_stream, next_offset};
use crate::support::database::assert_same;
use crate::support::orders::{Orders, orders_registry};
use crate::support::server::stop_failing;
use crate::support::{Db, OwnServer, commit, fail_command, no_waiting, oracle, squidex};

/// A database with a generation that has its final name, but no pointer: the update that sets it
/// failed, and the one that releases the lock.
async fn without_pointer(test: &str, commits: &[Document]) -> (OwnServer, Db) {
    let server = OwnServer::start(test);
    let db = Db::at(&server.uri, test).await;
    db.write(commits).await;
    let migration = format!("{}.Migration", db.name);
    let data = doc! { "failCommands": ["update"], "errorCode": 1, "namespace": migration };
    fail_command(&server.uri, &db.app, doc! { "times": 1_000_000 }, data).await;
    let error = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap_err();
    assert!(matches!(error, Error::Server { code: Some(1), .. }), "{error:?}");
    stop_failing(&server.uri).await;
    assert_eq!(db.pointer("Assets").await, None);
    assert_eq!(db.read("States_Assets3").await, oracle::assets(commits));
    assert_eq!(state(&db, "Assets3").await, "published");
    (server, db)
}

async fn state(db: &Db, build: &str) -> String {
    db.one("Statefold_Builds", build).await.unwrap().get_str("State").unwrap().to_owned()
}

#[tokio::test]
async fn a_published_generation_without_pointer_is_made_active_by_the_next_run() {
    let commits = generated(600, 51);
    let (_server, db) = without_pointer("no_pointer", &commits).await;
    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let built = &report.projections[0];
    assert_eq!((built.generation, built.partitions_resumed), (3, built.partitions));
    assert_eq!(db.pointer("Assets").await.unwrap().get_str("Collection").unwrap(), "States_Assets3");
    assert_eq!(state(&db, "Assets3").await, "active");
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    db.assert_unlocked().await;
}

#[tokio::test]
async fn a_published_generation_without_pointer_catches_up_before_it_is_made_active() {
    let mut commits = generated(600, 52);
    let (_server, db) = without_pointer("out_of_date", &commits).await;
    let late = good_asset("late");
    db.append(&late).await;
    commits.extend(late);
    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let built = &report.projections[0];
    assert_eq!((built.generation, built.partitions_resumed), (3, built.partitions));
    assert_eq!(built.streams_refolded, 1);
    assert_eq!(state(&db, "Assets3").await, "active");
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn a_refold_that_was_cut_short_on_a_standalone_server_is_done_anew() {
    let mut commits = generated(600, 53);
    let server = OwnServer::start_with("cut_alone", &["--standalone"]);
    let db = Db::at(&server.uri, "cut_alone").await;
    db.write(&commits).await;
    let settings = db.settings(no_waiting());
    let postponed = Rebuild { postpone: true, ..Rebuild::of(["Assets"]) };
    statefold::rebuild(&settings, &squidex(), postponed).await.unwrap();
    let stream = last_asset_stream(&commits);
    let event = asset_renamed("x", "late.png");
    let late = commit(&stream, next_offset(&commits, &stream), &[("AssetAnnotatedEvent", &event)]);
    db.append(std::slice::from_ref(&late)).await;
    commits.push(late);
    // Neither snapshot nor head is written; digest and counts are.
    let staging = format!("{}.States_Assets3__t2", db.name);
    let data = doc! { "failCommands": ["update"], "errorCode": 1, "namespace": staging };
    fail_command(&server.uri, &db.app, doc! { "times": 1 }, data).await;
    let error = statefold::cutover(&settings, &squidex(), Rebuild::default()).await.unwrap_err();
    assert!(matches!(error, Error::Server { code: Some(1), .. }), "{error:?}");
    assert_eq!(stop_failing(&server.uri).await, 1);
    assert_eq!(db.pointer("Assets").await, None);

    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let built = &report.projections[0];
    assert_eq!((built.generation, built.partitions - built.partitions_resumed), (3, 1), "{built:?}");
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    let verified = statefold::verify(&settings, &squidex(), Verification::default()).await.unwrap();
    assert_eq!(verified.projections[0].digest.as_ref(), Some(&built.digest));
}

#[tokio::test]
async fn a_run_that_named_one_target_of_two_is_finished_by_the_next_one() {
    let server = OwnServer::start("one_of_two");
    let db = Db::at(&server.uri, "one_of_two").await;
    Orders::write(&db, &[("order-1", &["Placed"]), ("invoice-1", &["Sent", "Paid"])]).await;
    db.rebuild(&orders_registry(1), &["Orders"], no_waiting()).await.unwrap();
    let data = doc! { "failCommands": ["renameCollection"], "errorCode": 1 };
    fail_command(&server.uri, &db.app, doc! { "skip": 1 }, data).await;
    let error = db.rebuild(&orders_registry(1), &["Invoices"], no_waiting()).await.unwrap_err();
    assert!(matches!(error, Error::Server { code: Some(1), .. }), "{error:?}");
    stop_failing(&server.uri).await;
    let names = db.collections().await;
    assert!(names.iter().any(|name| name == "Invoices1"), "{names:?}");
    assert!(!names.iter().any(|name| name == "InvoicedOrders1"), "{names:?}");
    assert_eq!(db.pointer("Invoices").await, None);
    db.assert_unlocked().await;

    let report = db.rebuild(&orders_registry(1), &["Invoices"], no_waiting()).await.unwrap();
    let built = &report.projections[0];
    assert_eq!(built.collections, ["Invoices1", "InvoicedOrders1"]);
    assert_eq!(built.partitions_resumed, built.partitions);
    assert_eq!(db.read("Invoices1").await["1"], doc! { "_id": "1", "number": "1", "events": 2_i64 });
    assert_eq!(db.read("InvoicedOrders1").await["1"], doc! { "_id": "1", "order": ["Placed"] });
    assert_eq!(db.staging("Invoice").await, None);
}
