//! The recipe "Clone and switch" of docs/read-only.md: each line of it is run, in its order.

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Database;

use crate::recipe;
use crate::support::{Db, asset, done};

/// Copies as mongodump and mongorestore do: collections with their options, documents without validation,
/// indexes.
async fn copy(from: &Database, to: &Database) {
    let collections: Vec<_> = from.list_collections().await.unwrap().try_collect().await.unwrap();
    for collection in collections {
        let name = collection.name;
        let mut create = doc! { "create": &name };
        create.extend(bson::serialize_to_document(&collection.options).unwrap());
        to.run_command(create).await.unwrap();
        let (source, copied) = (from.collection::<Document>(&name), to.collection::<Document>(&name));
        let documents: Vec<Document> = source.find(doc! {}).await.unwrap().try_collect().await.unwrap();
        if !documents.is_empty() {
            if name == "Events2" {
                let refused = copied.insert_many(&documents).await.unwrap_err();
                assert!(refused.to_string().contains("121"), "{refused}");
            }
            copied.insert_many(&documents).bypass_document_validation(true).await.unwrap();
        }
        let indexes: Vec<_> = source.list_indexes().await.unwrap().try_collect().await.unwrap();
        copied.create_indexes(indexes).await.unwrap();
    }
}

fn insert(db: &Db, id: &str) -> mongodb::error::Result<()> {
    db.wait(async { db.collection("Events2").insert_one(asset(id)).await.map(|_| ()) })
}

#[test]
fn every_line_of_the_recipe_does_what_it_says() {
    let (old, new) = (Db::with(&[asset("a"), asset("b")]), Db::new());
    let options = doc! { "collMod": "Events2", "validator": { "EventStream": { "$type": "string" } } };
    old.wait(async { old.db().run_command(options).await }).unwrap();
    old.wait(async { old.collection("States_Assets2").insert_one(doc! { "_id": "app--a" }).await }).unwrap();
    let mut done_lines = Vec::new();
    for line in recipe::lines("docs/read-only.md", "Clone and switch") {
        let mut words = recipe::words(&line);
        let setting = words[0].split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        if setting.is_some() {
            words.remove(0);
        }
        let verb = words[..2].join(" ");
        if words[0] == "mongodump" {
            assert!(line.contains("--bypassDocumentValidation"));
            old.wait(copy(&old.db(), &new.db()));
            done_lines.push("copy".to_owned());
            continue;
        }
        assert_eq!(words[0], "statefold", "{line}");
        let database = words.pop().unwrap();
        assert_eq!(words.pop().unwrap(), "--database");
        let db = if database == "Squidex" { &old } else { &new };
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let mut command = db.statefold(&arguments);
        let said = done(command.args(["-o", "json"]).envs(setting), 0).json();
        done_lines.push(format!("{verb} {database}"));
        match done_lines.len() {
            1 => {
                assert_eq!(said["fence"]["reason"], "moving to Squidex2");
                assert!(insert(&old, "c").is_err());
            }
            3 => assert_eq!(said["fence"]["reason"], "moving to Squidex2"),
            4 => {
                assert_eq!(said["outcome"], "read_only", "{said}");
                assert_eq!(said["after"]["report"]["cut_over"][0]["read_only"], true, "{said}");
                assert!(insert(&new, "c").is_err());
                assert_eq!(new.read("States_Assets3").len(), 2);
                assert!(!old.collections().iter().any(|name| name == "States_Assets3"));
            }
            _ => {}
        }
    }
    let expected = [
        "statefold read-only Squidex",
        "copy",
        "statefold read-only Squidex2",
        "statefold migrate Squidex2",
        "statefold verify Squidex2",
        "statefold read-only Squidex2",
    ];
    assert_eq!(done_lines, expected);
    // Events go to the copy, with the old one's rules, and not to the old one.
    insert(&new, "c").unwrap();
    let nameless = doc! { "_id": "x", "EventStream": 7 };
    let refused = new.wait(async { new.collection("Events2").insert_one(nameless).await });
    assert!(refused.unwrap_err().to_string().contains("121"));
    assert!(insert(&old, "c").is_err());
    // The way back.
    old.run(&["read-only", "off", "--yes"], 0);
    insert(&old, "c").unwrap();
}
