//! Results and log lines that can't be written: the outcome stays that of the work, and a result that is lost
//! is no success.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use bson::doc;

use crate::support::{Db, asset};

/// The program, with pipes that nobody reads.
fn unread(db: &Db, args: &[&str], stdout: bool, stderr: bool) -> i32 {
    let pipe = |unread: bool| if unread { Stdio::piped() } else { Stdio::null() };
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("statefold"))
        .args(args)
        .args(["--uri", &db.uri, "--database", &db.name])
        .current_dir(std::env::temp_dir())
        .stdout(pipe(stdout))
        .stderr(pipe(stderr))
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    child.wait().unwrap().code().unwrap()
}

#[test]
fn a_reader_of_the_log_that_goes_away_changes_nothing() {
    let db = Db::with(&[asset("a"), asset("b")]);
    for format in ["text", "json"] {
        let args = ["rebuild", "Assets", "--yes", "--log", "debug", "--log-format", format];
        assert_eq!(unread(&db, &args, false, true), 0, "{format}");
    }
    assert!(db.collections().contains(&"States_Assets4".to_owned()));
}

#[test]
fn a_reader_that_has_seen_enough_changes_no_exit_code() {
    let db = Db::with(&[asset("a")]);
    assert_eq!(unread(&db, &["status", "--check"], true, false), 4);
    db.run(&["rebuild", "--yes"], 0);
    assert_eq!(unread(&db, &["status", "--check"], true, true), 0);
    let snapshots = db.collection("States_Assets3");
    db.wait(async { snapshots.update_many(doc! {}, doc! { "$set": { "fn": "else" } }).await }).unwrap();
    assert_eq!(unread(&db, &["verify", "Assets"], true, false), 5);
}

#[test]
fn a_result_that_can_not_be_written_is_a_failure() {
    let db = Db::with(&[asset("a")]);
    for args in
        [vec!["status"], vec!["status", "-o", "json"], vec!["errors", "list"], vec!["rebuild", "--yes"]]
    {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(assert_cmd::cargo::cargo_bin!("statefold"))
            .args(&args)
            .args(["--uri", &db.uri, "--database", &db.name])
            .current_dir(std::env::temp_dir())
            .stdout(full)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("the result could not be written"), "{args:?}: {said}");
    }
}
