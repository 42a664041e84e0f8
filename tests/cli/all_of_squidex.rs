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
