//! Active generations that are kept current while the application writes events and no snapshots.

use std::time::Duration;

use bson::{Document, doc};
use statefold::projections::Registry;
use statefold::{Error, Follow, FollowReport, Phase, Rebuild, Running, Verification};
use tokio_util::sync::CancellationToken;

use crate::support::commits::{
    asset_created, asset_renamed, asset_stream, generated, good_asset, last_asset_stream, next_offset,
};
use crate::support::database::{assert_same, eventually};
use crate::support::server::stop_failing;
use crate::support::{Db, Gate, OwnServer, commit, fail_command, no_waiting, oracle, squidex};

fn assets() -> Follow {
    Follow { projections: vec!["assets".into()], ..Follow::default() }
}

fn start(db: &Db, registry: &Registry) -> Running<FollowReport> {
    statefold::follow(&db.settings(no_waiting()), registry, assets())
}

/// Ends a follower as Ctrl-C does.
async fn end(following: Running<FollowReport>) -> FollowReport {
    following.cancellation().cancel();
    following.await.unwrap()
}

async fn works(following: &Running<FollowReport>) {
    let mut progress = following.progress();
    let phase = progress.wait_for(|now| now.phase == Phase::Following);
    tokio::time::timeout(Duration::from_secs(60), phase).await.unwrap().unwrap();
}

async fn renames(db: &Db, commits: &mut Vec<Document>, stream: &str, name: &str) {
    let id = stream.split_once("--").unwrap().1.to_owned();
    let event = asset_renamed(&id, name);
    let one = commit(stream, next_offset(commits, stream), &[("AssetAnnotatedEvent", &event)]);
    db.append(std::slice::from_ref(&one)).await;
    commits.push(one);
}

/// Waits until it is noted how far is followed.
async fn has_a_position(db: &Db, build: &str) {
    eventually("a position", || async {
        let control = db.one("Migration", "Statefold.Follow").await.unwrap_or_default();
        control.get_document("Positions").is_ok_and(|all| all.contains_key(build))
    })
    .await;
}

/// What an independent fold of everything in the event store gives, in the end.
async fn comes_to(db: &Db, collection: &str, commits: &[Document]) {
    let expected = oracle::assets(commits);
    eventually("the followed generation", || async { db.read(collection).await == expected }).await;
    assert_same(&db.read(collection).await, &expected);
}

/// Asserts that digest and counts of the active generation's record are those of its documents.
async fn sums_are_right(db: &Db) {
    let request = Verification { projections: vec!["assets".into()], ..Verification::default() };
    let report = statefold::verify(&db.settings(no_waiting()), &squidex(), request).await.unwrap();
    assert!(report.is_equal(), "{report:?}");
    let verified = &report.projections[0];
    let active = db.pointer("Assets").await.unwrap().get_i64("Active").unwrap();
    let record = db.one("Statefold_Builds", &format!("Assets{active}")).await.unwrap();
    assert_eq!(record.get_str("Digest").ok(), verified.digest.as_deref());
    let counts = record.get_document("Counts").unwrap();
    assert_eq!(counts.get_i64("Snapshots").unwrap().unsigned_abs(), verified.snapshots);
}

