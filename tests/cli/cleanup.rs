//! `statefold cleanup`: it lists without --yes, drops with it, in words and as JSON.

use bson::doc;

use crate::support::{Db, asset};

fn with_generations(number: usize) -> Db {
    let db = Db::with(&[asset("1")]);
    for _ in 0..number {
        db.run(&["rebuild", "Assets", "--yes"], 0);
    }
    db
}

#[test]
fn without_yes_it_lists_and_with_it_it_drops() {
    let db = with_generations(3);
    db.wait(async { db.collection("States_Assets2").insert_one(doc! { "_id": "x" }).await }).unwrap();
    let listed = db.run(&["cleanup", "Assets", "--keep", "0"], 0);
    assert!(listed.stdout.contains("beyond the 0 kept"), "{}", listed.stdout);
    assert!(listed.stdout.contains("--collection States_Assets2"), "{}", listed.stdout);
    assert!(listed.stderr.contains("cleanup Assets --keep 0 --yes"), "{}", listed.stderr);
    assert!(db.collections().contains(&"States_Assets3".to_owned()));

    let json = db.run(&["cleanup", "-o", "json", "--yes"], 0).json();
    let found = |name: &str| {
        let items = json["items"].as_array().unwrap();
        items.iter().find(|item| item["collection"] == name).unwrap().clone()
    };
    let gone = found("States_Assets3");
    assert_eq!((&gone["kind"], &gone["outcome"]), (&"generation".into(), &"dropped".into()), "{gone}");
    assert_eq!((&gone["build"], &gone["eligible"]), (&"Assets3".into(), &true.into()), "{gone}");
    assert!(gone["bytes"].as_u64().unwrap() > 0, "{gone}");
    assert_eq!(found("States_Assets4")["outcome"], serde_json::Value::Null);
    assert_eq!(found("States_Assets2")["kind"], "foreign");
    assert!(!db.collections().contains(&"States_Assets3".to_owned()));

    let done = db.run(&["cleanup"], 0);
    assert!(done.stdout.contains("Nothing to do") && !done.stderr.contains("--yes"), "{}", done.stdout);
    db.run(&["cleanup", "--collection", "Events2", "--yes"], 2);
}

#[test]
fn a_purge_says_loudly_that_readers_lose_their_data_and_needs_yes() {
    let db = with_generations(1);
    let listed = db.run(&["cleanup", "--purge"], 0);
    assert!(listed.stdout.contains("ACTIVE: readers of Assets use it"), "{}", listed.stdout);
    assert!(listed.stderr.contains("This would drop ACTIVE generations"), "{}", listed.stderr);
    assert!(listed.stderr.contains("cleanup --purge --yes"), "{}", listed.stderr);
    assert!(db.collections().contains(&"States_Assets3".to_owned()));
    db.run(&["cleanup", "Assets", "--purge"], 2);
    let json = db.run(&["cleanup", "--purge", "--yes", "-o", "json"], 0).json();
    let kinds: Vec<&str> =
        json["items"].as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"control") && kinds.contains(&"records"), "{kinds:?}");
    assert_eq!(db.collections(), ["Events2"]);
}

#[test]
fn a_grace_period_may_come_from_the_environment_or_the_file() {
    let db = with_generations(2);
    let mut rebuild = db.statefold(&["rebuild", "Assets", "--yes"]);
    crate::support::done(rebuild.env("STATEFOLD_CLEANUP_AFTER", "soon"), 2);
    let mut rebuild = db.statefold(&["rebuild", "Assets", "--yes"]);
    crate::support::done(rebuild.env("STATEFOLD_CLEANUP_AFTER", "0s"), 0);
    assert!(!db.collections().contains(&"States_Assets3".to_owned()));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("statefold.toml");
    std::fs::write(&file, "[cleanup]\nafter = \"0s\"\nkeep = 0\n").unwrap();
    db.run(&["rebuild", "Assets", "--yes", "--config", file.to_str().unwrap()], 0);
    assert!(!db.collections().contains(&"States_Assets5".to_owned()));
}
