//! Ctrl-C and SIGKILL in the middle: what was built is kept, and the next run goes on.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bson::doc;

use crate::support::{Db, OwnServer};

fn start(db: &Db) -> std::process::Child {
    start_by(db, Command::new(assert_cmd::cargo::cargo_bin!("statefold")))
}

fn start_by(db: &Db, mut program: Command) -> std::process::Child {
    program
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

fn send(signal: &str, child: &std::process::Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_rebuild_under_nohup_outlives_its_terminal() {
    let db = Db::new();
    db.run(&["fixture", "--commits", "8000"], 0);
    let mut nohup = Command::new("nohup");
    nohup.arg(assert_cmd::cargo::cargo_bin!("statefold"));
    let mut child = start_by(&db, nohup);
    wait_for_checkpoints(&db);
    send("-HUP", &child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(db.collections().contains(&"States_Assets3".to_owned()));
}

#[test]
fn a_second_ctrl_c_behind_the_fence_says_how_to_lift_it() {
    let server = OwnServer::start("twice", &[]);
    let db = Db::at(server.uri.clone());
    db.run(&["fixture", "--commits", "500"], 0);
    db.run(&["rebuild", "Assets", "--postpone", "--yes"], 0);
    // The first change raises the fence; those that lift it run out of time, as behind a transaction.
    let fail = |mode: bson::Document| {
        let data = doc! { "failCommands": ["collMod"], "errorCode": 50, "appName": "statefold" };
        let command = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
        let admin = db.client().database("admin");
        db.wait(async { admin.run_command(command).await }).unwrap()
    };
    let before = fail(doc! { "skip": 1 }).get_i32("count").unwrap();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("statefold"))
        .args(["cutover", "Assets", "--yes", "--fence", "short", "--uri", &db.uri, "--database", &db.name])
        .current_dir(std::env::temp_dir())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let hit = doc! {
        "waitForFailPoint": "failCommand", "timesEntered": i64::from(before) + 2, "maxTimeMS": 60_000,
    };
    let admin = db.client().database("admin");
    db.wait(async { admin.run_command(hit).await }).unwrap();
    send("-INT", &child);
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    let mut byte = [0];
    while !said.contains("again to stop at once") && stderr.read(&mut byte).unwrap() > 0 {
        said.push(char::from(byte[0]));
    }
    send("-INT", &child);
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains("refuses events") && last.contains("statefold read-only off"), "{said}");

    let off = doc! { "configureFailPoint": "failCommand", "mode": "off" };
    db.wait(async { admin.run_command(off).await }).unwrap();
    db.run(&["read-only", "off", "--yes"], 0);
    let listed = db.wait(async {
        db.db().run_command(doc! { "listCollections": 1, "filter": { "name": "Events2" } }).await.unwrap()
    });
    let options = &listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap()[0];
    assert!(!options.to_string().contains("$literal"), "{options}");
}

fn is_resumed_after(signal: &str) {
    let db = Db::new();
    db.run(&["fixture", "--commits", "8000"], 0);
    let mut child = start(&db);
    wait_for_checkpoints(&db);
    send(signal, &child);
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
