//! A run that ends while it publishes: the next one finishes the work, or does it anew if it has to.

use bson::{Document, doc};
use statefold::Error;

use crate::support::commits::{generated, good_asset};
use crate::support::database::assert_same;
use crate::support::orders::{Orders, orders_registry};
use crate::support::server::stop_failing;
use crate::support::{Db, OwnServer, fail_command, no_waiting, oracle, squidex};

/// A database with a generation that has its final name, but no pointer: the update that sets it
/// failed, and the one that releases the lock.
async fn without_pointer(test: &str, commits: &[Document]) -> (OwnServer, Db) {
    let server = OwnServer::start(test);
    let db = Db::at(&server.uri, test).await;
    db.write(commits).await;
    let migration = format!("{}.Migration", db.name);
    let data = doc! { "failCommands": ["update"], "errorCode": 1, "namespace": migration };
    // The first update notes the fence.
    fail_command(&server.uri, &db.app, doc! { "skip": 1 }, data).await;
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
