//! Followers, and what they have to come to.

use std::time::Duration;

use bson::Document;
use statefold::projections::Registry;
use statefold::{Follow, FollowReport, Phase, Running, Verification};

use super::commits::{asset_renamed, next_offset};
use super::database::{assert_same, eventually};
use super::{Db, commit, no_waiting, oracle, squidex};

/// Follows assets.
pub(crate) fn assets() -> Follow {
    Follow { projections: vec!["assets".into()], ..Follow::default() }
}

/// Begins to follow assets.
pub(crate) fn start(db: &Db, registry: &Registry) -> Running<FollowReport> {
    statefold::follow(&db.settings(no_waiting()), registry, assets())
}

/// Ends a follower as Ctrl-C does.
pub(crate) async fn end(following: Running<FollowReport>) -> FollowReport {
    following.cancellation().cancel();
    following.await.unwrap()
}

/// Waits until it follows.
pub(crate) async fn works(following: &Running<FollowReport>) {
    let mut progress = following.progress();
    let phase = progress.wait_for(|now| now.phase == Phase::Following);
    tokio::time::timeout(Duration::from_secs(60), phase).await.unwrap().unwrap();
}

/// Appends an event that renames an asset.
pub(crate) async fn renames(db: &Db, commits: &mut Vec<Document>, stream: &str, name: &str) {
    let id = stream.split_once("--").unwrap().1.to_owned();
    let event = asset_renamed(&id, name);
    let one = commit(stream, next_offset(commits, stream), &[("AssetAnnotatedEvent", &event)]);
    db.append(std::slice::from_ref(&one)).await;
    commits.push(one);
}

/// Waits until it is noted how far is followed.
pub(crate) async fn has_a_position(db: &Db, build: &str) {
    eventually("a position", || async {
        let control = db.one("Migration", "Statefold.Follow").await.unwrap_or_default();
        control.get_document("Positions").is_ok_and(|all| all.contains_key(build))
    })
    .await;
}

/// What an independent fold of everything in the event store gives, in the end.
pub(crate) async fn comes_to(db: &Db, collection: &str, commits: &[Document]) {
    let expected = oracle::assets(commits);
    eventually("the followed generation", || async { db.read(collection).await == expected }).await;
    assert_same(&db.read(collection).await, &expected);
}

/// Asserts that digest and counts of the active generation's record are those of its documents.
pub(crate) async fn sums_are_right(db: &Db) {
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
