//! The fence of a cut-over: whatever the server answers, it is gone afterwards.

use bson::{Document, doc};
use statefold::{Error, Rebuild};

use crate::support::commits::{generated, good_asset};
use crate::support::database::{assert_same, behind_a_fence};
use crate::support::server::{command_was_hit, stop_failing};
use crate::support::{Db, OwnServer, fail_command, no_waiting, oracle, squidex};

/// A server of its own, since a server has one such fail point only, with a build that is complete.
async fn postponed(test: &str, commits: &[Document]) -> (OwnServer, Db) {
    let server = OwnServer::start(test);
    let db = Db::at(&server.uri, test).await;
    db.write(commits).await;
    let postponed = Rebuild { postpone: true, ..Rebuild::of(["Assets"]) };
    statefold::rebuild(&db.settings(no_waiting()), &squidex(), postponed).await.unwrap();
    (server, db)
}

/// Asserts that the event store takes events, and that nothing says otherwise.
async fn takes_events(db: &Db) {
    db.append(&good_asset("behind-the-fence")).await;
    let control = db.one("Migration", "Statefold").await.unwrap();
    assert!(!control.contains_key("Fence"), "{control}");
}

/// Cuts over while changes of the event store's options fail as `data` says. Returns the number of attempts.
async fn cut_over_while(test: &str, mode: Document, mut data: Document) -> u32 {
    let commits = generated(300, 91);
    let (server, db) = postponed(test, &commits).await;
    data.insert("failCommands", vec!["collMod"]);
    fail_command(&server.uri, &db.app, mode, data).await;
    let report =
        statefold::cutover(&db.settings(behind_a_fence()), &squidex(), Rebuild::default()).await.unwrap();
    assert!(stop_failing(&server.uri).await > 0, "the fail point was not hit");
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    takes_events(&db).await;
    report.cut_over[0].tries
}

#[tokio::test]
async fn a_fence_whose_durability_is_not_known_is_lifted_and_raised_again() {
    // Applied, and then this.
    let failed = doc! { "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" } };
    assert_eq!(cut_over_while("fence_64", doc! { "times": 1 }, failed).await, 2);
}

#[tokio::test]
async fn a_fence_that_seems_to_have_run_out_of_time_is_looked_at() {
    let failed = doc! { "writeConcernError": { "code": 50, "errmsg": "operation exceeded time limit" } };
    assert_eq!(cut_over_while("fence_50", doc! { "times": 1 }, failed).await, 2);
}

#[tokio::test]
async fn a_lift_that_meets_a_transaction_is_tried_until_it_is_done() {
    let commits = generated(300, 92);
    let (server, db) = postponed("fence_lift", &commits).await;
    // The first one raises the fence; those that lift it run out of time, as behind a transaction.
    let data = doc! { "failCommands": ["collMod"], "errorCode": 50 };
    fail_command(&server.uri, &db.app, doc! { "skip": 1 }, data).await;
    let running = statefold::cutover(&db.settings(behind_a_fence()), &squidex(), Rebuild::default());
    let cancel = running.cancellation();
    command_was_hit(&server.uri, 0).await;
    // Also after it was told to stop.
    cancel.cancel();
    assert!(running.progress().borrow().fenced);
    command_was_hit(&server.uri, 2).await;
    assert!(stop_failing(&server.uri).await >= 3);
    running.await.unwrap();
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    assert_eq!(db.pointer("Assets").await.unwrap().get_str("Collection").unwrap(), "States_Assets3");
    takes_events(&db).await;
}

#[tokio::test]
async fn a_fence_that_can_not_be_lifted_is_said() {
    let commits = generated(300, 93);
    let (server, db) = postponed("fence_stands", &commits).await;
    // The right to change the options is gone once the fence stands.
    let data = doc! { "failCommands": ["collMod"], "errorCode": 13 };
    fail_command(&server.uri, &db.app, doc! { "skip": 1 }, data).await;
    let error = statefold::cutover(&db.settings(behind_a_fence()), &squidex(), Rebuild::default()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::FenceStands { .. }), "{error:?}");
    assert!(error.to_string().contains("refuses events"), "{error}");
    stop_failing(&server.uri).await;
    // The next leader lifts it, and finishes.
    statefold::rebuild(&db.settings(no_waiting()), &squidex(), Rebuild::of(["Assets"])).await.unwrap();
    takes_events(&db).await;
}

#[tokio::test]
async fn a_flip_whose_answer_was_lost_is_looked_up() {
    let commits = generated(300, 94);
    let (server, db) = postponed("fence_flip", &commits).await;
    // The answer of each update of the control document is lost, after it was made: that of the flip as well.
    let control = format!("{}.Migration", db.name);
    let data = doc! {
        "failCommands": ["update"], "namespace": control,
        "writeConcernError": { "code": 91, "errmsg": "the primary is shutting down" },
    };
    let running = statefold::cutover(&db.settings(behind_a_fence()), &squidex(), Rebuild::default());
    let mut progress = running.progress();
    progress.wait_for(|progress| progress.fenced).await.unwrap();
    fail_command(&server.uri, &db.app, doc! { "times": 1 }, data).await;
    let report = running.await.unwrap();
    stop_failing(&server.uri).await;
    assert_eq!(report.projections[0].generation, 3);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    takes_events(&db).await;
}
