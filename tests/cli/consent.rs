//! Every verb that changes something says without `--yes` what it would do, and does nothing.

use bson::doc;

use crate::support::{Db, asset, broken};

/// Everything of a database that a verb may change.
fn everything(db: &Db) -> Vec<(String, Vec<bson::Document>)> {
    let options = db.wait(async { db.db().run_command(doc! { "listCollections": 1 }).await }).unwrap();
    let batch = options.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone();
    let mut all = vec![("options".to_owned(), vec![doc! { "all": batch }])];
    all.extend(db.collections().into_iter().map(|name| (name.clone(), db.read(&name))));
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

#[test]
fn without_yes_nothing_changes_and_the_command_is_said() {
    let [created, garbage] = broken("bad");
    let db = Db::with(&[asset("a"), created, garbage]);
    db.run(&["rebuild", "Assets", "AssetFolders", "--yes", "--max-errors", "1"], 0);
    db.run(&["rebuild", "AssetFolders", "--yes"], 0);
    db.run(&["rebuild", "Assets", "--yes", "--postpone", "--max-errors", "1"], 0);
    db.wait(async { db.db().create_collection("States_Apps").await }).unwrap();
    let before = everything(&db);
    for verb in [
        "rebuild",
        "cutover --max-errors 1",
        "rollback AssetFolders",
        "abort",
        "pause",
        "errors retry",
        "cleanup --keep 0",
        "read-only on",
        "adopt Apps --collection States_Apps",
    ] {
        for dry in [&[][..], &["--dry-run"], &["--dry-run", "-o", "json"]] {
            let words: Vec<&str> = verb.split(' ').collect();
            let said = db.run(&[&words[..], dry].concat(), 0);
            assert!(
                said.stderr.contains("Nothing was changed. To do it: statefold "),
                "{verb}: {}",
                said.stderr
            );
            if dry.len() == 3 {
                said.json();
            }
        }
        let both: Vec<&str> = verb.split(' ').chain(["--yes", "--dry-run"]).collect();
        db.run(&both, 2);
    }
    assert_eq!(everything(&db), before);
    // Nothing is promised where there is nothing to do.
    for verb in ["resume", "read-only off"] {
        let words: Vec<&str> = verb.split(' ').collect();
        let said = db.run(&words, 0);
        assert!(said.stdout.contains("Nothing to "), "{verb}: {}", said.stdout);
        assert!(!said.stderr.contains("To do it"), "{verb}: {}", said.stderr);
    }
}

#[test]
fn verbs_that_change_nothing_have_no_such_flag_and_those_that_never_ask_accept_it() {
    let db = Db::with(&[asset("a")]);
    for verb in ["status", "plan", "verify", "errors list", "lock show", "read-only status"] {
        db.run(&verb.split(' ').chain(["--yes"]).collect::<Vec<_>>(), 2);
    }
    db.run(&["migrate", "--yes"], 0);
    let empty = Db::new();
    let would = empty.run(&["fixture", "--commits", "10", "--dry-run"], 0);
    assert!(would.stdout.contains("10 commits would be written"), "{}", would.stdout);
    assert_eq!(empty.collections(), [""; 0]);
    empty.run(&["fixture", "--commits", "10"], 0);
    let more = ["fixture", "--commits", "10", "--append"];
    empty.run(&more, 0);
    assert_eq!(empty.read("Events2").len(), 10);
    empty.run(&[&more[..], &["--yes"]].concat(), 0);
    assert_eq!(empty.read("Events2").len(), 20);
}

#[test]
fn what_would_be_refused_is_refused_without_yes_too() {
    let db = Db::with(&[asset("a")]);
    for (verb, code) in [
        ("cutover", 2),
        ("cutover Assets", 2),
        ("rollback", 2),
        ("rollback Assets", 2),
        ("rebuild Assets --mode rename", 2),
    ] {
        let words: Vec<&str> = verb.split(' ').collect();
        let dry = db.run(&words, code);
        let done = db.run(&[&words[..], &["--yes"]].concat(), code);
        let said = |stderr: &str| stderr.lines().filter(|line| !line.contains(" INFO ")).collect::<String>();
        assert_eq!(said(&dry.stderr), said(&done.stderr), "{verb}");
    }
    // And the other way round.
    let [created, garbage] = broken("bad");
    let failing = Db::with(&[asset("a"), created, garbage]);
    failing.run(&["rebuild", "Assets", "--postpone", "--max-errors", "1", "--yes"], 0);
    for code in [["cutover"].as_slice(), &["cutover", "--yes"]].map(|verb| failing.run(verb, 6)) {
        assert!(code.stderr.contains("--max-errors 1"), "{}", code.stderr);
    }
    failing.run(&["cutover", "--max-errors", "1"], 0);
    failing.run(&["cutover", "--max-errors", "1", "--yes"], 0);
    let refused = failing.run(&["rebuild", "AssetFolders", "--mode", "rename", "-o", "json"], 2);
    assert_eq!(refused.json()["error"]["code"], "unsupported", "{}", refused.stdout);
    failing.run(&["read-only", "on", "--reason", "a", "--yes"], 0);
    failing.run(&["read-only", "on", "--reason", "b"], 3);
    failing.run(&["read-only", "on", "--reason", "b", "--yes"], 3);
}
