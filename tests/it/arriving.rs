//! Events that arrive while the build is at work are noticed, and only what changed is redone.

use bson::Document;
use statefold::{Error, Rebuild, RebuildReport, Strategy, Tuning};

use crate::support::commits::{
    asset_created, asset_renamed, asset_stream, generated, last_asset_stream, next_offset,
};
use crate::support::database::assert_same;
use crate::support::{Db, Gate, OwnServer, commit, no_waiting, oracle, squidex};

/// Stream by stream, so that a test knows where the scan is.
fn by_streams() -> Tuning {
    Tuning { strategy: Some(Strategy::Stream), ..no_waiting() }
}

#[tokio::test]
async fn events_behind_the_scan_are_a_mismatch_and_the_next_run_redoes_their_partition() {
    let mut commits = generated(1500, 5);
    let db = Db::new("arriving").await;
    db.write(&commits).await;
    let last = last_asset_stream(&commits);
    let moment = last.clone();
    let (gated, gate) = Gate::assets(move |event| event.stream == moment);
    let tuning = Tuning { partitions: Some(4), readers: 1, ..by_streams() };
    let running = statefold::rebuild(&db.settings(tuning), &gated, Rebuild::default());
    gate.reached().await;
    // A scan begins at the largest name: both streams are behind it now.
    let new = asset_stream("zzz-new").replace("asset-3", "asset-z3");
    let late = [
        commit(
            &last,
            next_offset(&commits, &last),
            &[("AssetAnnotatedEvent", &asset_renamed("x", "late.png"))],
        ),
        commit(&new, -1, &[("AssetCreatedEventV2", &asset_created("zzz-new"))]),
    ];
    db.append(&late).await;
    gate.open();

    let error = running.await.unwrap_err();
    assert!(matches!(error, Error::Mismatch(_)), "{error}");
    let message = error.to_string();
    assert!(message.contains(&last) && message.contains(&new), "{message}");
    assert!(message.contains("1 streams got events, 1 are new, 0 are gone"), "{message}");
    db.assert_nothing_published().await;

    commits.extend(late);
    let report = db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
    let built = &report.projections[0];
    assert_eq!((built.generation, built.partitions_resumed), (3, built.partitions - 1));
    assert!(built.partitions > 1);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn a_stream_that_goes_away_is_a_mismatch() {
    let commits = generated(300, 5);
    let db = Db::new("going").await;
    db.write(&commits).await;
    let last = last_asset_stream(&commits);
    let moment = last.clone();
    let (gated, gate) = Gate::assets(move |event| event.stream == moment);
    let tuning = Tuning { partitions: Some(1), ..by_streams() };
    let running = statefold::rebuild(&db.settings(tuning), &gated, Rebuild::default());
    gate.reached().await;
    db.collection("Events2").delete_many(bson::doc! { "EventStream": &last }).await.unwrap();
    gate.open();

    let error = running.await.unwrap_err();
    assert!(matches!(error, Error::Mismatch(_)), "{error}");
    assert!(error.to_string().contains("0 streams got events, 0 are new, 1 are gone"), "{error}");
    db.assert_nothing_published().await;

    let left: Vec<_> =
        commits.into_iter().filter(|one| one.get_str("EventStream").unwrap() != last).collect();
    db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&left));
}

/// Rebuilds with one partition and adds a stream that the scan has yet to come to.
async fn with_events_ahead_of_the_scan(db: &Db) -> (Vec<Document>, statefold::Result<RebuildReport>) {
    let mut commits = generated(1500, 6);
    db.write(&commits).await;
    let last = last_asset_stream(&commits);
    let (gated, gate) = Gate::assets(move |event| event.stream == last);
    let tuning = Tuning { partitions: Some(1), batch_commits: 5, ..by_streams() };
    let running = statefold::rebuild(&db.settings(tuning), &gated, Rebuild::default());
    gate.reached().await;
    // The smallest name: a scan comes to it last.
    let created = asset_created("ahead");
    let ahead = commit("asset-0--ahead", -1, &[("AssetCreatedEventV2", &created)]);
    db.append(std::slice::from_ref(&ahead)).await;
    commits.push(ahead);
    gate.open();
    (commits, running.await)
}

#[tokio::test]
async fn events_ahead_of_the_scan_are_part_of_the_result() {
    let db = Db::new("ahead").await;
    let (commits, result) = with_events_ahead_of_the_scan(&db).await;
    result.unwrap();
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    assert!(db.one("States_Assets3", "0--ahead").await.is_some());
}

#[tokio::test]
async fn on_a_standalone_server_any_event_meanwhile_is_a_mismatch() {
    let server = OwnServer::start_with("ahead_standalone", &["--standalone"]);
    let db = Db::at(&server.uri, "ahead_standalone").await;
    let (commits, result) = with_events_ahead_of_the_scan(&db).await;
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Mismatch(_)), "{error:?}");
    db.assert_nothing_published().await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}
