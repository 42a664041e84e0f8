//! Snapshots that others look up change: while these are built, before their cut-over, while they are
//! followed.

use std::sync::atomic::{AtomicU32, Ordering};

use bson::{Document, doc};
use statefold::{CutOverMode, Follow, Rebuild, Tuning, Verify};

use crate::support::database::eventually;
use crate::support::follow::{end, works};
use crate::support::gate::Gate;
use crate::support::orders::{Invoices, Orders, orders_registry, registry_with};
use crate::support::{Db, no_waiting};

/// Invoices of two orders, one of which doesn't exist yet.
async fn database(test: &str) -> Db {
    let db = Db::new(test).await;
    let streams: [(&str, &[&str]); 4] = [
        ("invoice-1", &["Sent"]),
        ("invoice-2", &["Sent"]),
        ("order-1", &["Placed"]),
        ("order-3", &["Placed"]),
    ];
    Orders::write(&db, &streams).await;
    db
}

async fn invoiced(db: &Db) -> Vec<Document> {
    let pointer = db.pointer("Invoices").await.unwrap();
    let collection = pointer.get_array("Collections").unwrap()[1].as_str().unwrap().to_owned();
    db.read(&collection).await.into_values().collect()
}

async fn comes_to(db: &Db, expected: &[Document]) {
    eventually("the invoiced orders", || async { invoiced(db).await == expected }).await;
}

fn order(id: &str, events: &[&str]) -> Document {
    doc! { "_id": id, "order": events }
}

#[tokio::test]
async fn an_invoice_follows_its_order() {
    let db = database("requires_follow").await;
    db.rebuild(&orders_registry(1), &[], no_waiting()).await.unwrap();
    assert_eq!(invoiced(&db).await, [order("1", &["Placed"])]);
    let following = statefold::follow(&db.settings(no_waiting()), &orders_registry(1), Follow::default());
    works(&following).await;
    Orders::append(&db, "order-1", 1, &["Returned"]).await;
    comes_to(&db, &[order("1", &["Placed", "Returned"])]).await;
    Orders::append(&db, "order-2", 0, &["Placed"]).await;
    comes_to(&db, &[order("1", &["Placed", "Returned"]), order("2", &["Placed"])]).await;
    db.collection("Journal").delete_many(doc! { "stream": "order-1" }).await.unwrap();
    comes_to(&db, &[order("2", &["Placed"])]).await;
    end(following).await;
}

#[tokio::test]
async fn an_invoice_follows_an_order_that_somebody_else_writes() {
    let db = database("requires_written").await;
    db.rebuild(&orders_registry(1), &[], no_waiting()).await.unwrap();
    let invoices = Follow { projections: vec!["Invoices".into()], ..Follow::default() };
    let following = statefold::follow(&db.settings(no_waiting()), &orders_registry(1), invoices);
    works(&following).await;
    for events in [["Placed", "Packed"], ["Placed", "Lost"]] {
        let written = doc! { "_id": "1", "events": events.to_vec() };
        db.collection("Orders1").replace_one(doc! { "_id": "1" }, written).await.unwrap();
        comes_to(&db, &[order("1", &events)]).await;
    }
    end(following).await;
}

#[tokio::test]
async fn orders_that_change_while_invoices_are_written_are_in_them() {
    let db = database("requires_build").await;
    // The first time it is asked for its order, which is loaded then.
    let asked = AtomicU32::new(0);
    let second = move |stream: &str| stream == "invoice-2" && asked.fetch_add(1, Ordering::SeqCst) == 1;
    let (invoices, gate) = Gate::snapshots_of(Invoices::new(), second);
    // No second fold that would find it.
    let tuning = Tuning { verify: Verify::Heads, ..no_waiting() };
    let building = statefold::rebuild(&db.settings(tuning), &registry_with(1, invoices), Rebuild::default());
    gate.reached().await;
    Orders::append(&db, "order-1", 1, &["Returned"]).await;
    Orders::append(&db, "order-2", 0, &["Placed"]).await;
    gate.open();
    building.await.unwrap();
    assert_eq!(invoiced(&db).await, [order("1", &["Placed", "Returned"]), order("2", &["Placed"])]);
}

