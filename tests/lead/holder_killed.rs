//! The leader's process is killed while it builds: another one takes over and goes on with the build.

use crate::process::{Process, SHORT, built};
use crate::starts::{assert_free, assert_no_staging, newest_token};
use crate::support::commits::generated;
use crate::support::database::{assert_same, eventually};
use crate::support::server::{hold_inserts, insert_is_held};
use crate::support::{Db, OwnServer, no_waiting, oracle, squidex};

/// Inserts that two partitions and one half of the next one need: one for what the batch of commits
/// completed, one for the last stream. A busy server may count some of them twice.
const INSERTS: i32 = 5;

/// A leader in the middle of building assets.
pub(crate) struct InTheMiddle {
    pub(crate) leader: Process,
    /// Number of partitions that are done, at least one.
    pub(crate) done: u64,
}

impl InTheMiddle {
    /// Starts a leader of whose build some partitions are done, while an insert into another one waits in the
    /// server.
    pub(crate) async fn start(server: &OwnServer, db: &Db, verb: &[&str], lease: &str) -> Self {
        hold_inserts(&server.uri, &format!("{}.States_Assets3__t1", db.name), INSERTS).await;
        let leader = Process::start(db, verb, lease);
        insert_is_held(&server.uri).await;
        eventually("a partition that is done", || async { partitions_done(db).await > 0 }).await;
        Self { leader, done: partitions_done(db).await }
    }

    /// Asserts that who took over kept what was done: it may be one more, by the insert that was held.
    pub(crate) fn assert_kept(&self, outcome: &serde_json::Value) {
        let kept = built(outcome, "Assets")["partitions_resumed"].as_u64().unwrap();
        assert!((self.done..=self.done + 1).contains(&kept), "{} were done: {outcome}", self.done);
    }
}

async fn partitions_done(db: &Db) -> u64 {
    let done = bson::doc! { "Build": "Assets3", "Done": true };
    db.collection("Statefold_Checkpoints").count_documents(done).await.unwrap()
}

/// Asserts that what is there now is what an undisturbed rebuild of the same commits gives.
pub(crate) async fn assert_as_undisturbed(
    server: &OwnServer,
    db: &Db,
    commits: &[bson::Document],
    outcome: &serde_json::Value,
) {
    assert_same(&db.read("States_Assets3").await, &oracle::assets(commits));
    assert_same(&db.read("States_AssetFolders3").await, &oracle::asset_folders(commits));
    let undisturbed = Db::at(&server.uri, "undisturbed").await;
    undisturbed.write(commits).await;
    let report = undisturbed.rebuild(&squidex(), &[], no_waiting()).await.unwrap();
    for expected in &report.projections {
        let found = built(outcome, &expected.projection);
        assert_eq!(found["digest"], expected.digest.as_str(), "{}", expected.projection);
        assert_eq!(found["snapshots"], expected.snapshots, "{}", expected.projection);
    }
}

#[tokio::test]
async fn a_killed_leader_is_replaced_and_its_build_is_resumed() {
    let commits = generated(1500, 61);
    let server = OwnServer::start("lead-killed");
    let db = Db::at(&server.uri, "killed").await;
    db.write(&commits).await;
    let mut middle = InTheMiddle::start(&server, &db, &["migrate"], SHORT).await;
    let mut follower = Process::start(&db, &["migrate"], SHORT);
    follower.says("another statefold leads; waiting for it").await;
    assert_eq!(newest_token(&db).await, 1);

    middle.leader.signal("KILL");

    assert_eq!(middle.leader.ended().await.code, None);
    let outcome = follower.ended().await.json(0);
    assert_eq!((outcome["outcome"].as_str(), outcome["token"].as_i64()), (Some("led"), Some(2)));
    assert_eq!(newest_token(&db).await, 2);
    assert_eq!(built(&outcome, "Assets")["generation"], 3);
    middle.assert_kept(&outcome);
    assert_as_undisturbed(&server, &db, &commits, &outcome).await;
    assert_free(&db).await;
    assert_no_staging(&db).await;
}

#[tokio::test]
async fn a_killed_leader_of_this_machine_is_replaced_without_waiting_where_processes_are_judged() {
    let commits = generated(900, 62);
    let server = OwnServer::start("lead-judged");
    let db = Db::at(&server.uri, "judged").await;
    db.write(&commits).await;
    let lease = "ttl = \"1h\"\npoll = \"200ms\"";
    let mut middle = InTheMiddle::start(&server, &db, &["migrate"], lease).await;
    middle.leader.signal("KILL");
    middle.leader.ended().await;
    let outcome = Process::start(&db, &["migrate"], lease).ended().await.json(0);
    assert_eq!((outcome["outcome"].as_str(), outcome["token"].as_i64()), (Some("led"), Some(2)));
    middle.assert_kept(&outcome);
}
