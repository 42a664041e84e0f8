//! The index that the event store is read by has to be one that can be asked for by its keys.

use bson::{Document, doc};
use statefold::{Error, Strategy, Tuning};

use crate::support::commits::generated;
use crate::support::database::assert_same;
use crate::support::{Db, no_waiting, oracle, squidex};

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
        if name != "longer" {
            db.collection("Events2").drop_index(name).await.unwrap();
        }
    }
    db.write(&[]).await;
    db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}
