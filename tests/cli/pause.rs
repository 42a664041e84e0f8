//! `pause` and `resume` from another terminal, and what else holds a run.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bson::doc;

use crate::support::{Db, program};

/// Ends the program when the test ends, however it ends.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn start(db: &Db, more: &[&str]) -> Self {
        let fixed =
            ["rebuild", "Assets", "--yes", "--partitions", "16", "--readers", "1", "--batch-docs", "20"];
        Self::of(db, &[&fixed, more].concat())
    }

    /// Starts a verb with its arguments.
    pub(crate) fn of(db: &Db, verb: &[&str]) -> Self {
        let child = Command::new(assert_cmd::cargo::cargo_bin!("statefold"))
            .args(verb)
            .args(["--interval", "1", "--uri", &db.uri, "--database", &db.name])
            .current_dir(std::env::temp_dir())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn interrupt(&self) {
        assert!(Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap().success());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// What it said, once it has ended.
    pub(crate) fn ended(mut self, code: i32) -> String {
        use std::io::Read;
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(self.0.wait().unwrap().code(), Some(code), "{said}");
        said
    }
}

pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// So much was built.
pub(crate) fn done(db: &Db) -> u64 {
    let checkpoints = db.collection("Statefold_Checkpoints");
    db.wait(async { checkpoints.count_documents(doc! { "Done": true }).await }).unwrap()
}

fn building(db: &Db) -> serde_json::Value {
    let status = db.run(&["status", "-o", "json"], 0).json();
    let all = status["projections"].as_array().unwrap();
    all.iter().find(|one| one["projection"] == "Assets").unwrap()["building"].clone()
}

/// What the leader says that it is held by.
pub(crate) fn held(db: &Db) -> Option<String> {
    let lock = db.run(&["lock", "show", "-o", "json"], 0).json();
    lock["leader"]["doing"]["held"].as_str().map(str::to_owned)
}

/// A store with a server that takes its time for each batch of snapshots.
pub(crate) fn slow(db: &Db, milliseconds: i32) {
    let data = doc! {
        "failCommands": ["insert"], "appName": "slow", "blockConnection": true, "blockTimeMS": milliseconds,
    };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data };
    let admin = db.client().database("admin");
    db.wait(async { admin.run_command(fail).await }).unwrap();
}

/// What is written takes no longer than it must, from now on.
pub(crate) fn quick(db: &Db) {
    let off = doc! { "configureFailPoint": "failCommand", "mode": "off" };
    let admin = db.client().database("admin");
    db.wait(async { admin.run_command(off).await }).unwrap();
}

/// How slow a batch is where a run mustn't be over before something is seen of it: the whole takes half a
/// minute then.
pub(crate) const SLOW_MS: i32 = 500;

/// A server of its own, with a store; batches of whoever calls itself `slow` take their time.
pub(crate) fn own(test: &str, milliseconds: i32) -> (crate::support::OwnServer, Db) {
    let server = crate::support::OwnServer::start(test, &[]);
    let mut db = Db::at(server.uri.clone());
    db.run(&["fixture", "--commits", "8000"], 0);
    slow(&db, milliseconds);
    db.uri = format!("{}&appName=slow", db.uri);
    (server, db)
}

/// What was on its way is finished; then nothing more comes, and the lease is kept.
pub(crate) fn nothing_is_written(db: &Db) {
    let staging = || {
        let name = db.collections().into_iter().find(|name| name.contains("__t")).unwrap();
        let all = db.collection(&name);
        db.wait(async { all.count_documents(doc! {}).await }).unwrap()
    };
    let beat = || {
        let control = db.read("Migration").into_iter().find(|one| one.get_str("_id").unwrap() == "Statefold");
        control.unwrap().get_document("Lease").unwrap().get_i64("Beat").unwrap()
    };
    wait_until("the batches on their way", || {
        let before = staging();
        std::thread::sleep(Duration::from_millis(500));
        staging() == before
    });
    let (before, first) = (staging(), beat());
    wait_until("a further renewal of the lease", || beat() > first);
    assert_eq!(staging(), before);
}

#[test]
fn a_running_rebuild_is_paused_says_why_and_is_resumed() {
    let (_server, db) = own("pause", SLOW_MS);
    let mut running = Running::start(&db, &[]);
    wait_until("a partition to be finished", || done(&db) >= 1);
    let paused = db.run(&["pause", "--yes", "Assets", "--reason", "month-end", "-o", "json"], 0).json();
    assert_eq!(paused[0]["build"], "Assets3", "{paused}");
    assert!(paused[0]["paused"].as_str().unwrap().ends_with(": month-end"), "{paused}");
    assert!(
        paused[0]["at_work"].as_str().unwrap().contains(&format!("(pid {})", running.0.id())),
        "{paused}"
    );

    wait_until("the run to say that it waits", || held(&db).is_some_and(|why| why.contains("month-end")));
    let status = db.run(&["status"], 0).stdout;
    assert!(status.contains("paused by") && status.contains("statefold resume Assets --yes"), "{status}");
    nothing_is_written(&db);
    assert!(running.is_running());
    assert!(building(&db)["paused"].as_str().unwrap().contains("month-end"));

    quick(&db);
    let resumed = db.run(&["resume", "--yes"], 0).stdout;
    assert!(resumed.contains("Assets3 (building) was paused by"), "{resumed}");
    assert!(db.run(&["resume", "--yes"], 0).stdout.contains("Nothing to resume"));
    let said = running.ended(0);
    assert!(said.contains("waiting before more is written") && said.contains("month-end"), "{said}");
    assert!(said.contains("writing continues"), "{said}");
    assert!(db.collections().contains(&"States_Assets3".to_owned()));
}

#[test]
fn a_build_that_is_begun_again_stays_paused_and_can_be_interrupted() {
    let (_server, db) = own("pause-again", SLOW_MS);
    let first = Running::start(&db, &[]);
    wait_until("a partition to be finished", || done(&db) >= 1);
    first.interrupt();
    first.ended(130);
    let paused = db.run(&["pause", "--yes"], 0);
    assert!(paused.stdout.contains("nobody works on it now"), "{}", paused.stdout);
    assert!(paused.stderr.contains("statefold resume --yes"), "{}", paused.stderr);

    let before = done(&db);
    let again = Running::start(&db, &[]);
    wait_until("the run to say that it waits", || held(&db).is_some());
    again.interrupt();
    again.ended(130);
    assert!(done(&db) <= before);
    quick(&db);
    db.run(&["resume", "--yes"], 0);
    Running::start(&db, &[]).ended(0);
}

#[test]
fn there_may_be_nothing_to_pause() {
    let db = Db::with(&[crate::support::asset("1")]);
    assert!(db.run(&["pause", "--yes"], 0).stdout.contains("Nothing to pause"));
    db.run(&["rebuild", "Assets", "--yes"], 0);
    assert_eq!(db.run(&["pause", "--yes", "-o", "json"], 0).json(), serde_json::json!([]));
}

#[test]
pub(crate) fn slow_batches_throttle_and_the_run_says_so() {
    let (_server, db) = own("throttle", 60);
    let said = Running::start(&db, &["--throttle", "20ms"]).ended(0);
    assert!(said.contains("more than the 20 ms") && said.contains("batches take"), "{said}");
    let quick = Running::start(&db, &["--throttle", "1m", "--max-lag", "off"]).ended(0);
    assert!(!quick.contains("--throttle"), "{quick}");
    crate::support::done(program().args(["rebuild", "--throttle", "quick", "--max-lag", "some"]), 2);
}
