//! What a program sees in its own recorder that links the library. A program of its own, because it has one
//! recorder.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

#[path = "cli/exposition.rs"]
#[expect(dead_code, reason = "only the command line is held against the documentation")]
mod exposition;
#[path = "support/mod.rs"]
mod support;

use metrics_exporter_prometheus::PrometheusBuilder;
use statefold::{Rebuild, Tuning, rebuild};

use crate::exposition::Exposition;
use crate::support::commits::{asset_stream, good_asset};
use crate::support::database::behind_a_fence;
use crate::support::{Db, commit, no_waiting, squidex};

const ASSETS: (&str, &str) = ("projection", "Assets");

async fn runs(db: &Db, tuning: Tuning) -> bool {
    let settings = db.settings(tuning).with_database_metrics(true);
    rebuild(&settings, &squidex(), Rebuild::of(["Assets"])).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_overs_are_timed_and_what_is_over_is_gone() {
    let buckets = [0.001, 1.0];
    let recorder = PrometheusBuilder::new().set_buckets(&buckets).unwrap().install_recorder().unwrap();
    let now = || Exposition::read(&recorder.render());
    let db = Db::new("metrics").await;
    db.write(&[good_asset("a"), good_asset("b")].concat()).await;

    assert!(runs(&db, behind_a_fence()).await);
    let shown = now();
    assert_eq!(shown.one("statefold_fence_seconds_count", &[]), 1.0);
    assert_eq!(shown.one("statefold_fence_seconds_bucket", &[("le", "0.001")]), 0.0);
    assert_eq!(shown.one("statefold_drain_seconds_count", &[]), 0.0);
    assert_eq!(shown.one("statefold_fenced", &[]), 0.0);
    assert_eq!(shown.one("statefold_active_generation", &[ASSETS]), 3.0);
    let (first, verified) = (
        shown.one("statefold_last_cutover_timestamp_seconds", &[ASSETS]),
        shown.one("statefold_last_verify_timestamp_seconds", &[ASSETS]),
    );
    assert!(first > 1.7e9 && (first - verified).abs() < 60.0, "{first} {verified}");
    assert_eq!(shown.one("statefold_phase", &[ASSETS, ("phase", "done")]), 1.0);

    assert!(runs(&db, no_waiting()).await);
    let shown = now();
    assert_eq!(shown.one("statefold_fence_seconds_count", &[]), 1.0);
    assert_eq!(shown.one("statefold_drain_seconds_count", &[]), 1.0);
    assert_eq!(shown.one("statefold_active_generation", &[ASSETS]), 4.0);
    assert_eq!(shown.one("statefold_lease_token", &[]), 0.0);
    // Both builds are over: what was planned is what was read, whatever the estimates.
    let build = [ASSETS, ("work", "build")];
    assert_eq!(shown.one("statefold_commits_total", &build), 8.0);
    assert_eq!(shown.one("statefold_commits_planned", &build), 8.0);

    db.append(&[commit(&asset_stream("c"), -1, &[("AssetCreatedEventV2", "{")])]).await;
    assert!(!runs(&db, no_waiting()).await);
    let shown = now();
    assert_eq!(shown.one("statefold_failed_streams_total", &build), 1.0);
    assert_eq!(shown.all("statefold_phase", &[ASSETS]).iter().sum::<f64>(), 0.0);
    assert_eq!(shown.all("statefold_waiting", &[]).iter().sum::<f64>(), 0.0);
    assert_eq!(shown.one("statefold_active_generation", &[ASSETS]), 4.0);
}