#[tokio::test]
async fn what_is_written_after_the_cut_over_is_in_the_active_generation() {
    let mut commits = generated(900, 301);
    let db = Db::new("follow").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let following = start(&db, &squidex());
    works(&following).await;

    let renamed = last_asset_stream(&commits);
    renames(&db, &mut commits, &renamed, "followed.png").await;
    let new = good_asset("new-while-followed");
    db.append(&new).await;
    commits.extend(new);
    // Gone for ever, with and without the stream that says so.
    let [silent, said] = ["to-be-deleted-1", "to-be-deleted-2"].map(good_asset);
    db.append(&silent).await;
    db.append(&said).await;
    comes_to(&db, "States_Assets3", &[&commits[..], &silent, &said].concat()).await;
    for stream in ["to-be-deleted-1", "to-be-deleted-2"].map(asset_stream) {
        db.collection("Events2").delete_many(doc! { "EventStream": stream }).await.unwrap();
    }
    let deleted = format!("{}--deleted", asset_stream("to-be-deleted-2"));
    db.append(&[commit(&deleted, -1, &[("AssetDeletedEvent", "{}")])]).await;
    comes_to(&db, "States_Assets3", &commits).await;

    let report = end(following).await;
    assert_eq!((report.starts, report.followed.len()), (1, 1), "{report:?}");
    assert_eq!((report.followed[0].generation, report.followed[0].projection.as_str()), (3, "Assets"));
    assert!(report.followed[0].streams_refolded >= 4);
    sums_are_right(&db).await;
    let control = db.one("Migration", "Statefold.Follow").await.unwrap();
    assert!(control.get_document("Positions").unwrap().get_timestamp("Assets3").is_ok(), "{control}");
    assert!(!control.contains_key("Lease"));
}

