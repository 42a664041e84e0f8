//! Ctrl-C and SIGKILL in the middle: what was built is kept, and the next run goes on.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bson::doc;

use crate::support::Db;

fn start(db: &Db) -> std::process::Child {
    Command::new(assert_cmd::cargo::cargo_bin!("statefold"))
        .args(["rebuild", "Assets", "--yes", "--partitions", "16", "--readers", "1", "--batch-docs", "20"])
        .args(["--uri", &db.uri, "--database", &db.name])
        .current_dir(std::env::temp_dir())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until some partitions are done, but not all.
fn wait_for_checkpoints(db: &Db) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let checkpoints = db.collection("Statefold_Checkpoints");
        let done = db.wait(async { checkpoints.count_documents(doc! { "Done": true }).await }).unwrap();
        if done >= 2 {
            return;
        }
        assert!(Instant::now() < deadline, "no partition was finished");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn undisturbed(db: &Db) -> String {
    let report = db.run(&["rebuild", "Assets", "--fresh", "--yes", "-o", "json"], 0).json();
    report["projections"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_rebuild_stopped_by_ctrl_c_is_resumed() {
    is_resumed_after("-INT");
}

#[test]
fn a_rebuild_whose_terminal_is_closed_is_resumed() {
    is_resumed_after("-HUP");
}

fn is_resumed_after(signal: &str) {
    let db = Db::new();
    db.run(&["fixture", "--commits", "8000"], 0);
    let mut child = start(&db);
    wait_for_checkpoints(&db);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let lock = db.run(&["lock", "show", "-o", "json"], 0).json();
    assert_eq!((&lock["held"], &lock["leader"]), (&false.into(), &serde_json::Value::Null));
    assert!(!db.collections().contains(&"States_Assets3".to_owned()));

    let resumed = db.run(&["rebuild", "Assets", "--yes", "-o", "json"], 0).json();
    let assets = &resumed["projections"][0];
    assert_eq!(assets["generation"], 3);
    assert!(assets["partitions_resumed"].as_u64().unwrap() >= 2, "{assets}");
    assert_eq!(assets["digest"].as_str().unwrap(), undisturbed(&db));
}

#[test]
fn a_rebuild_that_was_killed_leaves_a_lease_that_the_next_one_takes_over() {
    let db = Db::new();
    db.run(&["fixture", "--commits", "8000"], 0);
    let mut child = start(&db);
    wait_for_checkpoints(&db);
    child.kill().unwrap();
    child.wait().unwrap();
    let lock = db.run(&["lock", "show", "-o", "json"], 0).json();
    assert_eq!(lock["leader"]["token"], 1, "{lock}");
    assert_eq!(lock["leader"]["pid"], child.id(), "{lock}");

    let resumed = db.run(&["rebuild", "Assets", "--yes", "-o", "json"], 0).json();
    let assets = &resumed["projections"][0];
    assert!(assets["partitions_resumed"].as_u64().unwrap() >= 2, "{assets}");
    assert_eq!(assets["digest"].as_str().unwrap(), undisturbed(&db));
    assert!(!db.collections().iter().any(|name| name.contains("__t")));
}
