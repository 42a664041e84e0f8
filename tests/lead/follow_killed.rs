//! `follow` as a process: killed, stopped by a signal, and started again.

use bson::doc;

use crate::process::{Process, SHORT};
use crate::support::commits::{asset_renamed, asset_stream, good_asset};
use crate::support::database::{assert_same, eventually};
use crate::support::server::{command_was_hit, stop_failing};
use crate::support::{Db, OwnServer, commit, fail_command, no_waiting, oracle, squidex};

#[tokio::test]
async fn a_follower_that_was_killed_is_replaced_and_nothing_is_lost() {
    let db = Db::new("follow_killed").await;
    let mut commits: Vec<_> = (0..40).flat_map(|id| good_asset(&format!("a{id}"))).collect();
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let follow = || Process::start(&db, &["follow", "Assets"], SHORT);
    let first = follow();
    first.says("following generation=\"Assets3\"").await;
    let mut standby = follow();
    standby.says("another statefold leads").await;

    // Killed while it is at work on a stream of changes.
    for round in 0..40 {
        let id = format!("a{round}");
        let event = asset_renamed(&id, &format!("{round}.png"));
        let one = commit(&asset_stream(&id), 1, &[("AssetAnnotatedEvent", &event)]);
        db.append(std::slice::from_ref(&one)).await;
        commits.push(one);
        if round == 20 {
            first.signal("KILL");
        }
    }
    let expected = oracle::assets(&commits);
    eventually("everything", || async { db.read("States_Assets3").await == expected }).await;
    let control = db.one("Migration", "Statefold.Follow").await.unwrap();
    assert_eq!(control.get_i64("LeaseToken").ok(), Some(2), "{control}");

    standby.signal("INT");
    let ended = standby.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["followed"][0]["generation"], 3, "{report}");
    let control = db.one("Migration", "Statefold.Follow").await.unwrap();
    assert!(!control.contains_key("Lease"), "{control}");
    assert!(control.get_document("Positions").unwrap().contains_key("Assets3"), "{control}");
    assert_same(&db.read("States_Assets3").await, &expected);
}

#[tokio::test]
async fn a_transaction_that_a_killed_follower_left_open_is_ended_by_the_next_one() {
    // The server itself would keep it open for longer than this test waits.
    let patient = ["--", "--setParameter", "transactionLifetimeLimitSeconds=3600"];
    let server = OwnServer::start_with("follow_open", &patient);
    let db = Db::at(&server.uri, "follow_open").await;
    let mut commits = good_asset("open");
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let mut first = Process::start(&db, &["follow", "Assets"], SHORT);
    first.says("following generation=\"Assets3\"").await;
    let before = stop_failing(&server.uri).await;
    let block =
        doc! { "failCommands": ["commitTransaction"], "blockConnection": true, "blockTimeMS": 600_000 };
    fail_command(&server.uri, &db.app, doc! { "times": 1 }, block).await;
    let event = asset_renamed("open", "open.png");
    let one = commit(&asset_stream("open"), 1, &[("AssetAnnotatedEvent", &event)]);
    db.append(std::slice::from_ref(&one)).await;
    commits.push(one);
    command_was_hit(&server.uri, before).await;
    first.signal("KILL");
    first.ended().await;

    let mut second = Process::start(&db, &["follow", "Assets"], SHORT);
    let expected = oracle::assets(&commits);
    eventually("the event", || async { db.read("States_Assets3").await == expected }).await;
    second.signal("TERM");
    assert_eq!(second.ended().await.code, Some(0));
    let control = db.one("Migration", "Statefold.Follow").await.unwrap();
    assert!(!control.contains_key("Sessions") && !control.contains_key("Lease"), "{control}");
}
