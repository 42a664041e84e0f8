//! How far active generations are behind, as `status` says it.

use statefold::{Follow, Lag, Phase, StatusReport};

use crate::support::commits::{asset_created, asset_renamed, asset_stream, generated, good_asset};
use crate::support::{Db, commit, no_waiting, squidex};

async fn status(db: &Db) -> StatusReport {
    statefold::status(&db.settings(no_waiting()), &squidex()).await.unwrap()
}

fn lag(status: &StatusReport) -> Option<&Lag> {
    status.projections.iter().find(|one| one.projection == "Assets").unwrap().lag.as_ref()
}

fn created(id: &str) -> bson::Document {
    commit(&asset_stream(id), -1, &[("AssetCreatedEventV2", &asset_created(id))])
}

#[tokio::test]
async fn status_counts_what_was_not_folded_until_somebody_follows() {
    let db = Db::new("lag").await;
    db.write(&generated(300, 401)).await;
    db.write(&good_asset("known")).await;
    assert!(lag(&status(&db).await).is_none());
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let now = status(&db).await;
    let none = lag(&now).unwrap();
    assert_eq!((none.commits, none.events, none.streams, none.more, none.followed), (0, 0, 0, false, false));
    assert!(none.since.is_some() && now.follower.is_none());

    let [one, two] = ["1.png", "2.png"].map(|name| asset_renamed("known", name));
    let renamed =
        commit(&asset_stream("known"), 1, &[("AssetAnnotatedEvent", &one), ("AssetAnnotatedEvent", &two)]);
    let elsewhere = commit("content-app--1", -1, &[("ContentCreated", "{}")]);
    let ended = commit(&format!("{}--deleted", asset_stream("gone")), -1, &[("AssetDeletedEvent", "{}")]);
    db.append(&[renamed, created("new"), elsewhere, ended]).await;
    let now = status(&db).await;
    let some = lag(&now).unwrap();
    assert_eq!((some.commits, some.events, some.streams, some.more), (2, 3, 2, false), "{some:?}");

    let request = Follow { projections: vec!["Assets".into()], ..Follow::default() };
    let following = statefold::follow(&db.settings(no_waiting()), &squidex(), request);
    let mut progress = following.progress();
    progress.wait_for(|now| now.phase == Phase::Following && now.refolded >= 2).await.unwrap();
    let now = status(&db).await;
    assert_eq!(lag(&now).unwrap().commits, 0);
    assert!(now.follower.is_some());
    following.cancellation().cancel();
    following.await.unwrap();
    db.append(&[created("unfollowed")]).await;
    let now = status(&db).await;
    let last = lag(&now).unwrap();
    assert_eq!((last.commits, last.followed), (1, true), "{last:?}");
    assert!(now.follower.is_none());
}

#[tokio::test]
async fn a_large_lag_is_not_counted_to_its_end() {
    let db = Db::new("large_lag").await;
    db.write(&good_asset("known")).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let many: Vec<_> = (0..1001).map(|id| created(&format!("many-{id}"))).collect();
    db.append(&many).await;
    let now = status(&db).await;
    let some = lag(&now).unwrap();
    assert_eq!((some.commits, some.more), (1000, true));
    assert!(some.line().starts_with("at least 1000 events in 1000 streams"), "{}", some.line());
}

#[tokio::test]
async fn without_an_index_on_the_time_the_lag_is_not_guessed() {
    let db = Db::new("no_lag").await;
    db.write(&good_asset("known")).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    db.collection("Events2").drop_index("Timestamp_-1_EventStream_1").await.unwrap();
    assert!(lag(&status(&db).await).is_none());
}