#[tokio::test]
async fn a_follower_goes_on_where_the_last_one_was() {
    let mut commits = generated(300, 302);
    let db = Db::new("follow_resumes").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let first = start(&db, &squidex());
    works(&first).await;
    renames(&db, &mut commits, &last_asset_stream(&generated(300, 302)), "one.png").await;
    comes_to(&db, "States_Assets3", &commits).await;
    has_a_position(&db, "Assets3").await;
    end(first).await;

    // Nobody follows; then a change that no comparison of heads would find.
    let stream = last_asset_stream(&commits);
    let id = stream.split_once("--").unwrap().1.to_owned();
    let last = commits.last_mut().unwrap();
    let (commit_id, offset) = (last.get_str("_id").unwrap(), last.get_i64("EventStreamOffset").unwrap());
    let mut replaced = commit(&stream, offset, &[("AssetAnnotatedEvent", &asset_renamed(&id, "two.png"))]);
    replaced.insert("_id", commit_id);
    let filter = doc! { "_id": commit_id };
    db.collection("Events2").replace_one(filter, &replaced).await.unwrap();
    *last = replaced;

    let second = start(&db, &squidex());
    comes_to(&db, "States_Assets3", &commits).await;
    end(second).await;
    sums_are_right(&db).await;
}

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
    let mut commits = generated(300, 304);
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
async fn a_follower_goes_over_to_a_newer_generation_and_leaves_the_former_one_alone() {
    let mut commits = generated(300, 305);
    let db = Db::new("follow_flip").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let following = start(&db, &squidex());
    works(&following).await;
    let stream = last_asset_stream(&commits);
    renames(&db, &mut commits, &stream, "before.png").await;
    comes_to(&db, "States_Assets3", &commits).await;

    // An application that goes on writing all the while.
    let (events, stop) = (db.collection("Events2"), CancellationToken::new());
    let until = stop.clone();
    let writer = tokio::spawn(async move {
        let mut written = Vec::new();
        while !until.is_cancelled() {
            let stream = asset_stream(&format!("live-{}", written.len()));
            let created = asset_created(&format!("live-{}", written.len()));
            let one = commit(&stream, -1, &[("AssetCreatedEventV2", &created)]);
            // Refused while the event store is fenced.
            while events.insert_one(&one).await.is_err() {}
            written.push(one);
        }
        written
    });
    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert_eq!(report.projections[0].generation, 4);
    // From its retirement on nothing is written into it.
    let retired = db.hash("States_Assets3").await;
    renames(&db, &mut commits, &stream, "after.png").await;
    stop.cancel();
    commits.extend(writer.await.unwrap());
    comes_to(&db, "States_Assets4", &commits).await;
    assert_eq!(db.hash("States_Assets3").await, retired);
    has_a_position(&db, "Assets4").await;
    let report = end(following).await;
    assert_eq!(report.followed.iter().map(|one| one.generation).collect::<Vec<_>>(), [3, 4], "{report:?}");
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
async fn what_was_deleted_and_made_anew_while_nobody_followed_is_found() {
    let mut commits = generated(300, 306);
    let db = Db::new("follow_anew").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    // Never followed before: heads are compared.
    let new = good_asset("unfollowed");
    db.append(&new).await;
    commits.extend(new);
    let gone = last_asset_stream(&generated(300, 306));
    db.collection("Events2").delete_many(doc! { "EventStream": &gone }).await.unwrap();
    commits.retain(|one| one.get_str("EventStream").unwrap() != gone);
    let following = start(&db, &squidex());
    comes_to(&db, "States_Assets3", &commits).await;
    has_a_position(&db, "Assets3").await;
    let report = end(following).await;
    assert_eq!(report.followed[0].streams_refolded, 2);
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
async fn a_generation_whose_heads_are_not_recorded_is_refused_with_what_to_do() {
    let db = Db::new("follow_no_heads").await;
    db.write(&good_asset("1")).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    db.collection("Statefold_Checkpoints").delete_many(doc! {}).await.unwrap();
    let error = start(&db, &squidex()).await.unwrap_err();
    assert!(matches!(&error, Error::Unsupported(text) if text.contains("rebuild Assets")), "{error:?}");
    let control = db.one("Migration", "Statefold.Follow").await.unwrap();
    assert!(!control.contains_key("Lease"), "{control}");
}

#[tokio::test]
async fn before_anything_is_active_a_follower_waits() {
    let mut commits = good_asset("1");
    let db = Db::new("follow_early").await;
    db.write(&commits).await;
    let following = start(&db, &squidex());
    let mut progress = following.progress();
    progress.wait_for(|now| now.phase == Phase::Waiting).await.unwrap();
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    works(&following).await;
    let created = asset_created("2");
    let two = commit(&asset_stream("2"), -1, &[("AssetCreatedEventV2", &created)]);
    db.append(std::slice::from_ref(&two)).await;
    commits.push(two);
    comes_to(&db, "States_Assets3", &commits).await;
    end(following).await;
}

#[tokio::test]
async fn a_generation_that_is_kept_warm_is_gone_back_to_without_folding_anything() {
    let mut commits = generated(300, 308);
    let db = Db::new("follow_warm").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let request = Follow { keep_warm: true, ..assets() };
    let following = statefold::follow(&db.settings(no_waiting()), &squidex(), request);
    let stream = last_asset_stream(&commits);
    renames(&db, &mut commits, &stream, "warm.png").await;
    let new = good_asset("warm");
    db.append(&new).await;
    commits.extend(new);
    comes_to(&db, "States_Assets4", &commits).await;
    comes_to(&db, "States_Assets3", &commits).await;

    let settings = db.settings(no_waiting());
    let back = statefold::rollback(&settings, &squidex(), Rebuild::of(["Assets"])).await.unwrap();
    let back = &back.projections[0];
    assert_eq!((back.generation, back.streams_refolded), (3, 0));
    renames(&db, &mut commits, &stream, "back.png").await;
    comes_to(&db, "States_Assets3", &commits).await;
    comes_to(&db, "States_Assets4", &commits).await;
    has_a_position(&db, "Assets4").await;
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
async fn a_stream_that_can_not_be_folded_any_more_is_a_dead_letter_and_holds_up_no_other() {
    let mut commits = good_asset("good");
    let db = Db::new("follow_poison").await;
    db.write(&commits).await;
    db.write(&good_asset("bad")).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let following = start(&db, &squidex());
    works(&following).await;
    db.append(&[commit(&asset_stream("bad"), 1, &[("AssetAnnotatedEvent", "{")])]).await;
    renames(&db, &mut commits, &asset_stream("good"), "good.png").await;
    comes_to(&db, "States_Assets3", &commits).await;
    end(following).await;
    let letters = statefold::dead_letters(&db.settings(no_waiting()), &squidex(), None, 0).await.unwrap();
    assert_eq!(letters.iter().map(|one| one.stream.clone()).collect::<Vec<_>>(), [asset_stream("bad")]);
    sums_are_right(&db).await;
}
