//! The primary of three nodes goes away in the middle of a scan by record ids, which are its own.

use bson::doc;
use mongodb::Client;
use statefold::{NaturalBy, Rebuild, RebuildReport, Strategy, Tuning};

use crate::support::commits::generated;
use crate::support::database::{assert_same, eventually};
use crate::support::{Db, Gate, OwnServer, no_waiting, oracle, squidex};

/// Natural order in many parts, one after the other.
fn tuning() -> Tuning {
    Tuning {
        strategy: Some(Strategy::Natural),
        natural_by: Some(NaturalBy::RecordIds),
        part_commits: 150,
        batch_commits: 40,
        readers: 1,
        partitions: Some(3),
        ..no_waiting()
    }
}

async fn primary(client: &Client) -> Option<String> {
    let hello = client.database("admin").run_command(doc! { "hello": 1 }).await.ok()?;
    hello.get_bool("isWritablePrimary").ok()?.then(|| hello.get_str("me").unwrap().to_owned())
}

/// Rebuilds, and while the fold stands at an event in the middle does something to the primary.
async fn disturbed(test: &str, disturb: impl AsyncFnOnce(&OwnServer, &Client)) {
    let commits = generated(1800, 71);
    let server = OwnServer::start_with(test, &["--nodes", "3"]);
    let mut db = Db::at(&server.uri, test).await;
    db.selection_ms = 15_000;
    db.write(&commits).await;
    let mut streams = commits[900..].iter().map(|one| one.get_str("EventStream").unwrap());
    let of_an_asset = |name: &&str| name.starts_with("asset-") && !name.ends_with("--deleted");
    let stream = streams.find(of_an_asset).unwrap().to_owned();
    let (gated, gate) = Gate::assets(move |event| event.stream == stream);
    let running = statefold::rebuild(&db.settings(tuning()), &gated, Rebuild::default());
    gate.reached().await;
    let client = Client::with_uri_str(&server.uri).await.unwrap();
    let before = primary(&client).await.unwrap();
    disturb(&server, &client).await;
    eventually("another primary", || async {
        let now = primary(&client).await;
        now.is_some_and(|now| now != before)
    })
    .await;
    gate.open();
    let report: RebuildReport = running.await.unwrap();
    assert_eq!(report.pass.as_ref().unwrap().divided_by, Some(NaturalBy::RecordIds.to_string()));
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    let by_streams = Tuning { strategy: Some(Strategy::Stream), ..tuning() };
    let again = db.rebuild(&squidex(), &["Assets"], by_streams).await.unwrap();
    assert_eq!(again.projections[0].digest, report.projections[0].digest);
}

#[tokio::test]
async fn a_primary_that_steps_down_costs_nothing() {
    disturbed("stepped_down", async |_: &OwnServer, client: &Client| {
        let step_down = doc! { "replSetStepDown": 60, "secondaryCatchUpPeriodSecs": 10 };
        // It closes connections, also the one this came by.
        let _ = client.database("admin").run_command(step_down).await;
    })
    .await;
}

#[tokio::test]
async fn after_the_death_of_the_primary_the_scan_begins_anew_on_another_node() {
    disturbed("primary_died", async |server: &OwnServer, _: &Client| server.kill().await).await;
}
