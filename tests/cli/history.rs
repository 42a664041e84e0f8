//! `statefold history`: the words, the JSON, and the log lines of what it shows.

use crate::support::{Db, asset, program};

#[test]
fn what_was_done_is_shown_newest_first_with_its_facts() {
    let db = Db::with(&[asset("1"), asset("2")]);
    let nothing = db.run(&["history"], 0);
    assert!(nothing.stdout.starts_with("Nothing is recorded yet"), "{}", nothing.stdout);
    assert_eq!(db.run(&["history", "-o", "json"], 0).json(), serde_json::json!([]));
    assert_eq!(db.collections(), ["Events2"], "looking makes nothing");

    let said = db.run(&["rebuild", "Assets", "--yes", "--fence", "short"], 0).stderr;
    let lines = |what: &str| said.lines().filter(|line| line.contains(what)).count();
    assert_eq!((lines(" built projection"), lines(" cut over projection")), (1, 1), "{said}");
    db.run(&["rebuild", "AssetFolders", "--yes"], 0);
    let on = db.run(&["read-only", "on", "--yes", "--reason", "moving house"], 0).stderr;
    assert!(on.contains("read only on details=") && on.contains("moving house"), "{on}");

    let text = db.run(&["history"], 0).stdout;
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("(pid ")).collect();
    let [on, folders, _, assets, built] = rows[..] else { panic!("{text}") };
    assert!(on.contains("│ read only on") && on.contains("moving house"), "{on}");
    assert!(folders.contains("cut over") && folders.contains("AssetFolders"), "{folders}");
    assert!(folders.contains("mode pointer") && folders.contains("drained in "), "{folders}");
    assert!(assets.contains("Assets ") && assets.contains("fenced for "), "{assets}");
    assert!(built.contains("2 snapshots, verified: proof"), "{built}");

    let all = db.run(&["history", "-o", "json"], 0).json();
    assert_eq!(all.as_array().unwrap().len(), 5, "{all}");
    assert_eq!((&all[0]["what"], &all[0]["projection"]), (&"read_only_on".into(), &serde_json::Value::Null));
    assert_eq!((&all[3]["what"], &all[3]["generation"]), (&"cut_over".into(), &3.into()));
    assert_eq!(all[3]["details"]["fence"], "short");
    let newest = db.run(&["history", "assets", "--limit", "1", "-o", "json"], 0).json();
    assert_eq!(newest, serde_json::json!([all[3]]));
    assert!(db.run(&["history", "Apps"], 0).stdout.contains("Nothing is recorded of Apps."));
    crate::support::done(program().args(["history", "--limit", "-1"]), 2);
}
