//! A rebuild that is stopped in each phase of each strategy, and resumed.

use bson::doc;
use statefold::{Error, Rebuild, Strategy, Tuning};

use crate::support::commits::{generated, last_asset_stream};
use crate::support::database::{assert_same, eventually};
use crate::support::server::stop_failing;
use crate::support::{Db, Gate, OwnServer, fail_command, no_waiting, oracle, squidex};

fn tuning(strategy: Strategy) -> Tuning {
    let one = Tuning { threads: 1, readers: 1, partitions: Some(6), part_commits: 400, ..no_waiting() };
    Tuning { strategy: Some(strategy), ..one }
}

const STRATEGIES: [Strategy; 3] = [Strategy::Natural, Strategy::Spill, Strategy::Stream];

/// Cancels a rebuild where `gate` stops it, resumes it, and returns the partitions that were kept.
async fn cancelled_and_resumed(test: &str, strategy: Strategy, in_snapshots: bool) -> usize {
    let commits = generated(1800, 61);
    let (db, undisturbed) = (Db::new(test).await, Db::new("phases_undisturbed").await);
    db.write(&commits).await;
    undisturbed.write(&commits).await;
    let last = last_asset_stream(&commits);
    let (gated, gate) = if in_snapshots {
        Gate::asset_snapshots(move |stream| stream == last)
    } else {
        Gate::assets(move |event| event.stream == last)
    };
    let running = statefold::rebuild(&db.settings(tuning(strategy)), &gated, Rebuild::default());
    gate.reached().await;
    running.cancellation().cancel();
    gate.open();
    let error = running.await.unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{strategy}: {error}");
    db.assert_nothing_published().await;

    let report = db.rebuild(&squidex(), &["Assets"], tuning(strategy)).await.unwrap();
    let expected = undisturbed.rebuild(&squidex(), &["Assets"], tuning(strategy)).await.unwrap();
    let (built, expected) = (&report.projections[0], &expected.projections[0]);
    assert_eq!((built.generation, &built.digest), (3, &expected.digest), "{strategy}");
    assert_eq!((built.commits, built.events), (expected.commits, expected.events), "{strategy}");
    assert_eq!((built.streams, built.snapshots), (expected.streams, expected.snapshots), "{strategy}");
    assert!(built.partitions > 2);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    built.partitions_resumed
}

#[tokio::test]
async fn stopped_while_reading_in_memory_everything_is_read_again() {
    assert_eq!(cancelled_and_resumed("reading", Strategy::Natural, false).await, 0);
}

#[tokio::test]
async fn stopped_while_writing_the_written_partitions_are_kept() {
    for strategy in STRATEGIES {
        let kept = cancelled_and_resumed("writing", strategy, true).await;
        assert!(kept >= 4, "{strategy}: {kept}");
    }
}

#[tokio::test]
async fn a_resumed_build_may_be_read_in_another_order() {
    let commits = generated(1800, 62);
    let db = Db::new("other_order").await;
    db.write(&commits).await;
    let last = last_asset_stream(&commits);
    let (gated, gate) = Gate::asset_snapshots(move |stream| stream == last);
    let running = statefold::rebuild(&db.settings(tuning(Strategy::Natural)), &gated, Rebuild::default());
    gate.reached().await;
    running.cancellation().cancel();
    gate.open();
    running.await.unwrap_err();
    let report = db.rebuild(&squidex(), &["Assets"], tuning(Strategy::Stream)).await.unwrap();
    assert!(report.projections[0].partitions_resumed >= 4);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

/// An insert is held up by the server; meanwhile the server is killed.
#[tokio::test]
async fn a_server_killed_while_snapshots_are_written_loses_nothing() {
    let commits = generated(1800, 63);
    let server = OwnServer::start("phases_killed");
    let mut db = Db::at(&server.uri, "phases_killed").await;
    db.selection_ms = 200;
    db.write(&commits).await;
    for (strategy, generation) in STRATEGIES.into_iter().zip(3..) {
        // Past the record of the build and some partitions: their heads are inserted, too.
        let data = doc! { "failCommands": ["insert"], "blockConnection": true, "blockTimeMS": 20_000 };
        fail_command(&server.uri, &db.app, doc! { "skip": 12 }, data).await;
        let running = statefold::rebuild(&db.settings(tuning(strategy)), &squidex(), Rebuild::of(["Assets"]));
        let progress = running.progress();
        eventually("some snapshots", || async { progress.borrow().snapshots > 0 }).await;
        server.kill().await;
        let error = running.await.unwrap_err();
        assert_eq!(error.class(), statefold::Class::Transient, "{strategy}: {error:?}");
        server.restart();
        let report = db.rebuild(&squidex(), &["Assets"], tuning(strategy)).await.unwrap();
        let _ = stop_failing(&server.uri).await;
        assert_eq!(report.projections[0].generation, generation, "{strategy}");
        assert_same(&db.read(&format!("States_Assets{generation}")).await, &oracle::assets(&commits));
    }
}
