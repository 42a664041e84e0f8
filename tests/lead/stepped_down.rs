//! The primary steps down again and again while servers claim, renew, build and release on short
//! leases: the history of all their writes keeps the rules.

use std::time::Duration;

use bson::{Document, doc};
use futures::StreamExt;
use mongodb::Client;
use mongodb::options::{ChangeStreamPreAndPostImages, FullDocumentType};
use statefold::{LeaseSettings, Outcome};
use tokio::task::JoinHandle;

use crate::starts::{assert_free, ms, patient, start};
use crate::support::commits::generated;
use crate::support::database::{assert_same, eventually};
use crate::support::history::{Write, check};
use crate::support::versions::assets_of;
use crate::support::{Db, OwnServer, oracle};

const SERVERS: usize = 4;
const STEP_DOWNS: usize = 8;

/// Records the history from now on, until something is written to the collection `TheEnd`.
async fn record(db: &Db) -> JoinHandle<Vec<Write>> {
    let images = ChangeStreamPreAndPostImages::builder().enabled(true).build();
    for name in ["Migration", "Statefold_Builds", "Statefold_Checkpoints"] {
        let create = db.db.create_collection(name).change_stream_pre_and_post_images(images.clone());
        create.await.unwrap();
    }
    let mut changes = db.db.watch().full_document(FullDocumentType::WhenAvailable).await.unwrap();
    tokio::spawn(async move {
        let mut history = Vec::new();
        while let Some(change) = changes.next().await {
            let change = change.unwrap();
            if change.ns.as_ref().and_then(|ns| ns.coll.as_deref()) == Some("TheEnd") {
                break;
            }
            history.extend(Write::of(&change));
        }
        history
    })
}

async fn primary(client: &Client) -> Option<String> {
    let hello = client.database("admin").run_command(doc! { "hello": 1 }).await.ok()?;
    hello.get_bool("isWritablePrimary").ok()?.then(|| hello.get_str("me").unwrap().to_owned())
}

/// Lets one primary after the other step down; between two of them the lease changes hands, and then
/// goes some way that differs each time.
async fn step_down(client: Client, control: mongodb::Collection<Document>) {
    let token = || async {
        let found = control.find_one(doc! { "_id": "Statefold" }).await.ok().flatten();
        found.and_then(|control| control.get_i64("LeaseToken").ok()).unwrap_or(0)
    };
    for round in 0..STEP_DOWNS {
        let (token_before, primary_before) = (token().await, primary(&client).await);
        eventually("another token", || async { token().await > token_before }).await;
        tokio::time::sleep(ms(70) * u32::try_from(round).unwrap()).await;
        eventually("another primary", || async {
            let command = doc! { "replSetStepDown": 3, "secondaryCatchUpPeriodSecs": 2 };
            // It closes connections, also the one this came by.
            let _ = client.database("admin").run_command(command).await;
            let now = primary(&client).await;
            now.is_some() && now != primary_before
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_rise_and_no_old_one_writes_while_primaries_step_down() {
    let commits = generated(600, 77);
    let server = OwnServer::start_with("lead-stepped-down", &["--nodes", "3"]);
    let mut db = Db::at(&server.uri, "stepped_down").await;
    db.selection_ms = 15_000;
    let (ttl, renew) = (ms(1500), Some(ms(150)));
    db.lease = LeaseSettings { ttl, renew, attempts: 1000, ..patient() };
    db.write(&commits).await;
    let history = record(&db).await;
    let client = Client::with_uri_str(&server.uri).await.unwrap();
    let stepping = tokio::spawn(step_down(client, db.collection("Migration")));
    let mut version = 0;
    while !stepping.is_finished() {
        version += 1;
        let registry = assets_of(version);
        let starting: Vec<_> = (0..SERVERS).map(|_| start(&db, &registry)).collect();
        let mut led = 0;
        for one in starting {
            led += usize::from(matches!(one.await.unwrap(), Outcome::Led { .. }));
        }
        // A leader whose last answers were lost takes itself for a follower.
        assert!(led <= 1, "{led} servers say that they migrated to version {version}");
    }
    stepping.await.unwrap();

    assert_free(&db).await;
    let pointer = db.pointer("Assets").await.unwrap();
    assert_eq!(pointer.get_i64("ProjectionVersion").unwrap(), i64::from(version));
    assert_same(&db.read(pointer.get_str("Collection").unwrap()).await, &oracle::assets(&commits));
    db.collection("TheEnd").insert_one(doc! {}).await.unwrap();
    let history = tokio::time::timeout(Duration::from_secs(60), history).await.unwrap().unwrap();
    let findings = check(&history);
    assert_eq!(findings.violations, Vec::<String>::new());
    assert!(findings.taken >= STEP_DOWNS && findings.flips == usize::try_from(version).unwrap());
    assert!(findings.kept > 0 && findings.released > 0, "{findings:?}");
}
