//! Streams that can't be folded: recorded, counted against the limit, and nothing else held up.

use bson::Document;
use statefold::ErrorLimit;
use statefold::StoredFailedStream;
use statefold::{Error, Tuning};

use crate::support::commits::{asset_created, asset_renamed, asset_stream, good_asset};
use crate::support::database::assert_same;
use crate::support::{Db, commit, no_waiting, oracle, squidex};

/// Twenty good streams and three that can't be folded.
fn commits() -> Vec<Document> {
    let mut commits: Vec<Document> = (10..30).flat_map(|id| good_asset(&format!("good-{id}"))).collect();
    let (broken, hole, no_app) = (asset_stream("broken"), asset_stream("hole"), asset_stream("no-app"));
    let created = |id: &str| asset_created(id);
    commits.extend([
        commit(&broken, -1, &[("AssetCreatedEventV2", &created("broken"))]),
        commit(&broken, 0, &[("AssetAnnotatedEvent", "{\"fileName\":")]),
        commit(&hole, -1, &[("AssetCreatedEventV2", &created("hole"))]),
        commit(&hole, 1, &[("AssetAnnotatedEvent", &asset_renamed("hole", "later.png"))]),
        commit(&no_app, -1, &[("AssetCreatedEventV2", &created("no-app").replace("\"appId\"", "\"x\""))]),
    ]);
    commits
}

fn allowing(max_errors: ErrorLimit) -> Tuning {
    Tuning { max_errors, partitions: Some(4), ..no_waiting() }
}

async fn database(test: &str) -> Db {
    let db = Db::new(test).await;
    db.write(&commits()).await;
    db
}

#[tokio::test]
async fn too_many_failed_streams_keep_the_build_but_publish_nothing() {
    let db = database("failed_streams").await;
    let error = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap_err();
    let Error::FailedStreams { projection, failed_streams, streams, examples, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((projection.as_str(), failed_streams, streams), ("Assets", 3, 23));
    assert_eq!(examples.len(), 3);
    db.assert_nothing_published().await;
    let staging = db.staging("States_Assets3").await.unwrap();
    assert_same(&db.read(&staging).await, &oracle::assets(&commits()));
    assert_eq!(db.read(&staging).await.len(), 20);
}

#[tokio::test]
async fn failed_streams_say_where_and_why() {
    let db = database("failed_stream_rows").await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap_err();
    let settings = db.settings(no_waiting());
    let found = statefold::failed_streams(&settings, &squidex(), Some("assets"), 0).await.unwrap();
    let row = |letter: &StoredFailedStream| {
        assert_eq!(letter.build, "Assets3");
        assert!(!letter.message.is_empty());
        (letter.stream.clone(), letter.offset, letter.event_type.clone(), letter.reason.clone())
    };
    let expected = [
        ("broken", 1, "AssetAnnotatedEvent", "payload"),
        ("hole", 1, "", "hole"),
        // Noticed at the end of the stream, behind its only event.
        ("no-app", 1, "", "missing_field"),
    ];
    let expected = expected.map(|(id, offset, event_type, reason)| {
        (asset_stream(id), offset, event_type.to_owned(), reason.to_owned())
    });
    assert_eq!(found.iter().map(row).collect::<Vec<_>>(), expected);

    let details = statefold::failed_stream(&settings, &squidex(), &asset_stream("broken")).await.unwrap();
    assert_eq!(details.len(), 1);
    let commit = details[0].commit.as_ref().unwrap();
    assert_eq!(commit["Events"][0]["Payload"], "{\"fileName\":");
}

#[tokio::test]
async fn a_higher_limit_publishes_what_is_built_without_redoing_it() {
    let db = database("higher_limit").await;
    let refused = db.rebuild(&squidex(), &["Assets"], allowing(ErrorLimit::Count(2))).await;
    assert!(matches!(refused, Err(Error::FailedStreams { .. })), "{refused:?}");

    let report = db.rebuild(&squidex(), &["Assets"], allowing(ErrorLimit::Count(3))).await.unwrap();

    let built = &report.projections[0];
    assert!(built.partitions > 1);
    assert_eq!(built.partitions_resumed, built.partitions);
    assert_eq!((built.failed_streams, built.snapshots, built.generation), (3, 20, 3));
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits()));
}

#[tokio::test]
async fn a_share_of_the_streams_is_a_limit_too() {
    let db = database("percent").await;
    // 3 of 23 are 13.04 %.
    let refused = db.rebuild(&squidex(), &["Assets"], allowing(ErrorLimit::Percent(13.0))).await;
    assert!(matches!(refused, Err(Error::FailedStreams { .. })), "{refused:?}");
    db.assert_nothing_published().await;
    let report = db.rebuild(&squidex(), &["Assets"], allowing(ErrorLimit::Percent(13.1))).await.unwrap();
    assert_eq!(report.projections[0].failed_streams, 3);
}
