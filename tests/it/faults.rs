//! Errors of the server, injected: what may go away is tried again, the rest ends the rebuild cleanly.

use bson::{Document, doc};
use mongodb::Client;
use statefold::{Class, Error, NaturalBy, Rebuild, Strategy, Tuning};

use crate::support::commits::generated;
use crate::support::database::assert_same;
use crate::support::server::stop_failing;
use crate::support::{Db, Gate, OwnServer, fail_command, no_waiting, oracle, squidex};

fn tuning() -> Tuning {
    Tuning { readers: 1, partitions: Some(3), ..no_waiting() }
}

/// Staging collection of a rebuild of assets: number of the generation, token.
const STAGING: &str = "States_AssetsN__tT";

/// A server of its own, since a server has one such fail point only.
async fn setup(test: &str, commits: &[Document]) -> (OwnServer, Db) {
    let server = OwnServer::start(test);
    let db = Db::at(&server.uri, test).await;
    db.write(commits).await;
    (server, db)
}

#[tokio::test]
async fn a_full_disk_ends_the_rebuild_and_the_next_one_succeeds() {
    let commits = generated(900, 21);
    let (server, db) = setup("disk_full", &commits).await;
    // The first insert is the record of the build.
    let data = doc! { "failCommands": ["insert"], "errorCode": 14031 };
    fail_command(&server.uri, &db.app, doc! { "skip": 1 }, data).await;
    let error = db.rebuild(&squidex(), &["Assets"], tuning()).await.unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Operator);
    db.assert_nothing_published().await;
    let record = db.one("Statefold_Builds", "Assets3").await.unwrap();
    assert_eq!(record.get_str("State").unwrap(), "failed");
    assert_eq!(record.get_document("Failure").unwrap().get_str("Code").unwrap(), "disk_full");

    stop_failing(&server.uri).await;
    let report = db.rebuild(&squidex(), &["Assets"], tuning()).await.unwrap();
    assert_eq!(report.projections[0].generation, 3);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

/// Rebuilds while a command on a collection fails so many times; it has to succeed.
/// With every strategy.
async fn survives(test: &str, times: i32, collection: &str, data: Document) {
    let commits = generated(900, 22);
    let (server, db) = setup(test, &commits).await;
    let undisturbed = db.rebuild(&squidex(), &["Assets"], tuning()).await.unwrap();
    let expected = &undisturbed.projections[0];
    let strategies = [Strategy::Natural, Strategy::Spill, Strategy::Stream];
    for (strategy, generation) in strategies.into_iter().zip(4..) {
        // Tokens grow with the generations here.
        let collection = collection.replace("N__tT", &format!("{generation}__t{}", generation - 2));
        let mut data = data.clone();
        data.insert("namespace", format!("{}.{collection}", db.name));
        fail_command(&server.uri, &db.app, doc! { "times": times }, data).await;
        let tuning = Tuning { strategy: Some(strategy), ..tuning() };
        let report = db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
        let hit = stop_failing(&server.uri).await >= i64::from(times);
        assert!(hit, "{strategy}: the fail point was not hit on {collection}");
        let built = &report.projections[0];
        assert_eq!((&built.digest, built.snapshots), (&expected.digest, expected.snapshots), "{strategy}");
        assert_same(&db.read(&format!("States_Assets{generation}")).await, &oracle::assets(&commits));
    }
}

#[tokio::test]
async fn an_election_during_the_scan_is_survived() {
    survives("getmore_10107", 1, "Events2", doc! { "failCommands": ["getMore"], "errorCode": 10107 }).await;
}

#[tokio::test]
async fn a_connection_lost_during_the_scan_is_survived() {
    survives("getmore_closed", 2, "Events2", doc! { "failCommands": ["getMore"], "closeConnection": true })
        .await;
}

#[tokio::test]
async fn a_time_limit_exceeded_during_inserts_is_survived() {
    survives("insert_262", 3, STAGING, doc! { "failCommands": ["insert"], "errorCode": 262 }).await;
}

#[tokio::test]
async fn connections_lost_during_inserts_are_survived() {
    survives("insert_closed", 3, STAGING, doc! { "failCommands": ["insert"], "closeConnection": true }).await;
}

#[tokio::test]
async fn a_record_that_is_gone_when_the_scan_comes_to_it_is_survived() {
    let commits = generated(900, 25);
    let (server, db) = setup("record_gone", &commits).await;
    let data = doc! {
        "failCommands": ["getMore"], "errorCode": 211, "namespace": format!("{}.Events2", db.name),
    };
    // One for the scan, one for the feed, which is opened again.
    fail_command(&server.uri, &db.app, doc! { "times": 2 }, data).await;
    let (strategy, natural_by) = (Some(Strategy::Natural), Some(NaturalBy::RecordIds));
    let tuning = Tuning { strategy, natural_by, part_commits: 200, ..tuning() };
    db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
    assert_eq!(stop_failing(&server.uri).await, 2);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn cursors_that_are_gone_again_and_again_go_on_where_they_were() {
    let commits = generated(3000, 27);
    let (server, db) = setup("cursors_gone", &commits).await;
    // As after a pause longer than the server keeps an idle cursor; more often than a scan is begun again.
    let data = doc! {
        "failCommands": ["getMore"], "errorCode": 43, "namespace": format!("{}.Events2", db.name),
    };
    let (strategy, natural_by) = (Some(Strategy::Natural), Some(NaturalBy::RecordIds));
    let tuning = Tuning { strategy, natural_by, part_commits: 1500, batch_commits: 100, ..tuning() };
    let (gated, gate) = Gate::assets(|_| true);
    let running = statefold::rebuild(&db.settings(tuning), &gated, Rebuild::of(["Assets"]));
    gate.reached().await;
    fail_command(&server.uri, &db.app, doc! { "times": 12 }, data).await;
    gate.open();
    running.await.unwrap();
    assert_eq!(stop_failing(&server.uri).await, 12);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn where_the_first_commits_take_too_long_to_find_the_plan_samples_by_the_index() {
    let (server, db) = setup("sample", &generated(900, 26)).await;
    let undisturbed = statefold::preview(&db.settings(tuning()), &squidex(), &["Assets".into()]).await;
    let admin = Client::with_uri_str(&server.uri).await.unwrap().database("admin");
    // Every command with a `maxTimeMS` takes too long.
    let fail = |mode: &str| doc! { "configureFailPoint": "maxTimeAlwaysTimeOut", "mode": mode };
    admin.run_command(fail("alwaysOn")).await.unwrap();
    let plan = statefold::preview(&db.settings(tuning()), &squidex(), &["Assets".into()]).await;
    let hit = admin.run_command(fail("off")).await.unwrap();
    assert!(hit.get_i32("count").unwrap() > 0, "{hit}");
    let streams =
        |plan: statefold::Result<statefold::PlanReport>| plan.unwrap().projections[0].estimate.streams;
    assert_eq!(streams(plan), streams(undisturbed));
}

#[tokio::test]
async fn a_user_who_may_not_read_gets_a_permission_error() {
    let (server, db) = setup("permission", &generated(300, 24)).await;
    let data = doc! {
        "failCommands": ["find"], "errorCode": 13, "namespace": format!("{}.Events2", db.name),
    };
    fail_command(&server.uri, &db.app, doc! { "times": 1_000_000 }, data).await;
    let error = db.rebuild(&squidex(), &["Assets"], tuning()).await.unwrap_err();
    assert!(matches!(error, Error::Permission { .. }), "{error:?}");
    assert!(stop_failing(&server.uri).await > 0);
    db.assert_nothing_published().await;
}
