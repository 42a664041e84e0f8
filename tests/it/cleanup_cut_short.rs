//! A clean-up that ends anywhere is finished by the next one, and never takes another's collection.

use bson::doc;

use crate::cleanup::{clean, really};
use crate::support::commits::good_asset;
use crate::support::server::{command_was_hit, stop_failing};
use crate::support::{Db, OwnServer, fail_command, no_waiting, squidex};

#[tokio::test]
async fn whatever_step_it_ends_at_a_rerun_finishes_it() {
    let server = OwnServer::start("cleanup-cut-short");
    let db = Db::at(&server.uri, "cleanup_cut_short").await;
    db.write(&good_asset("1")).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let mut step = 0;
    loop {
        let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
        let generation = report.projections[0].generation;
        // From some command on nothing works any more.
        let commands = ["update", "findAndModify", "drop", "delete"];
        let data = doc! { "failCommands": commands.to_vec(), "errorCode": 8000 };
        fail_command(&server.uri, &db.app, doc! { "skip": step }, data).await;
        let ended = statefold::cleanup(&db.settings(no_waiting()), &squidex(), really()).await;
        stop_failing(&server.uri).await;

        clean(&db, really()).await;

        let names = db.collections().await;
        let left: Vec<&String> = names.iter().filter(|name| name.starts_with("States_")).collect();
        let mut kept = [generation - 1, generation].map(|number| format!("States_Assets{number}"));
        kept.sort_unstable();
        assert_eq!(left, kept.iter().collect::<Vec<_>>(), "cut short at step {step}");
        let gone = format!("Assets{}", generation - 2);
        let record = db.one("Statefold_Builds", &gone).await.unwrap();
        assert_eq!(record.get_str("State").unwrap(), "dropped", "cut short at step {step}");
        for records in ["Statefold_Checkpoints", "Statefold_Heads", "Statefold_DeadLetters"] {
            let left = db.collection(records).count_documents(doc! { "Build": &gone }).await.unwrap();
            assert_eq!(left, 0, "{records}, cut short at step {step}");
        }
        let pointer = db.pointer("Assets").await.unwrap();
        assert_eq!(pointer.get_array("Previous").unwrap().len(), 1, "cut short at step {step}");
        if ended.is_ok() {
            break;
        }
        step += 1;
    }
    assert!(step >= 8, "{step} steps are too few to be all");
}

#[tokio::test]
async fn a_collection_that_was_made_anew_since_it_was_listed_stays() {
    let server = OwnServer::start("cleanup-uuid");
    let db = Db::at(&server.uri, "cleanup_uuid").await;
    db.write(&good_asset("1")).await;
    for _ in 0..3 {
        db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    }
    let since = stop_failing(&server.uri).await;
    let data = doc! { "failCommands": ["drop"], "blockConnection": true, "blockTimeMS": 3000 };
    fail_command(&server.uri, &db.app, doc! { "times": 1 }, data).await;
    let settings = db.settings(no_waiting());
    let cleaning =
        tokio::spawn(async move { statefold::cleanup(&settings, &squidex(), really()).await.unwrap() });
    command_was_hit(&server.uri, since).await;
    db.collection("States_Assets3").drop().await.unwrap();
    db.collection("States_Assets3").insert_one(doc! { "_id": "theirs" }).await.unwrap();
    let report = cleaning.await.unwrap();
    let item = report.items.iter().find(|item| item.name() == "States_Assets3").unwrap();
    assert_eq!(item.outcome, Some(statefold::DropOutcome::AnotherCollection), "{item:?}");
    assert!(db.one("States_Assets3", "theirs").await.is_some());
    // Nor does it go the next time.
    let again = clean(&db, really()).await;
    let item = again.items.iter().find(|item| item.name() == "States_Assets3").unwrap();
    assert!(!item.eligible && item.reason.contains("not built by statefold"), "{item:?}");
}
