//! `--listen`: health checks and metrics of each command that has it.

use std::time::{Duration, Instant};

use bson::doc;

use crate::exposition::Exposition;
use crate::listening::Listening;
use crate::support::{Db, asset, broken};

#[test]
fn a_rebuild_can_be_watched_over_http() {
    let db = Db::new();
    db.run(&["fixture", "--commits", "8000"], 0);
    let args = ["rebuild", "Assets", "--yes", "--readers", "1", "--batch-docs", "5"];
    let mut listening = Listening::start(&db, &args);

    let (mut live, mut not_ready, mut counted) = (false, false, false);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !(live && not_ready && counted) && Instant::now() < deadline {
        live |= listening.get("/livez").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"));
        not_ready |= listening.get("/readyz").is_some_and(|answer| {
            answer.starts_with("HTTP/1.1 503") && answer.contains("\"phase\":\"building\"")
        });
        counted |= listening.get("/metrics").is_some_and(|answer| {
            answer.contains("statefold_events_total{projection=\"Assets\",work=\"build\"}")
        });
        if listening.child.try_wait().unwrap().is_some() {
            break;
        }
    }
    listening.succeeds();
    assert!(live && not_ready && counted, "live {live}, not ready {not_ready}, counted {counted}");
}

#[test]
fn an_address_that_is_taken_is_said_before_the_work_begins() {
    let db = Db::with(&[asset("a")]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failed = db.run(&["rebuild", "Assets", "--yes", "--listen", &address], 1);
    assert!(failed.stderr.contains(&format!("listening on {address}")), "{}", failed.stderr);
    assert_eq!(db.collections(), ["Events2"]);
}

/// Somebody else holds the application's migration lock.
fn lock(db: &Db) {
    let locked = doc! { "_id": "Default", "IsLocked": true, "Version": 27 };
    db.wait(async { db.collection("Migration").insert_one(locked).await }).unwrap();
}

fn unlock(db: &Db) {
    let open = doc! { "$set": { "IsLocked": false } };
    db.wait(async { db.collection("Migration").update_one(doc! { "_id": "Default" }, open).await }).unwrap();
}

/// Each projection is in one phase: this one.
fn all_are(metrics: &Exposition, phase: &str, projections: &[&str]) {
    for projection in projections {
        let of = ("projection", *projection);
        assert_eq!(metrics.all("statefold_phase", &[of]).iter().sum::<f64>(), 1.0, "{projection}");
        assert_eq!(metrics.one("statefold_phase", &[of, ("phase", phase)]), 1.0, "{projection}");
    }
}

#[test]
fn what_a_rebuild_exports_is_what_is_documented_and_verification_is_counted_apart() {
    let db = Db::new();
    db.run(&["fixture", "--commits", "2000"], 0);
    lock(&db);
    let both = ["Assets", "AssetFolders"];
    let args = ["rebuild", "Assets", "AssetFolders", "--yes", "--verify", "full", "--strategy", "spill"];
    let listening = Listening::start(&db, &[&args[..], &["--poll", "100ms"]].concat());
    // Everything is built and verified then; only the cut-over is left.
    let metrics = listening.waiting_for("lock", &both);
    metrics.check();
    all_are(&metrics, "waiting", &both);
    for projection in both {
        let work = |name: &str, work: &str| {
            metrics.one(&format!("statefold_{name}"), &[("projection", projection), ("work", work)])
        };
        for name in ["commits_total", "events_total", "read_bytes_total", "streams_total"] {
            assert!(work(name, "build") > 0.0, "{projection} {name}");
            assert_eq!(work(name, "build"), work(name, "verify"), "{projection} {name}");
        }
        assert_eq!(work("commits_planned", "verify"), work("commits_total", "verify"), "{projection}");
        assert!(work("commits_planned", "build") > 0.0, "{projection}");
        let of = [("projection", projection)];
        assert!(metrics.one("statefold_snapshots_total", &of) > 0.0);
        assert_eq!(metrics.one("statefold_partitions_left", &of), 0.0);
        assert_eq!(metrics.one("statefold_active_generation", &of), 0.0);
    }
    let streams: f64 = metrics.all("statefold_streams_total", &[("work", "build")]).iter().sum();
    let snapshots: f64 = metrics.all("statefold_snapshots_total", &[]).iter().sum();
    assert!(snapshots <= streams, "{snapshots} snapshots of {streams} streams");
    // The file is gone.
    assert_eq!(metrics.one("statefold_spill_bytes", &[]), 0.0);
    assert!(metrics.one("statefold_lease_token", &[]) > 0.0);
    assert!(metrics.one("process_resident_memory_bytes", &[]) > 1e6);
    // The alert on long fences asks for this bucket.
    assert_eq!(metrics.one("statefold_fence_seconds_bucket", &[("le", "1")]), 0.0);
    unlock(&db);
    listening.succeeds();
}

#[test]
fn what_migrate_exports_is_what_is_documented_for_the_leader_and_those_that_wait() {
    let db = Db::with(&[asset("a")]);
    lock(&db);
    let leader = Listening::start(&db, &["migrate", "--poll", "100ms"]);
    let metrics = leader.waiting_for("lock", &[]);
    metrics.check();
    assert_eq!(metrics.all("statefold_commits_total", &[]).iter().sum::<f64>(), 0.0);
    let follower = Listening::start(&db, &["migrate", "--poll", "100ms"]);
    let metrics = follower.waiting_for("lease", &["Assets", "AssetFolders", "Rules"]);
    metrics.check();
    all_are(&metrics, "waiting", &["Assets", "AssetFolders", "Rules"]);
    assert_eq!(metrics.one("statefold_lease_token", &[]), 0.0);
    unlock(&db);
    leader.succeeds();
    follower.succeeds();
}

#[test]
fn what_follow_exports_is_what_is_documented_for_the_one_that_follows_and_its_standby() {
    let db = Db::with(&[asset("a")]);
    db.run(&["rebuild", "Assets", "--yes"], 0);
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let assets = ("projection", "Assets");
    let follows = |metrics: &Exposition| {
        metrics.all("statefold_phase", &[assets, ("phase", "following")]) == [1.0]
            && metrics.all("statefold_active_generation", &[assets]) == [3.0]
    };
    let args = ["follow", "Assets", "--poll", "100ms"];
    let follower = Listening::start(&db, &args);
    let metrics = follower.metrics(follows);
    metrics.check();
    all_are(&metrics, "following", &["Assets"]);
    for name in ["statefold_last_cutover_timestamp_seconds", "statefold_last_verify_timestamp_seconds"] {
        let age = before - metrics.one(name, &[assets]);
        assert!((-5.0..600.0).contains(&age), "{name}: {age} s ago");
    }
    assert_eq!(metrics.one("statefold_verify_differences", &[assets]), 0.0);
    assert_eq!(metrics.one("statefold_read_only_since_timestamp_seconds", &[]), 0.0);

    let standby = Listening::start(&db, &args);
    let metrics = standby.waiting_for("lease", &["Assets"]);
    metrics.check();
    all_are(&metrics, "waiting", &["Assets"]);

    // A stream that can't be folded is counted by who refolds it.
    let events = db.collection("Events2");
    db.wait(async { events.insert_many(broken("b")).await }).unwrap();
    let failed = [assets, ("work", "refold")];
    follower.metrics(|metrics| metrics.all("statefold_failed_streams_total", &failed) >= vec![1.0]);

    // What is gone from the one that followed is with the standby now.
    follower.signal("-INT");
    follower.succeeds();
    let metrics = standby.metrics(follows);
    assert_eq!(metrics.one("statefold_waiting", &[("reason", "lease")]), 0.0);
    standby.signal("-INT");
    standby.succeeds();
}

#[test]
fn a_follower_says_that_the_event_store_is_read_only_and_what_a_verification_of_others_found() {
    let db = Db::with(&[asset("a"), asset("b")]);
    db.run(&["rebuild", "Assets", "--yes"], 0);
    db.run(&["read-only", "on", "--yes", "--reason", "test"], 0);
    let one = doc! { "_id": { "$regex": "a$" } };
    db.wait(async { db.collection("States_Assets3").delete_one(one).await }).unwrap();
    db.run(&["verify", "Assets", "--full"], 5);
    let follower = Listening::start(&db, &["follow", "Assets"]);
    let assets = ("projection", "Assets");
    let metrics = follower.metrics(|metrics| {
        metrics.all("statefold_active_generation", &[assets]) == [3.0]
            && metrics.one("statefold_read_only_since_timestamp_seconds", &[]) > 0.0
    });
    assert_eq!(metrics.one("statefold_verify_differences", &[assets]), 1.0);
    follower.signal("-INT");
    follower.succeeds();
}
