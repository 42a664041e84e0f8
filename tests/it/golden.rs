//! The worked examples of Squidex's format, all in one event store, through the server.

use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use serde::Deserialize;

use crate::support::database::{Documents, assert_same};
use crate::support::{Db, no_waiting, oracle, squidex};

#[derive(Deserialize)]
struct Case {
    name: String,
    collection: String,
    commits: Vec<Document>,
    expected: Option<Document>,
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../projections/tests/golden/squidex.json")).unwrap();
    assert_eq!(cases.len(), 10);
    cases
}

fn commits(cases: &[Case]) -> Vec<Document> {
    let mut commits: Vec<Document> = cases.iter().flat_map(|case| case.commits.clone()).collect();
    // Some examples use the same commit ids; nothing depends on them.
    for commit in &mut commits {
        commit.insert("_id", bson::Uuid::new().to_string());
    }
    commits
}

fn expected(cases: &[Case], collection: &str) -> Documents {
    let of_collection = cases.iter().filter(|case| case.collection == collection);
    let documents = of_collection.filter_map(|case| case.expected.clone());
    documents.map(|document| (document.get_str("_id").unwrap().to_owned(), document)).collect()
}

#[test]
fn the_oracle_agrees_with_the_worked_examples() {
    let cases = cases();
    let commits = commits(&cases);
    assert_same(&oracle::assets(&commits), &expected(&cases, "States_Assets2"));
    assert_same(&oracle::asset_folders(&commits), &expected(&cases, "States_AssetFolders2"));
}

#[tokio::test]
async fn a_rebuild_gives_the_documents_of_the_worked_examples() {
    let cases = cases();
    let db = Db::new("golden").await;
    db.write(&commits(&cases)).await;
    let report = db.rebuild(&squidex(), &[], no_waiting()).await.unwrap();

    let names: Vec<&str> = report.projections.iter().map(|built| built.projection.as_str()).collect();
    assert_eq!(names, ["Assets", "AssetFolders"]);
    assert_same(&db.read("States_Assets3").await, &expected(&cases, "States_Assets2"));
    assert_same(&db.read("States_AssetFolders3").await, &expected(&cases, "States_AssetFolders2"));
    let deleted_for_good = cases.iter().find(|case| case.name.starts_with("A8")).unwrap();
    let stream = deleted_for_good.commits[0].get_str("EventStream").unwrap();
    let key = stream.strip_prefix("asset-").unwrap().strip_suffix("--deleted").unwrap();
    assert_eq!(db.one("States_Assets3", key).await, None);
    assert_eq!(db.one("States_Assets3", &format!("{key}--deleted")).await, None);
}

#[tokio::test]
async fn a_rebuild_makes_the_indexes_of_squidex() {
    let db = Db::new("indexes").await;
    db.write(&commits(&cases())).await;
    db.rebuild(&squidex(), &[], no_waiting()).await.unwrap();
    let index = |key: Document, name: &str| doc! { "v": 2, "key": key, "name": name };
    let assets = vec![
        index(doc! { "_id": 1 }, "_id_"),
        index(
            doc! { "mt": -1, "id": 1, "_ai": 1, "dl": 1, "pi": 1, "td": 1 },
            "mt_-1_id_1__ai_1_dl_1_pi_1_td_1",
        ),
        index(doc! { "_ai": 1, "sl": 1 }, "_ai_1_sl_1"),
        index(doc! { "_ai": 1, "fh": 1 }, "_ai_1_fh_1"),
        index(doc! { "id": 1, "dl": 1 }, "id_1_dl_1"),
    ];
    assert_eq!(indexes(&db, "States_Assets3").await, texts(assets));
    let folders =
        vec![index(doc! { "_id": 1 }, "_id_"), index(doc! { "_ai": 1, "pi": 1, "dl": 1 }, "_ai_1_pi_1_dl_1")];
    assert_eq!(indexes(&db, "States_AssetFolders3").await, texts(folders));
}

async fn indexes(db: &Db, collection: &str) -> Vec<String> {
    let cursor = db.db.run_cursor_command(doc! { "listIndexes": collection }).await.unwrap();
    let found: Vec<Document> = cursor.try_collect().await.unwrap();
    texts(found)
}

/// As text, because equality of documents leaves the order of elements out, which counts here.
fn texts(indexes: Vec<Document>) -> Vec<String> {
    let mut texts: Vec<String> =
        indexes.into_iter().map(|index| Bson::Document(index).into_relaxed_extjson().to_string()).collect();
    texts.sort();
    texts
}
