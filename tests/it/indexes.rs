//! The index that the event store is read by has to be one that can be asked for by its keys.

use bson::{Document, doc};
use statefold::{Error, Strategy, Tuning};

use crate::support::commits::{generated, good_asset};
use crate::support::database::assert_same;
use crate::support::{Db, no_waiting, oracle, squidex};

#[tokio::test]
async fn the_right_one_of_several_indexes_on_the_same_fields_is_used() {
    let commits = generated(300, 85);
    let db = Db::new("two_indexes").await;
    let keys = || doc! { "EventStream": 1, "EventStreamOffset": -1 };
    for (name, mut index) in [
        ("partial", doc! { "partialFilterExpression": { "EventsCount": { "$gt": 5 } } }),
        ("sparse", doc! { "sparse": true }),
        ("collated", doc! { "collation": { "locale": "de" } }),
    ] {
        index.extend(doc! { "key": keys(), "name": name });
        db.db.run_command(doc! { "createIndexes": "Events2", "indexes": [index] }).await.unwrap();
    }
    db.write(&commits).await;
    for (strategy, generation) in [Strategy::Natural, Strategy::Stream].into_iter().zip(3..) {
        let tuning = Tuning { strategy: Some(strategy), ..no_waiting() };
        db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
        assert_same(&db.read(&format!("States_Assets{generation}")).await, &oracle::assets(&commits));
    }
}

#[tokio::test]
async fn streams_that_differ_by_case_stay_apart_where_the_collection_ignores_case() {
    let db = Db::new("ignores_case").await;
    let collation = doc! { "locale": "en", "strength": 2 };
    db.db.run_command(doc! { "create": "Events2", "collation": collation }).await.unwrap();
    let keys = doc! { "EventStream": 1, "EventStreamOffset": -1 };
    let simple = doc! { "key": keys, "name": "s", "unique": true, "collation": { "locale": "simple" } };
    db.db.run_command(doc! { "createIndexes": "Events2", "indexes": [simple] }).await.unwrap();
    let commits = [good_asset("abc"), good_asset("ABC"), good_asset("aBc")].concat();
    db.collection("Events2").insert_many(&commits).await.unwrap();
    for (strategy, generation) in [Strategy::Natural, Strategy::Stream].into_iter().zip(3..) {
        let tuning = Tuning { strategy: Some(strategy), ..no_waiting() };
        db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
        assert_same(&db.read(&format!("States_Assets{generation}")).await, &oracle::assets(&commits));
    }
}

#[tokio::test]
async fn an_index_that_can_not_be_used_is_none() {
    let commits = generated(300, 84);
    let db = Db::new("indexes").await;
    db.append(&commits).await;
    let keys = || doc! { "EventStream": 1, "EventStreamOffset": -1 };
    let longer = doc! { "EventStream": 1, "EventStreamOffset": -1, "Timestamp": 1 };
    let unusable: [(&str, Document); 4] = [
        ("longer", doc! { "key": longer }),
        ("hidden", doc! { "key": keys(), "hidden": true }),
        ("collation", doc! { "key": keys(), "collation": { "locale": "en", "strength": 2 } }),
        ("sparse", doc! { "key": keys(), "sparse": true }),
    ];
    let tuning = Tuning { strategy: Some(Strategy::Stream), ..no_waiting() };
    for (name, mut index) in unusable {
        index.insert("name", name);
        db.db.run_command(doc! { "createIndexes": "Events2", "indexes": [index] }).await.unwrap();
        let error = db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{name}: {error:?}");
        assert_eq!(error.to_string().contains(&format!("({name} is partial")), name != "longer", "{error}");
        if name != "longer" {
            db.collection("Events2").drop_index(name).await.unwrap();
        }
    }
    db.write(&[]).await;
    db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}