#[tokio::test]
async fn a_build_that_waited_for_its_cut_over_has_the_present_orders() {
    let db = database("requires_postponed").await;
    let registry = orders_registry(1);
    for verify in [Verify::default(), Verify::Heads] {
        let settings = || db.settings(Tuning { verify, ..no_waiting() });
        db.rebuild(&registry, &["Orders"], no_waiting()).await.unwrap();
        let postponed = Rebuild { postpone: true, fresh: true, ..Rebuild::of(["Invoices"]) };
        statefold::rebuild(&settings(), &registry, postponed).await.unwrap();
        let events = db.collection("Journal").count_documents(doc! { "stream": "order-1" }).await.unwrap();
        Orders::append(&db, "order-1", i64::try_from(events).unwrap(), &["Moved"]).await;
        let again = Rebuild { fresh: true, ..Rebuild::of(["Orders"]) };
        statefold::rebuild(&settings(), &registry, again).await.unwrap();
        statefold::rebuild(&settings(), &registry, Rebuild::of(["Invoices"])).await.unwrap();
        let moved: Vec<&str> = std::iter::once("Placed")
            .chain(std::iter::repeat_n("Moved", usize::try_from(events).unwrap()))
            .collect();
        assert_eq!(invoiced(&db).await, [order("1", &moved)]);
    }
}

#[tokio::test]
async fn a_roll_back_looks_the_present_orders_up() {
    let db = database("requires_back").await;
    let registry = orders_registry(1);
    db.rebuild(&registry, &[], no_waiting()).await.unwrap();
    let again = Rebuild { fresh: true, ..Rebuild::of(["Invoices"]) };
    statefold::rebuild(&db.settings(no_waiting()), &registry, again).await.unwrap();
    Orders::append(&db, "order-1", 1, &["Returned"]).await;
    let orders = Rebuild { fresh: true, ..Rebuild::of(["Orders"]) };
    statefold::rebuild(&db.settings(no_waiting()), &registry, orders).await.unwrap();
    let tuning = Tuning { verify: Verify::Heads, ..no_waiting() };
    statefold::rollback(&db.settings(tuning), &registry, Rebuild::of(["Invoices"])).await.unwrap();
    assert_eq!(invoiced(&db).await, [order("1", &["Placed", "Returned"])]);
}

#[tokio::test]
async fn what_takes_another_name_at_the_cut_over_is_still_found() {
    let db = database("requires_rename").await;
    let registry = orders_registry(1);
    db.rebuild(&registry, &[], no_waiting()).await.unwrap();
    Orders::append(&db, "order-1", 1, &["Returned"]).await;
    let renamed = Rebuild { mode: Some(CutOverMode::Rename), fresh: true, ..Rebuild::default() };
    statefold::rebuild(&db.settings(no_waiting()), &registry, renamed).await.unwrap();
    assert_eq!(db.pointer("Orders").await.unwrap().get_str("Collection").unwrap(), "Orders1");
    assert_eq!(invoiced(&db).await, [order("1", &["Placed", "Returned"])]);
}

#[tokio::test]
async fn however_many_invoices_are_out_of_date_a_build_that_waited_is_cut_over() {
    let db = Db::new("requires_many").await;
    let names: Vec<String> = (0..1100).map(|number| format!("order-{number:04}")).collect();
    let invoices: Vec<String> = (0..1100).map(|number| format!("invoice-{number:04}")).collect();
    let events: &[&str] = &["Placed"];
    let streams: Vec<(&str, &[&str])> =
        names.iter().chain(&invoices).map(|name| (name.as_str(), events)).collect();
    Orders::write(&db, &streams).await;
    let registry = orders_registry(1);
    db.rebuild(&registry, &["Orders"], no_waiting()).await.unwrap();
    let settings = db.settings(no_waiting());
    let postponed = Rebuild { postpone: true, ..Rebuild::of(["Invoices"]) };
    statefold::rebuild(&settings, &registry, postponed).await.unwrap();
    for name in &names {
        Orders::append(&db, name, 1, &["Moved"]).await;
    }
    let again = Rebuild { fresh: true, ..Rebuild::of(["Orders"]) };
    statefold::rebuild(&settings, &registry, again).await.unwrap();
    statefold::rebuild(&settings, &registry, Rebuild::of(["Invoices"])).await.unwrap();
    let expected: Vec<Document> =
        names.iter().map(|name| order(name.strip_prefix("order-").unwrap(), &["Placed", "Moved"])).collect();
    assert_eq!(invoiced(&db).await, expected);
}
