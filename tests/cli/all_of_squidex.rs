//! The recipe "All of it" of docs/squidex.md, on a database that the real Squidex wrote: each line is run.

use bson::{Document, RawDocumentBuf};

use crate::recipe;
use crate::shared::squidex_data;
use crate::support::Db;

/// Collections of Squidex, by the names it has built in.
const COLLECTIONS: [&str; 8] = [
    "States_Apps",
    "States_Teams",
    "States_Schemas",
    "States_Rules",
    "States_Assets2",
    "States_AssetFolders2",
    "States_Contents_All3",
    "States_Contents_Published3",
];

/// What a collection holds, without the ids that Squidex makes up.
fn comparable(mut documents: Vec<Document>) -> Vec<Document> {
    documents.sort_by_key(|document| document.get_str("_id").unwrap().to_owned());
    for document in &mut documents {
        if let Ok(schedule) = document.get_document_mut("sj") {
            schedule.remove("_id");
        }
    }
    documents
}

#[test]
fn all_kinds_are_adopted_rebuilt_and_switched_by_name_and_back() {
    let Some(directory) = squidex_data::directory() else { return };
    let db = Db::with(&[]);
    for name in COLLECTIONS.iter().chain(&["Events2"]) {
        let documents = squidex_data::collection(&directory, "plain", name);
        let collection = db.db().collection::<RawDocumentBuf>(name);
        db.wait(async { collection.insert_many(documents).await }).unwrap();
    }
    let before: Vec<Vec<Document>> = COLLECTIONS.iter().map(|name| comparable(db.read(name))).collect();
    for line in recipe::lines("docs/squidex.md", "All of it") {
        let words = recipe::words(&line);
        let words: Vec<&str> = words.iter().map(String::as_str).skip(1).collect();
        db.run(&words, 0);
    }
    for way in ["there", "back", "there again"] {
        if way != "there" {
            db.run(&["rollback", "--yes"], 0);
        }
        for (name, before) in COLLECTIONS.iter().zip(&before) {
            assert!(comparable(db.read(name)) == *before, "{way}: {name}");
        }
    }
    db.run(&["verify", "--strict"], 0);
}

#[test]
fn contents_are_also_built_into_databases_of_single_apps_if_the_settings_say_so() {
    let Some(directory) = squidex_data::directory() else { return };
    let db = Db::with(&[]);
    let events = squidex_data::collection(&directory, "dedicated", "Events2");
    db.wait(async { db.db().collection::<RawDocumentBuf>("Events2").insert_many(events).await }).unwrap();
    let usual = ["rebuild", "Apps", "Schemas", "Contents", "--dedicated-contents"];
    let plan = db.run(&usual, 0);
    assert!(plan.stderr.trim_end().ends_with(" --dedicated-contents=true"), "{}", plan.stderr);
    let done = db.run(&[&usual[..], &["--yes", "-o", "json"]].concat(), 0).json();
    assert_eq!(done["projections"][2]["collections"].as_array().unwrap().len(), 34);
    let files = squidex_data::of_apps(&directory);
    let database = |suffix: &str| db.client().database(&format!("{}{suffix}", db.db().name()));
    for file in &files {
        let collection =
            database(&file.suffix).collection::<Document>(&file.collection.replacen('3', "4", 1));
        let count = db.wait(async { collection.count_documents(Document::new()).await }).unwrap();
        assert_eq!(count, squidex_data::documents(&file.path).len() as u64, "{}", file.collection);
    }
    let status = db.run(&["status", "--dedicated-contents"], 0);
    assert!(status.stdout.contains("Contents"), "{}", status.stdout);
    db.run(&["verify", "--dedicated-contents"], 0);
    // Without the flag the generation isn't the one that this program would build.
    let other = db.run(&["verify", "Contents"], 2);
    assert!(other.stderr.contains("dedicated_contents"), "{}", other.stderr);
    db.run(&["cleanup", "--purge", "--dedicated-contents", "--yes"], 0);
    let left = |file: &squidex_data::OfApp| {
        db.wait(async { database(&file.suffix).list_collection_names().await }).unwrap().len()
    };
    assert!(files.iter().all(|file| left(file) == 0));
    for file in &files {
        db.wait(async { database(&file.suffix).drop().await }).unwrap();
    }
}
