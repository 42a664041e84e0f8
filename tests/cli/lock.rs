//! The version document's lock: Squidex's, ours, and one that a dead process left.

use bson::{Document, doc};

use crate::support::{Db, asset};

fn version_document(db: &Db) -> Document {
    db.read("Migration").into_iter().find(|one| one.get_str("_id").ok() == Some("Default")).unwrap()
}

/// Releases the lock on a terminal, where this answer is typed.
fn on_a_terminal(db: &Db, answer: &str) -> String {
    let program = assert_cmd::cargo::cargo_bin!("statefold").display();
    let line = format!("{program} lock release --force --uri '{}' --database {}", db.uri, db.name);
    let mut script = assert_cmd::Command::new("script");
    let timeout = std::time::Duration::from_secs(60);
    crate::support::done(script.args(["-qec", &line, "/dev/null"]).write_stdin(answer).timeout(timeout), 0)
        .stdout
}

#[test]
fn a_lock_that_squidex_holds_is_respected_until_it_is_released_by_hand() {
    let db = Db::with(&[asset("a")]);
    let locked = doc! { "_id": "Default", "IsLocked": true, "Version": 27 };
    db.wait(async { db.collection("Migration").insert_one(&locked).await }).unwrap();

    let held = db.run(&["rebuild", "Assets", "--yes", "--wait", "500ms", "--poll", "100ms"], 3);
    assert!(held.stderr.contains("by an unknown process, since an unknown time"), "{}", held.stderr);
    assert!(held.stderr.contains("statefold lock release --force"), "{}", held.stderr);
    assert!(!db.collections().contains(&"States_Assets3".to_owned()));
    assert_eq!(version_document(&db), locked);

    // Showing, or not being sure, changes nothing.
    db.run(&["lock", "show"], 0);
    db.run(&["lock", "release", "--force", "--dry-run"], 0);
    for not_sure in [&["lock", "release"][..], &["lock", "release", "--force"], &["lock", "release", "--yes"]]
    {
        let refused = db.run(not_sure, 2);
        assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    }
    assert!(on_a_terminal(&db, "no\n").contains("Nothing was changed"));
    assert_eq!(version_document(&db), locked);

    assert!(on_a_terminal(&db, "release\n").contains("The migration lock is open"));
    let control = db.read("Migration").into_iter().find(|one| one.get_str("_id").ok() == Some("Statefold"));
    let released = control.as_ref().unwrap().get_document("ForcedRelease").unwrap();
    assert_eq!(released.get_document("Document").unwrap(), &locked);
    db.run(&["rebuild", "Assets", "--yes"], 0);
    assert_eq!(version_document(&db), doc! { "_id": "Default", "IsLocked": false, "Version": 27 });
}

#[test]
fn the_lock_of_another_host_is_never_taken_over() {
    let db = Db::with(&[asset("a")]);
    let signature = doc! {
        "Owner": "x", "Host": "elsewhere", "Pid": 1_i64, "Process": "boot/ns/1",
        "Since": bson::DateTime::now(),
    };
    let locked = doc! { "_id": "Default", "IsLocked": true, "Version": 27, "LockedBy": signature };
    db.wait(async { db.collection("Migration").insert_one(&locked).await }).unwrap();
    let held = db.run(&["rebuild", "Assets", "--yes", "--wait", "500ms", "--poll", "100ms"], 3);
    assert!(held.stderr.contains("by elsewhere (pid 1) since 20"), "{}", held.stderr);
    let shown = db.run(&["lock", "show", "-o", "json"], 0).json();
    assert_eq!((shown["held"].as_bool(), shown["document"]["Version"].as_i64()), (Some(true), Some(27)));
}
