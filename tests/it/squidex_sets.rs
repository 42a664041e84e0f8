//! Databases of the real Squidex, in every layout it knows: what is built equals what its own rebuilder
//! wrote, byte for byte.

use std::collections::BTreeMap;
use std::path::Path;

use bson::raw::RawBsonRef;
use bson::{Document, RawDocumentBuf, doc};
use futures::TryStreamExt;
use mongodb::Database;
use statefold::squidex::{SquidexOptions, ValueRepresentation, registry_with};
use statefold::{Adopt, CutOverMode, Rebuild, Verification};

use crate::support::database::no_waiting;
use crate::support::{Db, OwnServer, squidex_data};

/// Collections by the names that Squidex gives them, and the next generation of each.
const UNDIVIDED: [(&str, &str); 4] = [
    ("States_Apps", "States_Apps2"),
    ("States_Teams", "States_Teams2"),
    ("States_Schemas", "States_Schemas2"),
    ("States_Rules", "States_Rules2"),
];

/// Restores the event store of a set, and its snapshots if they are wanted.
async fn restored(set: &str, with: &[&str]) -> Option<Db> {
    let directory = squidex_data::directory()?;
    let db = Db::new(&format!("set_{set}")).await;
    db.write(&[]).await;
    for name in ["Events2"].iter().chain(with) {
        restore(&db.db, &directory, set, name).await;
    }
    Some(db)
}

/// Restores a collection of a set.
pub(crate) async fn restore(database: &Database, directory: &Path, set: &str, name: &str) {
    restore_as(database, squidex_data::collection(directory, set, name), name).await;
}

/// Writes documents into a collection.
pub(crate) async fn restore_as(database: &Database, documents: Vec<RawDocumentBuf>, name: &str) {
    database.create_collection(name).await.ok();
    if !documents.is_empty() {
        database.collection::<RawDocumentBuf>(name).insert_many(documents).await.unwrap();
    }
}

/// The documents of a collection by `_id`, their bytes as they are.
async fn stored(db: &Db, name: &str) -> BTreeMap<String, RawDocumentBuf> {
    documents(&db.db, name).await
}

pub(crate) async fn documents(database: &Database, name: &str) -> BTreeMap<String, RawDocumentBuf> {
    let all = database.collection::<RawDocumentBuf>(name).find(doc! {}).await.unwrap();
    let all: Vec<RawDocumentBuf> = all.try_collect().await.unwrap();
    all.into_iter().map(|document| (document.get_str("_id").unwrap().to_owned(), document)).collect()
}

/// Rebuilds a set and compares each of these collections with the one that Squidex wrote.
async fn assert_rebuilt(set: &str, options: SquidexOptions, divided: &[(&str, &str)]) {
    let Some(db) = restored(set, &[]).await else { return };
    let report = db.rebuild(&registry_with(options), &[], no_waiting()).await.unwrap();
    assert!(report.projections.iter().all(|built| built.failed_streams == 0), "{report:?}");
    let directory = squidex_data::directory().unwrap();
    for (theirs, ours) in UNDIVIDED.iter().chain(divided) {
        let found = stored(&db, ours).await;
        let expected = squidex_data::collection(&directory, set, theirs);
        assert_eq!(found.len(), expected.len(), "{set}: {ours}");
        for document in expected {
            let id = document.get_str("_id").unwrap();
            let same = found.get(id).is_some_and(|found| comparable(found) == comparable(&document));
            assert!(same, "{set}: {ours}: {id}: {:?}\n{document:?}", found.get(id));
        }
    }
}

/// The document without the id of a schedule, which Squidex makes anew in every rebuild.
pub(crate) fn comparable(document: &RawDocumentBuf) -> RawDocumentBuf {
    if !matches!(document.get("sj"), Ok(Some(RawBsonRef::Document(_)))) {
        return document.clone();
    }
    let mut document = Document::try_from(document).unwrap();
    document.get_document_mut("sj").unwrap().insert("_id", "");
    RawDocumentBuf::try_from(&document).unwrap()
}

/// Assets, folders and contents of a Squidex without shards.
const USUAL: [(&str, &str); 4] = [
    ("States_Assets2", "States_Assets3"),
    ("States_AssetFolders2", "States_AssetFolders3"),
    ("States_Contents_All3", "States_Contents_All4"),
    ("States_Contents_Published3", "States_Contents_Published4"),
];

#[tokio::test]
async fn a_squidex_with_default_settings() {
    assert_rebuilt("plain", SquidexOptions::default(), &USUAL).await;
}

#[tokio::test]
async fn a_squidex_that_stores_values_as_text() {
    let values = ValueRepresentation::Text;
    assert_rebuilt("asstring", SquidexOptions { values, ..SquidexOptions::default() }, &USUAL).await;
}

