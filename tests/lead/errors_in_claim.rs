//! Errors of the server while the lease is claimed: what may go away never ends the claim.

use bson::doc;
use statefold::{Class, Error, LeaseSettings};

use crate::starts::{assert_free, led, ms, patient, refused, start};
use crate::support::commits::good_asset;
use crate::support::server::stop_failing;
use crate::support::{Db, OwnServer, fail_command, squidex};

/// How often it fails: more often than one call is tried. The driver tries each twice, too.
const TIMES: i32 = 7;

/// A database of one asset, and the server it is on.
async fn setup(server: &OwnServer, test: &str) -> Db {
    // After such an error the driver doesn't use the server until it has heard of it again.
    let uri = format!("{}&heartbeatFrequencyMS=500", server.uri);
    let mut db = Db::at(&uri, test).await;
    // Where giving it back fails too, it has to run out.
    db.lease = LeaseSettings { ttl: ms(2000), ..patient() };
    db.write(&good_asset("1")).await;
    db
}

/// Lets calls of a command on the control document fail so often with a code; returns the count to
/// compare with.
async fn fail(server: &OwnServer, db: &Db, command: &str, code: i32, times: i32) -> i64 {
    let before = stop_failing(&server.uri).await;
    let namespace = format!("{}.Migration", db.name);
    let data = doc! { "failCommands": [command], "errorCode": code, "namespace": namespace };
    fail_command(&server.uri, &db.app, doc! { "times": times }, data).await;
    before
}

/// Starts a server while a command fails with each of the codes of elections and shutdowns.
async fn survives(test: &str, command: &str) {
    let server = OwnServer::start(test);
    for code in [91, 189, 10107] {
        let mut db = setup(&server, &format!("{command}_{code}")).await;
        // What fails behind the claim is an attempt each.
        db.lease.attempts = 20;
        let before = fail(&server, &db, command, code, TIMES).await;
        let (token, report) = led(start(&db, &squidex())).await;
        let failed = stop_failing(&server.uri).await - before;
        assert_eq!(failed, i64::from(TIMES), "{command} {code}");
        assert!(token >= 1);
        assert_eq!(report.projections[0].snapshots, 1);
        assert_free(&db).await;
    }
}

#[tokio::test]
async fn a_claim_survives_takes_that_fail_for_a_while() {
    survives("lead-take-fails", "findAndModify").await;
}

#[tokio::test]
async fn a_claim_survives_looks_that_fail_for_a_while() {
    survives("lead-look-fails", "aggregate").await;
}

#[tokio::test]
async fn a_leader_survives_updates_that_fail_for_a_while() {
    survives("lead-update-fails", "update").await;
}

#[tokio::test]
async fn calls_of_a_claim_that_fail_are_no_attempts_to_migrate() {
    let server = OwnServer::start("lead-no-attempts");
    for command in ["aggregate", "findAndModify"] {
        let mut db = setup(&server, command).await;
        db.lease.attempts = 1;
        let before = fail(&server, &db, command, 91, TIMES).await;
        led(start(&db, &squidex())).await;
        assert_eq!(stop_failing(&server.uri).await - before, i64::from(TIMES), "{command}");
    }
}

#[tokio::test]
async fn errors_that_go_on_end_a_start_that_may_wait_only_so_long() {
    let server = OwnServer::start("lead-limit");
    let mut db = setup(&server, "limit").await;
    db.lease.wait_limit = Some(ms(100));
    db.selection_ms = 300;
    for command in ["aggregate", "findAndModify"] {
        fail(&server, &db, command, 91, 1_000).await;
        let error = refused(&db, &squidex()).await;
        assert_eq!(error.class(), Class::Transient, "{command}: {error:?}");
        assert_eq!(db.collections().await, ["Events2"]);
    }
}

#[tokio::test]
async fn a_user_who_may_not_take_the_lease_is_told_so_at_once() {
    let server = OwnServer::start("lead-permission");
    let db = setup(&server, "permission").await;
    for command in ["findAndModify", "aggregate"] {
        let before = fail(&server, &db, command, 13, 1_000).await;
        let error = refused(&db, &squidex()).await;
        assert!(matches!(error, Error::Permission { .. }), "{error:?}");
        assert_eq!(stop_failing(&server.uri).await - before, 1, "{command}");
    }
    assert_eq!(db.collections().await, ["Events2"]);
}
