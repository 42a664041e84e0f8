//! A rebuild that is cancelled, or dropped, keeps what is done and goes on from there.

use statefold::{Error, Rebuild, Strategy, Tuning};

use crate::support::commits::generated;
use crate::support::database::{assert_same, eventually};
use crate::support::{Db, Gate, no_waiting, oracle, squidex};

/// One partition at a time; the gate is in front of the third one.
fn tuning() -> Tuning {
    Tuning { threads: 1, readers: 1, partitions: Some(6), strategy: Some(Strategy::Stream), ..no_waiting() }
}

#[tokio::test]
async fn a_cancelled_rebuild_is_resumed_to_the_digest_of_an_undisturbed_one() {
    let commits = generated(1500, 8);
    let (db, undisturbed) = (Db::new("cancelled").await, Db::new("undisturbed").await);
    db.write(&commits).await;
    undisturbed.write(&commits).await;
    // Partitions go from small names to large ones, so that this is the last of them.
    let last = crate::support::commits::last_asset_stream(&commits);
    let (gated, gate) = Gate::assets(move |event| event.stream == last);
    let running = statefold::rebuild(&db.settings(tuning()), &gated, Rebuild::default());
    gate.reached().await;
    assert!(db.one("Migration", "Statefold").await.unwrap().contains_key("Lease"));
    // The application's servers may start meanwhile.
    assert_eq!(db.one("Migration", "Default").await, None);
    running.cancellation().cancel();
    gate.open();
    let error = running.await.unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    db.assert_nothing_published().await;
    let plan = statefold::preview(&db.settings(tuning()), &squidex(), &["Assets".into()]).await.unwrap();
    let resumable = plan.projections[0].resumable.clone().unwrap();
    assert_eq!(resumable.partitions_done, resumable.partitions - 1);

    let report = db.rebuild(&squidex(), &["Assets"], tuning()).await.unwrap();
    let expected = undisturbed.rebuild(&squidex(), &["Assets"], tuning()).await.unwrap();

    let (built, expected) = (&report.projections[0], &expected.projections[0]);
    assert_eq!(built.partitions_resumed, built.partitions - 1);
    assert_eq!((&built.digest, built.snapshots), (&expected.digest, expected.snapshots));
    assert_eq!((built.streams, built.events), (expected.streams, expected.events));
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn a_dropped_rebuild_gives_the_lease_back() {
    let db = Db::new("dropped").await;
    db.write(&generated(300, 8)).await;
    let (gated, gate) = Gate::assets(|_| true);
    let running = statefold::rebuild(&db.settings(tuning()), &gated, Rebuild::default());
    gate.reached().await;
    drop(running);
    gate.open();
    eventually("the lease to be free", || async {
        !db.one("Migration", "Statefold").await.unwrap().contains_key("Lease")
    })
    .await;
    db.assert_nothing_published().await;
    db.rebuild(&squidex(), &["Assets"], tuning()).await.unwrap();
}

#[tokio::test]
async fn a_rebuild_cancelled_before_it_began_writes_nothing() {
    let db = Db::new("never_began").await;
    db.write(&generated(100, 8)).await;
    let before = db.collections().await;
    let running = statefold::rebuild(&db.settings(tuning()), &squidex(), Rebuild::default());
    running.cancellation().cancel();
    let error = running.await.unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    assert_eq!(db.collections().await, before);
}