#[tokio::test]
async fn a_squidex_that_stores_values_as_bytes() {
    let values = ValueRepresentation::Binary;
    assert_rebuilt("asbinary", SquidexOptions { values, ..SquidexOptions::default() }, &USUAL).await;
}

#[tokio::test]
async fn a_squidex_that_also_has_databases_of_single_apps() {
    assert_rebuilt("dedicated", SquidexOptions::default(), &USUAL).await;
}

#[tokio::test]
async fn a_squidex_that_divides_its_collections() {
    let options = SquidexOptions { asset_shards: 2, content_shards: 3, ..SquidexOptions::default() };
    let divided = [
        ("States_Assets2_0", "States_Assets3_0"),
        ("States_Assets2_1", "States_Assets3_1"),
        ("States_AssetFolders2", "States_AssetFolders3"),
        ("States_Contents_All3_0", "States_Contents_All4_0"),
        ("States_Contents_All3_1", "States_Contents_All4_1"),
        ("States_Contents_All3_2", "States_Contents_All4_2"),
        ("States_Contents_Published3_0", "States_Contents_Published4_0"),
        ("States_Contents_Published3_1", "States_Contents_Published4_1"),
        ("States_Contents_Published3_2", "States_Contents_Published4_2"),
    ];
    assert_rebuilt("sharded", options, &divided).await;
}

#[tokio::test]
async fn other_shards_than_the_application_has_are_refused_by_the_name_of_the_setting() {
    let shards = ["States_Assets2", "States_Assets2_0", "States_Assets2_1"];
    let Some(db) = restored("sharded", &shards).await else { return };
    for asset_shards in [0, 3] {
        let registry = registry_with(SquidexOptions { asset_shards, ..SquidexOptions::default() });
        let refused = db.rebuild(&registry, &["Assets"], no_waiting()).await.unwrap_err().to_string();
        assert!(refused.contains("asset_shards") && refused.contains("assetShardCount"), "{refused}");
        assert!(refused.contains("States_Assets2_1 shows") && refused.contains("in 2 shards"), "{refused}");
    }
    let Some(plain) = restored("plain", &["States_Assets2"]).await else { return };
    let registry = registry_with(SquidexOptions { asset_shards: 2, ..SquidexOptions::default() });
    let refused = plain.rebuild(&registry, &["Assets"], no_waiting()).await.unwrap_err().to_string();
    assert!(refused.contains("States_Assets2 shows that the application has them undivided"), "{refused}");
}

#[tokio::test]
async fn a_cut_over_that_ended_between_two_shards_is_finished_by_the_next_run() {
    let theirs = ["States_Assets2", "States_Assets2_0", "States_Assets2_1"];
    let Some(db) = restored("sharded", &theirs).await else { return };
    let registry = registry_with(SquidexOptions { asset_shards: 2, ..SquidexOptions::default() });
    let request = Rebuild { postpone: true, ..Rebuild::of(["Assets"]) };
    let settings = db.settings(no_waiting());
    statefold::rebuild(&settings, &registry, request).await.unwrap();
    // As a process leaves it that dies between the two renamings.
    let staging = db.staging("States_Assets3_0").await.unwrap();
    let rename = doc! {
        "renameCollection": format!("{}.{staging}", db.name), "to": format!("{}.States_Assets3_0", db.name),
    };
    db.db.client().database("admin").run_command(rename).await.unwrap();
    statefold::cutover(&settings, &registry, Rebuild::of(["Assets"])).await.unwrap();
    let published: Vec<String> =
        db.collections().await.into_iter().filter(|name| name.starts_with("States_Assets3")).collect();
    assert_eq!(published, ["States_Assets3_0", "States_Assets3_1"]);
    let verified = statefold::verify(&settings, &registry, Verification::default()).await.unwrap();
    assert!(verified.is_equal(), "{verified:?}");
}

#[tokio::test]
async fn a_build_isnt_resumed_under_other_settings() {
    let Some(db) = restored("plain", &[]).await else { return };
    let request = Rebuild { postpone: true, ..Rebuild::of(["Apps"]) };
    let with = |values| registry_with(SquidexOptions { values, ..SquidexOptions::default() });
    let (document, text) = (with(ValueRepresentation::Document), with(ValueRepresentation::Text));
    let settings = db.settings(no_waiting());
    statefold::rebuild(&settings, &document, request.clone()).await.unwrap();
    let refused = statefold::cutover(&settings, &text, Rebuild::of(["Apps"])).await;
    assert!(refused.is_err(), "{refused:?}");
    let report = statefold::rebuild(&settings, &text, request).await.unwrap();
    assert_eq!(report.projections[0].partitions_resumed, 0);
    let staging = db.staging("States_Apps").await.unwrap();
    let all = stored(&db, &staging).await;
    assert!(all.values().all(|document| document.get_str("Doc").is_ok()), "{staging}");
}

