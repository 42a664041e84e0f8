//! Followers that take turns, sleep, lose their server or its history, or have only a standalone one.

use std::time::Duration;

use bson::doc;

use statefold::{CutOverMode, Follow, Phase, Rebuild};
use tokio_util::sync::CancellationToken;

use crate::support::commits::{asset_created, asset_stream, generated, good_asset, last_asset_stream};
use crate::support::database::assert_same;
use crate::support::follow::{assets, comes_to, end, has_a_position, renames, start, sums_are_right, works};
use crate::support::server::stop_failing;
use crate::support::{Db, Gate, OwnServer, commit, fail_command, no_waiting, oracle, squidex};

#[tokio::test]
async fn one_follows_and_the_other_takes_over() {
    let mut commits = generated(300, 303);
    let db = Db::new("two_followers").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let first = start(&db, &squidex());
    works(&first).await;
    let second = start(&db, &squidex());
    let mut progress = second.progress();
    progress.wait_for(|now| now.phase == Phase::Waiting).await.unwrap();
    let stream = last_asset_stream(&commits);
    renames(&db, &mut commits, &stream, "first.png").await;
    comes_to(&db, "States_Assets3", &commits).await;
    assert_eq!(second.progress().borrow().phase, Phase::Waiting);

    end(first).await;
    works(&second).await;
    renames(&db, &mut commits, &stream, "second.png").await;
    comes_to(&db, "States_Assets3", &commits).await;
    let report = end(second).await;
    assert_eq!(report.starts, 1);
    assert!(report.followed[0].streams_refolded >= 1);
}

#[tokio::test]
async fn when_the_history_since_the_last_follower_is_lost_all_heads_are_compared() {
    let server = OwnServer::start("follow_lost");
    let mut commits = generated(300, 311);
    let db = Db::at(&server.uri, "follow_lost").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let first = start(&db, &squidex());
    has_a_position(&db, "Assets3").await;
    end(first).await;
    let stream = last_asset_stream(&commits);
    renames(&db, &mut commits, &stream, "unseen.png").await;

    let failed_before = stop_failing(&server.uri).await;
    // The feed's opening is the first aggregate on the event store.
    let data = doc! {
        "failCommands": ["aggregate"], "errorCode": 286, "namespace": format!("{}.Events2", db.name),
    };
    fail_command(&server.uri, &db.app, doc! { "times": 1 }, data).await;
    let second = start(&db, &squidex());
    comes_to(&db, "States_Assets3", &commits).await;
    assert_eq!(stop_failing(&server.uri).await, failed_before + 1);
    end(second).await;
    sums_are_right(&db).await;
}

#[tokio::test]
async fn a_follower_that_slept_puts_nothing_old_over_what_is_newer() {
    let commits = good_asset("slept");
    let mut db = Db::new("follow_slept").await;
    // Nothing tells the first one that it was taken over.
    db.lease.ttl = Duration::from_secs(3600);
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let stream = asset_stream("slept");
    let held = stream.clone();
    let (gated, gate) = Gate::asset_snapshots(move |one| one == held);
    let first = start(&db, &gated);
    works(&first).await;
    let mut commits = commits;
    renames(&db, &mut commits, &stream, "old.png").await;
    // It has read "old.png" and goes to sleep before it writes it.
    gate.reached().await;
    renames(&db, &mut commits, &stream, "new.png").await;
    let steal = doc! { "$unset": { "Lease": "" }, "$inc": { "LeaseToken": 1_i64 } };
    db.collection("Migration").update_one(doc! { "_id": "Statefold.Follow" }, steal).await.unwrap();
    let second = start(&db, &squidex());
    comes_to(&db, "States_Assets3", &commits).await;
    let changes = db.collection("States_Assets3").watch().await.unwrap();

    gate.open();
    let mut progress = first.progress();
    progress.wait_for(|now| now.phase == Phase::Waiting).await.unwrap();
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    let mut changes = changes;
    let changed = changes.next_if_any().await.unwrap();
    assert!(changed.is_none(), "{changed:?}");
    end(second).await;
    end(first).await;
    sums_are_right(&db).await;
}

#[tokio::test]
async fn a_standalone_server_is_compared_again_and_again() {
    let server = OwnServer::start_with("follow_alone", &["--standalone"]);
    let mut commits = generated(300, 307);
    let db = Db::at(&server.uri, "follow_alone").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let request = Follow { compare_every: Duration::from_millis(200), ..assets() };
    let following = statefold::follow(&db.settings(no_waiting()), &squidex(), request);
    works(&following).await;
    let stream = last_asset_stream(&commits);
    renames(&db, &mut commits, &stream, "alone.png").await;
    let new = good_asset("alone");
    db.append(&new).await;
    commits.extend(new);
    comes_to(&db, "States_Assets3", &commits).await;
    end(following).await;
    sums_are_right(&db).await;
}

#[tokio::test]
async fn a_server_that_was_killed_is_followed_again() {
    let server = OwnServer::start("follow_dead_server");
    let mut commits = generated(300, 309);
    let mut db = Db::at(&server.uri, "follow_dead_server").await;
    db.selection_ms = 500;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let following = start(&db, &squidex());
    works(&following).await;
    let stream = last_asset_stream(&commits);
    renames(&db, &mut commits, &stream, "before.png").await;
    server.kill().await;
    server.restart();
    renames(&db, &mut commits, &stream, "after.png").await;
    let new = good_asset("after");
    db.append(&new).await;
    commits.extend(new);
    comes_to(&db, "States_Assets3", &commits).await;
    end(following).await;
    sums_are_right(&db).await;
}

#[tokio::test]
async fn a_generation_whose_name_is_taken_is_followed_no_more_and_can_be_gone_back_to() {
    let mut commits = generated(300, 310);
    let db = Db::new("follow_rename").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let following = start(&db, &squidex());
    works(&following).await;
    let events = db.collection("Events2");
    let stop = CancellationToken::new();
    let until = stop.clone();
    let writer = tokio::spawn(async move {
        let mut written = Vec::new();
        while !until.is_cancelled() {
            let id = format!("live-{}", written.len());
            let one = commit(&asset_stream(&id), -1, &[("AssetCreatedEventV2", &asset_created(&id))]);
            // Refused while the event store is fenced.
            while events.insert_one(&one).await.is_err() {}
            written.push(one);
        }
        written
    });
    let settings = db.settings(no_waiting());
    let rename = Rebuild { mode: Some(CutOverMode::Rename), ..Rebuild::of(["Assets"]) };
    let report = statefold::rebuild(&settings, &squidex(), rename).await.unwrap();
    assert_eq!(report.projections[0].collections, ["States_Assets3"]);
    let back = statefold::rollback(&settings, &squidex(), Rebuild::of(["Assets"])).await.unwrap();
    assert_eq!((back.projections[0].generation, &*back.projections[0].collections[0]), (3, "States_Assets3"));
    stop.cancel();
    commits.extend(writer.await.unwrap());
    comes_to(&db, "States_Assets3", &commits).await;
    has_a_position(&db, "Assets3").await;
    end(following).await;
    sums_are_right(&db).await;
}
