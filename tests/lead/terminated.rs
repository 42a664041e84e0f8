//! SIGTERM: what was built is kept, and lease and lock are given back at once.

use crate::holder_killed::{InTheMiddle, assert_as_undisturbed};
use crate::process::{LONG, Process};
use crate::starts::{assert_free, assert_no_staging};
use crate::support::commits::generated;
use crate::support::server::let_inserts_go;
use crate::support::{Db, OwnServer};

/// Terminates a leader in the middle, and lets the insert it waits for arrive.
async fn terminate(server: &OwnServer, leader: &mut Process) {
    leader.signal("TERM");
    leader.says("stopping after the batches at work").await;
    let_inserts_go(&server.uri).await;
    let ended = leader.ended().await.json(130);
    assert_eq!(ended["error"]["code"], "interrupted", "{ended}");
}

#[tokio::test]
async fn a_terminated_leader_gives_everything_back_and_the_next_one_resumes() {
    let commits = generated(1500, 64);
    let server = OwnServer::start("lead-terminated");
    let db = Db::at(&server.uri, "terminated").await;
    db.write(&commits).await;
    let mut middle = InTheMiddle::start(&server, &db, &["migrate"], LONG).await;
    terminate(&server, &mut middle.leader).await;
    assert_free(&db).await;
    assert!(db.pointer("Assets").await.is_none());

    let outcome = Process::start(&db, &["migrate"], LONG).ended().await.json(0);

    assert_eq!((outcome["outcome"].as_str(), outcome["token"].as_i64()), (Some("led"), Some(2)));
    middle.assert_kept(&outcome);
    assert_as_undisturbed(&server, &db, &commits, &outcome).await;
    assert_free(&db).await;
    assert_no_staging(&db).await;
}

#[tokio::test]
async fn a_follower_takes_over_from_a_terminated_leader_although_its_lease_was_valid_for_long() {
    let commits = generated(900, 65);
    let server = OwnServer::start("lead-handed-over");
    let db = Db::at(&server.uri, "handed_over").await;
    db.write(&commits).await;
    let mut middle = InTheMiddle::start(&server, &db, &["migrate"], LONG).await;
    let mut follower = Process::start(&db, &["migrate"], LONG);
    follower.says("another statefold leads; waiting for it").await;
    terminate(&server, &mut middle.leader).await;
    let outcome = follower.ended().await.json(0);
    assert_eq!((outcome["outcome"].as_str(), outcome["token"].as_i64()), (Some("led"), Some(2)));
    middle.assert_kept(&outcome);
    assert_free(&db).await;
}
