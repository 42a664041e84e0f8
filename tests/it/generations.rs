//! Generations: numbers, pointers, and everything that must stay as it was.

use bson::{Bson, Document, doc};

use crate::support::commits::{generated, good_asset};
use crate::support::database::assert_same;
use crate::support::{Db, no_waiting, oracle, squidex};

#[tokio::test]
async fn squidex_own_collection_and_the_event_store_stay_as_they_were() {
    let commits = generated(500, 3);
    let db = Db::new("first_generation").await;
    db.write(&commits).await;
    let live = doc! { "_id": "a--1", "id": "1", "fn": "live.png", "vs": 7_i64 };
    db.collection("States_Assets2").insert_one(&live).await.unwrap();
    let before = (db.hash("States_Assets2").await, db.hash("Events2").await);

    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();

    assert_eq!(report.projections[0].generation, 3);
    assert_eq!(report.projections[0].collections, ["States_Assets3"]);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    assert_eq!((db.hash("States_Assets2").await, db.hash("Events2").await), before);
    assert_eq!(db.collection("Events2").count_documents(doc! {}).await.unwrap(), 500);
    assert_eq!(db.one("States_Assets2", "a--1").await, Some(live));
}

#[tokio::test]
async fn a_second_rebuild_makes_the_next_generation_and_keeps_the_active_one() {
    let db = Db::new("second_generation").await;
    db.write(&good_asset("1")).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let first = db.pointer("Assets").await.unwrap();
    let hash = db.hash("States_Assets3").await;
    db.append(&good_asset("2")).await;

    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();

    assert_eq!(report.projections[0].generation, 4);
    assert_eq!(db.hash("States_Assets3").await, hash);
    assert_eq!((db.read("States_Assets3").await.len(), db.read("States_Assets4").await.len()), (1, 2));
    let pointer = |generation: i64, previous: Vec<Bson>, since: Bson| {
        let collection = format!("States_Assets{generation}");
        doc! {
            "Active": generation, "Mode": "pointer", "Collection": &collection, "Collections": [&collection],
            "ProjectionVersion": 1_i64, "Since": since, "Token": generation - 2, "Previous": previous,
        }
    };
    let since = |pointer: &Document| Bson::Timestamp(pointer.get_timestamp("Since").unwrap());
    assert_numbers_apart(&first, &pointer(3, vec![], since(&first)));
    let previous =
        doc! { "Generation": 3_i64, "Collections": ["States_Assets3"], "ProjectionVersion": 1_i64 };
    let second = db.pointer("Assets").await.unwrap();
    assert_numbers_apart(&second, &pointer(4, vec![previous.into()], since(&second)));
    assert!(first.get_timestamp("Since").unwrap() < second.get_timestamp("Since").unwrap());
    let state = |record: Document| record.get_str("State").unwrap().to_owned();
    let states = [
        state(db.one("Statefold_Builds", "Assets3").await.unwrap()),
        state(db.one("Statefold_Builds", "Assets4").await.unwrap()),
    ];
    assert_eq!(states, ["retired", "active"]);
    db.assert_unlocked().await;
}

/// Equal as JSON, in which it doesn't matter how wide a number is stored.
fn assert_numbers_apart(found: &Document, expected: &Document) {
    let json = |document: &Document| Bson::Document(document.clone()).into_relaxed_extjson().to_string();
    assert_eq!(json(found), json(expected));
}
