//! A generated event store of 20,000 commits: every document equals the naive expectation.

use bson::{Document, doc};
use futures::TryStreamExt;
use statefold::Tuning;
use statefold::{FixtureRequest, write_fixture};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::support::database::assert_same;
use crate::support::{Db, oracle, squidex};

#[tokio::test]
async fn every_document_of_a_generated_store_equals_the_oracle() {
    let db = Db::new("generated").await;
    let (written, _) = watch::channel(0);
    let request = FixtureRequest { commits: 20_000, seed: 7, ..FixtureRequest::default() };
    let settings = db.settings(Tuning::default());
    write_fixture(&settings, request, written, CancellationToken::new()).await.unwrap();
    let commits: Vec<Document> =
        db.collection("Events2").find(doc! {}).await.unwrap().try_collect().await.unwrap();
    assert_eq!(commits.len(), 20_000);

    let report = db.rebuild(&squidex(), &[], Tuning::default()).await.unwrap();

    let (assets, folders) = (oracle::assets(&commits), oracle::asset_folders(&commits));
    assert!(assets.len() > 500 && folders.len() > 50, "{} {}", assets.len(), folders.len());
    assert_same(&db.read("States_Assets3").await, &assets);
    assert_same(&db.read("States_AssetFolders3").await, &folders);
    let snapshots: Vec<u64> = report.projections.iter().map(|built| built.snapshots).collect();
    assert_eq!(snapshots, [assets.len() as u64, folders.len() as u64]);
}
