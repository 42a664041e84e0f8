//! The leader is stopped for longer than its lease is valid, as a paused virtual machine is, and goes
//! on: by then another one has finished its work, and nothing of the old one may reach it.

use bson::doc;
use serde_json::Value;

use crate::holder_killed::{InTheMiddle, assert_as_undisturbed};
use crate::process::{Process, SHORT};
use crate::starts::{assert_free, assert_no_staging, newest_token};
use crate::support::commits::generated;
use crate::support::database::eventually;
use crate::support::server::let_inserts_go;
use crate::support::{Db, OwnServer};

/// Stops a leader in the middle, lets another one finish, writes what the first had on its way, and
/// lets the first go on. It has to end with this exit code; returns what it printed.
async fn overtaken(test: &str, verb: &[&str], code: i32) -> Value {
    let commits = generated(1500, 63);
    let server = OwnServer::start(test);
    let db = Db::at(&server.uri, test).await;
    db.write(&commits).await;
    let mut middle = InTheMiddle::start(&server, &db, verb, SHORT).await;
    middle.leader.signal("STOP");

    let outcome = Process::start(&db, &["migrate"], SHORT).ended().await.json(0);

    assert_eq!((outcome["outcome"].as_str(), outcome["token"].as_i64()), (Some("led"), Some(2)));
    middle.assert_kept(&outcome);
    assert_no_staging(&db).await;
    let hashes = (db.hash("States_Assets3").await, db.hash("Statefold_Builds").await);
    // The insert that the old leader had sent arrives: it makes the old collection anew.
    let_inserts_go(&server.uri).await;
    let late = "States_Assets3__t1".to_owned();
    eventually("the late write", || async { db.collections().await.contains(&late) }).await;
    middle.leader.signal("CONT");

    let ended = middle.leader.ended().await.json(code);
    assert!(db.pointer("Assets").await.unwrap().get_i64("Token").unwrap() == 2);
    assert_eq!((db.hash("States_Assets3").await, db.hash("Statefold_Builds").await), hashes);
    assert_eq!(newest_token(&db).await, 2);
    let old_tokens = doc! { "Token": { "$ne": 2_i64 } };
    for records in ["Statefold_Builds", "Statefold_Checkpoints"] {
        assert_eq!(db.collection(records).count_documents(old_tokens.clone()).await.unwrap(), 0, "{records}");
    }
    assert_as_undisturbed(&server, &db, &commits, &outcome).await;
    assert_free(&db).await;
    assert_no_staging(&db).await;
    ended
}

#[tokio::test]
async fn a_stopped_leader_that_goes_on_follows_the_one_that_took_over() {
    let ended = overtaken("lead-stopped", &["migrate"], 0).await;
    assert_eq!(ended["outcome"], "followed", "{ended}");
}

#[tokio::test]
async fn a_stopped_rebuild_that_goes_on_ends_and_says_that_it_lost_the_lease() {
    let ended = overtaken("lead-stopped-rebuild", &["rebuild", "--yes"], 1).await;
    assert_eq!(ended["error"]["code"], "lease_lost", "{ended}");
}
