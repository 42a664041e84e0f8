//! `work`: processes that build together, and die, freeze, or lose their leader.

use std::process::Command;

use bson::{Document, doc};

use crate::pause::{Running, own, quick, wait_until};
use crate::support::{Db, OwnServer, asset};

/// A leader that divides the build, on a server that takes its time for each batch of snapshots.
pub(crate) const LEADER: [&str; 13] = [
    "rebuild",
    "Assets",
    "--yes",
    "--workers",
    "3",
    "--partitions",
    "24",
    "--readers",
    "1",
    "--batch-docs",
    "20",
    "--lease-ttl",
    "2s",
];
pub(crate) const WORKER: [&str; 9] =
    ["work", "--linger", "5s", "--readers", "1", "--batch-docs", "20", "--lease-ttl", "2s"];
const SLOW_MS: i32 = 150;

fn signal(process: &Running, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success());
}

/// The worker of a process, as long as it is one.
fn worker_of(db: &Db, process: &Running) -> Option<Document> {
    let workers = db.collection("Statefold_Workers");
    let of_process = doc! { "Pid": i64::from(process.id()) };
    db.wait(async { workers.find_one(of_process).await }).unwrap()
}

/// Number of partitions that a process has claimed, finished ones included.
pub(crate) fn claimed(db: &Db, process: &Running) -> u64 {
    let Some(worker) = worker_of(db, process) else { return 0 };
    let checkpoints = db.collection("Statefold_Checkpoints");
    let of_worker = doc! { "Claim.Worker": worker.get_str("_id").unwrap() };
    db.wait(async { checkpoints.count_documents(of_worker).await }).unwrap()
}

/// The digest of the active generation.
pub(crate) fn digest(db: &Db) -> String {
    let status = db.run(&["status", "-o", "json"], 0).json();
    let all = status["projections"].as_array().unwrap();
    let assets = all.iter().find(|one| one["projection"] == "Assets").unwrap();
    assets["digest"].as_str().unwrap().to_owned()
}

#[test]
fn whoever_dies_freezes_or_leads_the_digest_is_the_same() {
    whoever_dies("work", "stream");
}

/// Kills a worker, freezes another for longer than its lease, and kills the leader, in one build.
pub(crate) fn whoever_dies(test: &str, strategy: &str) {
    let (_server, db) = own(test, 0);
    db.run(&["rebuild", "Assets", "--yes"], 0);
    let alone = digest(&db);
    crate::pause::slow(&db, SLOW_MS);

    let lead = [LEADER.as_slice(), &["--strategy", strategy]].concat();
    let leader = Running::of(&db, &[lead.as_slice(), &["--lead-only"]].concat());
    let workers: Vec<Running> = (0..3).map(|_| Running::of(&db, &WORKER)).collect();
    for (number, worker) in workers.iter().enumerate() {
        wait_until(&format!("worker {number}"), || claimed(&db, worker) > 0);
    }
    let [killed, frozen, kept] = workers.try_into().ok().unwrap();
    signal(&killed, "-KILL");
    signal(&frozen, "-STOP");
    wait_until("the killed worker to be dismissed", || worker_of(&db, &killed).is_none());
    wait_until("the frozen worker to be dismissed", || worker_of(&db, &frozen).is_none());

    // Without a leader, what is claimed is still built.
    signal(&leader, "-KILL");
    let next = Running::of(&db, &lead);
    wait_until("the next leader", || claimed(&db, &next) > 0);
    wait_until("the worker that was kept", || claimed(&db, &kept) > 0);
    signal(&frozen, "-CONT");
    wait_until("the frozen worker to come anew", || claimed(&db, &frozen) > 0);
    quick(&db);
    let said = next.ended(0);
    assert!(said.contains("built by several processes"), "{said}");
    assert_eq!(digest(&db), alone);
    let late = frozen.ended(0);
    assert!(late.contains("has lost its claims"), "{late}");
    kept.ended(0);
    drop((killed, leader));
    let left = db.collections().into_iter().filter(|name| name.contains("__t")).collect::<Vec<_>>();
    assert_eq!((left, db.read("Statefold_Workers").len()), (Vec::new(), 0));
    db.run(&["verify", "Assets", "--full"], 0);
}

