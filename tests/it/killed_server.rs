//! The server is killed in the middle of a build and comes back.

use statefold::{Class, Rebuild, Strategy, Tuning};

use crate::support::commits::{generated, last_asset_stream};
use crate::support::database::assert_same;
use crate::support::{Db, Gate, OwnServer, no_waiting, oracle, squidex};

#[tokio::test]
async fn a_build_whose_server_was_killed_is_resumed_with_the_right_result() {
    let commits = generated(1500, 31);
    let server = OwnServer::start("killed");
    let mut db = Db::at(&server.uri, "killed").await;
    db.selection_ms = 200;
    db.write(&commits).await;
    let strategy = Some(Strategy::Stream);
    let tuning = Tuning { threads: 1, readers: 1, partitions: Some(4), strategy, ..no_waiting() };
    let last = last_asset_stream(&commits);
    let (gated, gate) = Gate::assets(move |event| event.stream == last);
    let running = statefold::rebuild(&db.settings(tuning), &gated, Rebuild::default());
    gate.reached().await;
    server.kill().await;
    gate.open();
    let error = running.await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");

    server.restart();
    let report = db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
    let built = &report.projections[0];
    // The record of the last partition but one may have been on its way to the disks.
    assert_eq!((built.generation, built.partitions), (3, 4));
    assert!((2..=3).contains(&built.partitions_resumed), "{}", built.partitions_resumed);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    db.assert_unlocked().await;
    let again = db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
    assert_eq!(again.projections[0].digest, built.digest);
}
