//! Events that arrive while the build is at work are caught up with.

use bson::Document;
use statefold::{Rebuild, RebuildReport, Strategy, Tuning};

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
async fn events_behind_the_scan_are_caught_up_with() {
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

    let report = running.await.unwrap();
    commits.extend(late);
    let built = &report.projections[0];
    assert!(built.partitions > 1);
    assert_eq!((built.generation, built.streams_refolded), (3, 2));
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    // Digest and counts are those of a build that nobody disturbed.
    let again = db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
    let undisturbed = &again.projections[0];
    assert_eq!(
        (&built.digest, built.snapshots, built.streams),
        (&undisturbed.digest, undisturbed.snapshots, undisturbed.streams)
    );
}

#[tokio::test]
async fn a_stream_that_goes_away_leaves_nothing() {
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

    let report = running.await.unwrap();
    let left: Vec<_> =
        commits.into_iter().filter(|one| one.get_str("EventStream").unwrap() != last).collect();
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&left));
    let again = db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
    let (built, undisturbed) = (&report.projections[0], &again.projections[0]);
    assert_eq!((&built.digest, built.streams), (&undisturbed.digest, undisturbed.streams));
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
async fn on_a_standalone_server_events_are_found_by_comparing() {
    let server = OwnServer::start_with("ahead_standalone", &["--standalone"]);
    let db = Db::at(&server.uri, "ahead_standalone").await;
    let (commits, result) = with_events_ahead_of_the_scan(&db).await;
    result.unwrap();
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}