#[test]
fn without_a_leader_workers_leave_and_the_next_one_may_build_alone() {
    let (_server, db) = own("work-alone", SLOW_MS);
    let leader = Running::of(&db, &[LEADER.as_slice(), &["--lead-only"]].concat());
    let lingering = Running::of(&db, &WORKER);
    wait_until("the worker that lingers", || claimed(&db, &lingering) > 0);
    let passing = Running::of(&db, &["work", "--readers", "1", "--batch-docs", "20", "--lease-ttl", "2s"]);
    wait_until("the worker that doesn't", || claimed(&db, &passing) > 0);
    signal(&leader, "-KILL");
    quick(&db);
    // It builds what is left, and doesn't wait for a leader.
    passing.ended(0);
    let done = || db.read("Statefold_Checkpoints").iter().all(|one| one.get_bool("Done").unwrap());
    wait_until("the last partition", done);
    db.run(&["rebuild", "Assets", "--yes", "--strategy", "natural", "--lease-ttl", "2s"], 0);
    db.run(&["verify", "Assets", "--full"], 0);
    lingering.ended(0);
}

#[test]
fn what_a_natural_order_takes_over_is_open_to_nobody() {
    let (_server, db) = own("work-natural", SLOW_MS);
    let leader = Running::of(&db, &[LEADER.as_slice(), &["--lead-only"]].concat());
    let worker = Running::of(&db, &WORKER);
    wait_until("the worker", || claimed(&db, &worker) > 0);
    signal(&leader, "-KILL");
    // Slow all along, so that a worker that takes part where it mustn't does so meanwhile.
    let next = ["rebuild", "Assets", "--yes", "--strategy", "natural", "--readers", "2", "--lease-ttl", "2s"];
    let next = Running::of(&db, &[next.as_slice(), &["--batch-docs", "400"]].concat());
    let said = next.ended(0);
    assert!(said.contains("resuming the build"), "{said}");
    db.run(&["verify", "Assets", "--full"], 0);
    worker.ended(0);
}

#[test]
fn a_build_of_something_else_is_refused_by_name() {
    let db = Db::with(&[asset("a"), asset("b")]);
    let folders = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/projections/assetfolders.toml");
    let none = db.run(&["work"], 0).stdout;
    assert!(none.contains("There is no build that is open to workers"), "{none}");
    let leader = Running::of(&db, &[LEADER.as_slice(), &["--lead-only"]].concat());
    let builds = db.collection("Statefold_Builds");
    let open = || doc! { "_id": "Assets3", "Shared": true };
    wait_until("an open build", || db.wait(async { builds.find_one(open()).await }).unwrap().is_some());
    let refused = db.run(&["work", "--projections", folders], 2).stderr;
    assert!(refused.contains("the build Assets3 is of Assets, which this program doesn't have"), "{refused}");
    leader.interrupt();
    leader.ended(130);
}

#[test]
fn a_server_that_starts_helps_the_one_that_leads() {
    let server = OwnServer::start("work-start", &[]);
    let mut db = Db::at(server.uri.clone());
    db.run(&["fixture", "--kinds", "folders", "--commits", "4000"], 0);
    crate::pause::slow(&db, SLOW_MS);
    db.uri = format!("{}&appName=slow", db.uri);
    let folders = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/projections/assetfolders.toml");
    let start = ["migrate", "--workers", "2", "--partitions", "16", "--readers", "1", "--batch-docs", "20"];
    let start = [start.as_slice(), &["--poll", "200ms", "--projections", folders]].concat();
    let leader = Running::of(&db, &start);
    wait_until("the leader", || claimed(&db, &leader) > 0);
    let follower = Running::of(&db, &start);
    wait_until("the follower's help", || claimed(&db, &follower) > 0);
    quick(&db);
    let said = leader.ended(0);
    assert!(said.contains("built by several processes"), "{said}");
    follower.ended(0);
    db.run(&["verify", "--full", "--projections", folders], 0);
}

/// Documents that the members of a replica set have returned to readers, but for its primary.
fn returned_by_secondaries(db: &Db) -> i64 {
    let hello =
        db.wait(async { db.client().database("admin").run_command(doc! { "hello": 1 }).await }).unwrap();
    let primary = hello.get_str("primary").unwrap().to_owned();
    let hosts = hello.get_array("hosts").unwrap().iter().map(|host| host.as_str().unwrap().to_owned());
    let secondaries = hosts.filter(|host| *host != primary);
    let returned = secondaries.map(|host| {
        let status = db.wait(async {
            let uri = format!("mongodb://{host}/?directConnection=true");
            let client = mongodb::Client::with_uri_str(uri).await?;
            client.database("admin").run_command(doc! { "serverStatus": 1 }).await
        });
        let metrics = status.unwrap().get_document("metrics").unwrap().clone();
        metrics.get_document("document").unwrap().get_i64("returned").unwrap()
    });
    returned.sum()
}

