//! Every command that is printed works in the state in which it is printed: each situation is brought about,
//! its hints are read off, and run.

use std::process::Command;

use bson::doc;

use crate::pause::{Running, done, held, own, wait_until};
use crate::support::{Db, Done, OwnServer, asset, broken};

/// The commands in a text: what follows `statefold` up to the end of its line.
fn commands(text: &str) -> Vec<String> {
    let command = |line: &str| {
        let (before, command) = line.split_once("statefold ")?;
        let is_command = before.trim().is_empty() || before.ends_with(": ");
        is_command.then(|| format!("statefold {}", command.trim()))
    };
    text.lines().filter_map(command).collect()
}

fn hints(done: &Done) -> Vec<String> {
    [commands(&done.stdout), commands(&done.stderr)].concat()
}

/// Runs a printed command as it stands, in a shell. It has to end with one of these codes.
fn run(command: &str, codes: &[i32]) -> Done {
    let program = assert_cmd::cargo::cargo_bin!("statefold");
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("timeout");
    shell.args(["120", "sh", "-c", command]).env("PATH", path).current_dir(std::env::temp_dir());
    for name in ["MONGODB_URI", "STATEFOLD_DATABASE", "STATEFOLD_CONFIG"] {
        shell.env_remove(name);
    }
    let output = shell.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let done = Done { stdout: text(output.stdout), stderr: text(output.stderr) };
    let code = output.status.code().unwrap();
    assert!(codes.contains(&code), "{command} ended with {code}: {}{}", done.stdout, done.stderr);
    done
}

/// Runs all hints in their order; each has to succeed.
fn all_work(hints: &[String], expected: &[&str]) {
    let verbs: Vec<&str> = hints
        .iter()
        .map(|hint| hint.split(" --uri").next().unwrap().trim_start_matches("statefold "))
        .collect();
    assert_eq!(verbs, expected);
    hints.iter().for_each(|hint| _ = run(hint, &[0]));
}

#[test]
fn from_the_first_look_to_a_roll_back() {
    let db = Db::with(&[asset("a")]);
    let first = hints(&db.run(&["status"], 0));
    let rebuilds: Vec<&str> = first.iter().map(|hint| hint.split(' ').nth(1).unwrap()).collect();
    assert_eq!(rebuilds, ["rebuild"], "{first:?}");
    run(&first[0], &[0]);
    assert_eq!(hints(&db.run(&["status"], 0)), [""; 0]);
    all_work(&hints(&db.run(&["rebuild", "Assets"], 0)), &["rebuild Assets --yes"]);
    all_work(&hints(&db.run(&["rollback", "Assets"], 0)), &["rollback Assets --yes"]);
    let postponed = db.run(&["rebuild", "Assets", "--postpone", "--yes", "--mode", "view"], 0);
    all_work(&hints(&db.run(&["cutover"], 0)), &["cutover --yes"]);
    assert_eq!(
        hints(&postponed)[0].split(" --uri").next(),
        Some("statefold cutover Assets --mode view --yes")
    );
    assert!(db.collections().contains(&"States_Assets".to_owned()), "the mode was forgotten");
    db.run(&["rebuild", "Assets", "--postpone", "--yes"], 0);
    all_work(&hints(&db.run(&["status"], 0))[..1], &["cutover Assets --yes"]);
    db.run(&["rebuild", "Assets", "--postpone", "--yes"], 0);
    all_work(&hints(&db.run(&["status"], 0))[1..], &["abort Assets --yes"]);
    all_work(&hints(&db.run(&["cleanup", "--keep", "0"], 0)), &["cleanup --keep 0 --yes"]);
    all_work(&hints(&db.run(&["read-only", "on"], 0)), &["read-only on --yes"]);
    all_work(&hints(&db.run(&["read-only", "status"], 0)), &["read-only off --yes"]);
}

#[test]
fn after_failed_streams() {
    let [created, garbage] = broken("bad");
    let commits = [asset("good"), created, garbage];
    let db = Db::with(&commits);
    let failed = hints(&db.run(&["rebuild", "Assets", "--yes"], 6));
    let list = run(&failed[1], &[0]);
    let listed = hints(&list);
    run(&listed[0], &[0]);
    run(&listed[1], &[6]);
    let status = hints(&db.run(&["status"], 0));
    let verbs: Vec<&str> = status.iter().map(|hint| hint.split(" --uri").next().unwrap()).collect();
    assert_eq!(verbs[..2], ["statefold errors list", "statefold errors retry --yes"], "{verbs:?}");
    assert!(verbs[2].starts_with("statefold rebuild ") && verbs[2].contains("--max-errors 1"), "{verbs:?}");
    run(&status[2], &[0]);
    // A postponed build with failed streams: what is printed allows them.
    let postponed = db.run(&["rebuild", "Assets", "--postpone", "--max-errors", "1", "--yes"], 0);
    let status = hints(&db.run(&["status"], 0));
    let cut_over = status.iter().find(|hint| hint.starts_with("statefold cutover ")).unwrap();
    assert!(cut_over.contains("--max-errors 1"), "{cut_over}");
    let printed = hints(&postponed);
    run(printed.iter().find(|hint| hint.starts_with("statefold cutover ")).unwrap(), &[0]);
    let other = Db::with(&commits);
    let failed = hints(&other.run(&["rebuild", "Assets", "--yes"], 6));
    run(&failed[0], &[0]);
    let third = Db::with(&commits);
    let failed = hints(&third.run(&["rebuild", "Assets", "--yes"], 6));
    run(&failed[2], &[0]);
    assert!(!third.collections().iter().any(|name| name.contains("__t")));
}

