//! Active generations that are kept current while the application writes events and no snapshots.

use bson::doc;
use statefold::{Error, Follow, NextStep, Phase, Rebuild};
use tokio_util::sync::CancellationToken;

use crate::support::commits::{
    asset_created, asset_renamed, asset_stream, generated, good_asset, last_asset_stream,
};
use crate::support::follow::{assets, comes_to, end, has_a_position, renames, start, sums_are_right, works};
use crate::support::{Db, commit, no_waiting, squidex};

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
    // Noted once the round is over, which has written these snapshots before.
    has_a_position(&db, "Assets3").await;

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
async fn a_takeover_that_ended_before_the_checkpoints_keeps_nobody_out() {
    let mut commits = generated(300, 308);
    let db = Db::new("follow_takeover").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    // As a leader leaves it that died after it had raised the token of the record.
    let token = doc! { "$set": { "Token": 2_i64 } };
    db.collection("Statefold_Builds").update_one(doc! { "_id": "Assets3" }, token).await.unwrap();
    let token = doc! { "$set": { "LeaseToken": 2_i64 } };
    db.collection("Migration").update_one(doc! { "_id": "Statefold" }, token).await.unwrap();
    let following = start(&db, &squidex());
    works(&following).await;
    let stream = last_asset_stream(&generated(300, 308));
    renames(&db, &mut commits, &stream, "after.png").await;
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
    let rebuild = NextStep::Rebuild { projections: vec!["Assets".into()], postpone: false, max_errors: None };
    assert!(matches!(&error, Error::NotReady { next, .. } if *next == [rebuild]), "{error:?}");
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
async fn a_stream_that_can_not_be_folded_any_more_is_a_failed_stream_and_holds_up_no_other() {
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
    let letters = statefold::failed_streams(&db.settings(no_waiting()), &squidex(), None, 0).await.unwrap();
    assert_eq!(letters.iter().map(|one| one.stream.clone()).collect::<Vec<_>>(), [asset_stream("bad")]);
    sums_are_right(&db).await;
}
