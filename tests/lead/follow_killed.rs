//! `follow` as a process: killed, stopped by a signal, and started again.

use crate::process::{Process, SHORT};
use crate::support::commits::{asset_renamed, asset_stream, good_asset};
use crate::support::database::{assert_same, eventually};
use crate::support::{Db, commit, no_waiting, oracle, squidex};

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