#[test]
fn after_ctrl_c_in_a_rebuild_and_in_a_cut_over() {
    let (_server, db) = own("hints", 500);
    let mut running = Running::start(&db, &["--postpone"]);
    wait_until("a partition to be finished", || done(&db) >= 1);
    assert!(running.is_running());
    // Beside a leader at work only what needs no lease is proposed.
    assert_eq!(hints(&db.run(&["status"], 0)), [""; 0]);
    all_work(&hints(&db.run(&["abort", "--yes"], 3)), &["lock show"]);
    db.run(&["pause", "--yes"], 0);
    wait_until("the run to say that it waits", || held(&db).is_some());
    all_work(&hints(&db.run(&["status"], 0)), &["resume Assets --yes"]);
    running.interrupt();
    let resume = commands(&running.ended(130));
    let verbs: Vec<&str> = resume.iter().map(|hint| hint.split(" --uri").next().unwrap()).collect();
    assert_eq!(verbs, ["statefold rebuild Assets --postpone --yes"]);
    run(&resume[0], &[0]);

    db.run(&["pause", "--yes"], 0);
    let mut running = Running::of(&db, &["cutover", "Assets", "--yes"]);
    wait_until("the cut-over to say that it waits", || held(&db).is_some());
    assert!(running.is_running());
    running.interrupt();
    let again = commands(&running.ended(130));
    let status = hints(&db.run(&["status"], 0));
    let verbs: Vec<&str> = status.iter().map(|hint| hint.split(" --uri").next().unwrap()).collect();
    assert_eq!(verbs[0], "statefold resume Assets --yes");
    assert!(verbs.contains(&"statefold cutover Assets --yes"), "{verbs:?}");
    run(&status[0], &[0]);
    all_work(&again, &["cutover Assets --yes"]);
    assert!(db.collections().contains(&"States_Assets3".to_owned()));
}

#[test]
fn after_a_refusal() {
    let db = Db::with(&[asset("a")]);
    let locked = doc! { "_id": "Default", "IsLocked": true, "Version": 27 };
    db.wait(async { db.collection("Migration").insert_one(&locked).await }).unwrap();
    let held = db.run(&["rebuild", "Assets", "--yes", "--wait", "300ms", "--poll", "100ms"], 3);
    assert!(held.stderr.contains("the migration lock is held"), "{}", held.stderr);
    let status = hints(&db.run(&["status"], 0));
    run(&status[0], &[0]);
    all_work(&hints(&held), &["lock release --force --yes"]);
    // A plan beside a held lock promises nothing that isn't kept.
    db.wait(async { db.collection("Migration").replace_one(doc! { "_id": "Default" }, &locked).await })
        .unwrap();
    assert!(db.run(&["plan"], 0).stdout.contains("its cut-over waits for it"));
    all_work(
        &hints(&db.run(&["rebuild", "Assets", "--yes", "--wait", "300ms", "--poll", "100ms"], 3)),
        &["lock release --force --yes"],
    );

    db.run(&["rebuild", "Assets", "--yes"], 0);
    let snapshots = db.collection("States_Assets3");
    let copy = doc! { "$out": "States_Assets2" };
    db.wait(async { snapshots.aggregate([copy]).await }).unwrap();
    let fresh = Db::copy_of(&db);
    let adopt = hints(&fresh.run(&["rebuild", "Assets", "--mode", "rename", "--yes"], 2));
    all_work(&adopt, &["adopt Assets --collection States_Assets2 --yes"]);
    fresh.run(&["rebuild", "Assets", "--mode", "rename", "--yes"], 0);
    let leaving = fresh.run(&["rebuild", "Assets", "--mode", "pointer", "--yes"], 1);
    assert!(leaving.stderr.contains("find it by the name States_Assets2"), "{}", leaving.stderr);
    all_work(&hints(&leaving), &["rebuild Assets --mode pointer --force --yes"]);
}

#[test]
fn what_a_difference_and_a_slip_say() {
    let server = OwnServer::start("hints-mismatch", &[]);
    let db = Db::at(server.uri.clone());
    db.make_event_store(&[asset("a"), asset("b")]);
    db.run(&["rebuild", "Assets", "--yes"], 0);
    let snapshots = db.collection("States_Assets3");
    db.wait(async { snapshots.update_one(doc! {}, doc! { "$set": { "fn": "other", "vs": 3_i32 } }).await })
        .unwrap();
    let found = db.run(&["verify", "Assets", "--full"], 5);
    assert!(found.stdout.contains("by field: fn 1, vs 1"), "{}", found.stdout);
    assert!(found.stdout.contains("vs: 3 (int32) ≠ 0 (int64)"), "{}", found.stdout);
    let empty = Db::at(server.uri.clone());
    let slip = empty.run(&["status"], 2);
    assert!(slip.stderr.contains("--allow-empty"), "{}", slip.stderr);
}