/// Tags one secondary, and returns a connection to it alone.
fn tag_one(db: &Db) -> mongodb::Database {
    let admin = db.client().database("admin");
    let run = |command: Document| db.wait(async { admin.run_command(command).await }).unwrap();
    let primary = run(doc! { "hello": 1 }).get_str("primary").unwrap().to_owned();
    let mut config = run(doc! { "replSetGetConfig": 1 }).get_document("config").unwrap().clone();
    let version = config.get_i32("version").unwrap();
    config.insert("version", version + 1);
    let members = config.get_array_mut("members").unwrap();
    let is_secondary = |member: &&mut bson::Bson| {
        member.as_document().is_some_and(|member| member.get_str("host").unwrap() != primary)
    };
    let member = members.iter_mut().find(is_secondary).unwrap().as_document_mut().unwrap();
    member.insert("tags", doc! { "read": "this" });
    let host = member.get_str("host").unwrap().to_owned();
    run(doc! { "replSetReconfig": config });
    let uri = format!("mongodb://{host}/?directConnection=true");
    db.wait(async { mongodb::Client::with_uri_str(uri).await }).unwrap().database("admin")
}

#[test]
fn a_secondary_is_read_instead_of_the_primary_and_gives_the_same() {
    let server = OwnServer::start("work-secondary", &["--nodes", "3"]);
    let db = Db::at(server.uri.clone());
    db.run(&["fixture", "--commits", "3000"], 0);
    let rebuild = ["rebuild", "Assets", "--yes", "--fresh", "--verify", "full"];
    let mut digests = Vec::new();
    let mut returned = Vec::new();
    for more in [
        ["--strategy", "natural", "--read-preference", "primary"],
        ["--strategy", "natural", "--read-preference", "secondary"],
        ["--strategy", "stream", "--read-preference", "nearest"],
        ["--strategy", "stream", "--read-preference", "secondary"],
        ["--strategy", "exchange", "--read-preference", "secondary"],
    ] {
        let before = returned_by_secondaries(&db);
        db.run(&[rebuild.as_slice(), &more].concat(), 0);
        returned.push(returned_by_secondaries(&db) - before);
        digests.push(digest(&db));
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "{digests:?}");
    // Built and folded once more. (Replication returns some documents to other members, too.)
    let commits = i64::try_from(db.read("Events2").len()).unwrap();
    assert!(returned[0] < commits && returned[1] > commits, "{returned:?}");
    assert!(returned[3] > commits && returned[4] > commits, "{returned:?}");
    // One that is behind delays the build, which says so, and takes nothing from it.
    let member = tag_one(&db);
    let stops = |mode: &str| {
        let command = doc! { "configureFailPoint": "rsSyncApplyStop", "mode": mode };
        db.wait(async { member.run_command(command).await }).unwrap();
    };
    stops("alwaysOn");
    let late = asset("late");
    db.wait(async { db.collection("Events2").insert_one(late).await }).unwrap();
    let behind = ["--read-preference", "read:this", "--strategy", "exchange", "--max-lag", "off"];
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut program = Command::new(assert_cmd::cargo::cargo_bin!("statefold"));
    program.args(rebuild).args(behind).args(["--uri", &db.uri, "--database", &db.name]);
    program.current_dir(std::env::temp_dir()).stderr(log.reopen().unwrap());
    let mut running = program.spawn().unwrap();
    let said = || std::fs::read_to_string(log.path()).unwrap();
    let waits = "doesn't have yet what was acknowledged when the build began";
    wait_until("a word about the member that is behind", || said().contains(waits));
    stops("off");
    assert!(running.wait().unwrap().success(), "{}", said());
    db.run(&["verify", "Assets", "--full"], 0);
    let wrong = db.run(&["rebuild", "--read-preference", "secondaries"], 2).stderr;
    assert!(wrong.contains("none of primary, secondary, nearest"), "{wrong}");
    let nowhere = ["rebuild", "Assets", "--yes", "--read-preference", "nodeType:ANALYTICS"];
    let nowhere = db.run(&nowhere, 7).stderr;
    assert!(nowhere.contains("nodeType"), "{nowhere}");
}
