//! Another application's event store: own layout, two targets, one projection that requires another.

use bson::{Document, doc};
use statefold::{Error, Tuning};

use crate::support::Db;
use crate::support::orders::{Orders, orders_registry};

fn tuning() -> Tuning {
    Tuning { partitions: Some(3), batch_commits: 2, ..Tuning::default() }
}

async fn database(test: &str) -> Db {
    let db = Db::new(test).await;
    let streams: [(&str, &[&str]); 5] = [
        ("invoice-1", &["Sent", "Paid", "Archived"]),
        ("invoice-2", &["Sent"]),
        ("order-1", &["Placed", "Packed", "Delivered"]),
        ("order-3", &["Placed"]),
        ("refund-1", &["Asked"]),
    ];
    Orders::write(&db, &streams).await;
    db
}

async fn read(db: &Db, collection: &str) -> Vec<Document> {
    db.read(collection).await.into_values().collect()
}

#[tokio::test]
async fn two_targets_and_a_required_projection_are_built_in_one_run() {
    let db = database("orders").await;
    let report = db.rebuild(&orders_registry(1), &[], tuning()).await.unwrap();
    let built: Vec<(&str, u64, u64)> = report
        .projections
        .iter()
        .map(|built| (built.projection.as_str(), built.streams, built.snapshots))
        .collect();
    assert_eq!(built, [("Orders", 2, 2), ("Invoices", 2, 3)]);
    assert_eq!(
        read(&db, "Orders1").await,
        [
            doc! { "_id": "1", "events": ["Placed", "Packed", "Delivered"] },
            doc! { "_id": "3", "events": ["Placed"] }
        ]
    );
    assert_eq!(
        read(&db, "Invoices1").await,
        [
            doc! { "_id": "1", "number": "1", "events": 3_i64 },
            doc! { "_id": "2", "number": "2", "events": 1_i64 }
        ]
    );
    let invoiced = doc! { "_id": "1", "order": ["Placed", "Packed", "Delivered"] };
    assert_eq!(read(&db, "InvoicedOrders1").await, [invoiced]);
    let pointer = db.pointer("Invoices").await.unwrap();
    let collections: Vec<&str> =
        pointer.get_array("Collections").unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(collections, ["Invoices1", "InvoicedOrders1"]);
}

#[tokio::test]
async fn a_required_projection_is_taken_from_its_active_generation() {
    let db = database("orders_active").await;
    let error = db.rebuild(&orders_registry(1), &["Invoices"], tuning()).await.unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
    assert!(error.to_string().contains("Invoices requires Orders"), "{error}");
    db.rebuild(&orders_registry(1), &["Orders"], tuning()).await.unwrap();
    db.rebuild(&orders_registry(1), &["Invoices"], tuning()).await.unwrap();
    let invoiced = doc! { "_id": "1", "order": ["Placed", "Packed", "Delivered"] };
    let collection = db.pointer("Invoices").await.unwrap().get_array("Collections").unwrap()[1].clone();
    assert_eq!(read(&db, collection.as_str().unwrap()).await, [invoiced]);
}