#[tokio::test]
async fn contents_that_are_also_in_databases_of_single_apps_keep_their_name() {
    let Some(directory) = squidex_data::directory() else { return };
    // Of its own: what is elsewhere on a server is looked at.
    let server = OwnServer::start("beside");
    let db = Db::at(&server.uri, "beside").await;
    db.write(&[]).await;
    restore(&db.db, &directory, "dedicated", "Events2").await;
    let registry = registry_with(SquidexOptions::default());
    // What statefold itself leaves in a database of such a name: a copy, a staging collection, a shard.
    let other = db.db.client().database(&format!("{}_staging", db.name));
    for name in ["All3", "All3__g3", "All4__t7", "All3_0"] {
        other.create_collection(format!("States_Contents_{name}")).await.unwrap();
    }
    let beside = db.db.client().database(&format!("{}_an-app", db.name));
    beside.create_collection("States_Contents_All3_a-schema").await.unwrap();
    // By pointer a generation can be used beside all of them.
    db.rebuild(&registry, &["Apps", "Schemas", "Contents"], no_waiting()).await.unwrap();
    let rename = Rebuild { mode: Some(CutOverMode::Rename), ..Rebuild::of(["Contents"]) };
    let settings = db.settings(no_waiting());
    let refused = statefold::rebuild(&settings, &registry, rename.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("_an-app.States_Contents_All3_a-schema shows"), "{refused}");
    beside.drop().await.unwrap();
    statefold::rebuild(&settings, &registry, rename).await.unwrap();
    other.drop().await.unwrap();
}

#[tokio::test]
async fn a_database_of_an_old_squidex_is_refused_with_what_to_do() {
    let db = Db::new("old_squidex").await;
    db.collection("Events").insert_one(doc! { "EventStream": "asset-1" }).await.unwrap();
    let registry = registry_with(SquidexOptions::default());
    for version in [1, 21] {
        let status = doc! { "$set": { "IsLocked": false, "Version": version } };
        let migration = db.collection("Migration");
        migration.update_one(doc! { "_id": "Default" }, status).upsert(true).await.unwrap();
        let before = db.collections().await;
        let refused = db.rebuild(&registry, &[], no_waiting()).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("of version {version} ")), "{refused}");
        assert!(refused.contains("from version 22 on") && refused.contains("Squidex (7.x)"), "{refused}");
        assert_eq!(db.collections().await, before);
    }
}

#[tokio::test]
async fn contents_that_squidex_keeps_are_verified_but_for_what_it_makes_up_and_refreshes_later() {
    let names = ["States_Apps", "States_Schemas", "States_Contents_All3", "States_Contents_Published3"];
    let Some(db) = restored("plain", &names).await else { return };
    let (settings, registry) = (db.settings(no_waiting()), registry_with(SquidexOptions::default()));
    for (projection, collection) in [("Apps", "States_Apps"), ("Schemas", "States_Schemas")] {
        let (projection, collections) = (projection.to_owned(), vec![collection.to_owned()]);
        let request = Adopt { projection, collections, dry_run: false, ..Adopt::default() };
        let adopted = statefold::adopt(&settings, &registry, request).await.unwrap();
        assert_eq!((adopted.adopted, adopted.generation), (true, 1), "{collection}");
    }
    let contents = Verification {
        projections: vec!["Contents".to_owned()],
        collections: names[2..].iter().map(|name| (*name).to_owned()).collect(),
        ..Verification::default()
    };
    // The ids of schedules differ: Squidex makes new ones in every rebuild.
    let equal = statefold::verify(&settings, &registry, contents.clone()).await.unwrap();
    assert!(equal.is_equal(), "{equal:?}");
    // A reference that Squidex would write with the next change of the content.
    let all = db.collection(names[2]);
    let stale = doc! { "$set": { "rf": ["gone"] }, "$unset": { "ts": "" } };
    all.update_one(doc! { "ts": { "$exists": true } }, stale).await.unwrap();
    let report = statefold::verify(&settings, &registry, contents.clone()).await.unwrap();
    assert!(!report.differs() && report.is_stale() && !report.is_equal(), "{report:?}");
    assert_eq!((report.projections[0].stale, report.projections[0].differing), (1, 0));
    all.update_one(doc! { "rf": ["gone"] }, doc! { "$set": { "vs": 77_i64 } }).await.unwrap();
    let report = statefold::verify(&settings, &registry, contents).await.unwrap();
    assert_eq!((report.projections[0].stale, report.projections[0].differing), (0, 1));
}
