//! Natural order that processes share: each reads parts of it, and hands the commits over.

use bson::{Bson, doc};

use crate::listening::Listening;
use crate::pause::{Running, own, quick, wait_until};
use crate::support::Db;
use crate::work::{LEADER, WORKER, claimed, digest, whoever_dies};

const EXCHANGE: [&str; 2] = ["--strategy", "exchange"];

fn parts(db: &Db) -> Vec<bson::Document> {
    db.read("Statefold_Checkpoints").into_iter().filter(|one| one.contains_key("Part")).collect()
}

fn is_done(document: &bson::Document) -> bool {
    document.get_bool("Done").unwrap()
}

/// The collection of the frames.
fn exchange(db: &Db) -> Option<String> {
    db.collections().into_iter().find(|name| name.contains("__t") && name.ends_with('x'))
}

#[test]
fn whoever_dies_freezes_or_leads_in_natural_order_the_digest_is_the_same() {
    whoever_dies("work-exchange", "exchange");
}

#[test]
fn every_commit_is_handed_over_once_and_nothing_is_left() {
    let (_server, db) = own("exchange", 0);
    db.run(&["rebuild", "Assets", "--yes"], 0);
    let alone = digest(&db);
    // Alone it reads and folds everything itself; so little memory that partitions are folded by halves.
    for more in [[].as_slice(), &["--memory", "16MiB", "--partitions", "1"]] {
        let report =
            db.run(&[&["rebuild", "Assets", "--yes", "-o", "json"], &EXCHANGE[..], more].concat(), 0);
        assert_eq!(report.json()["pass"]["strategy"], "exchange");
        assert_eq!(digest(&db), alone);
        assert_eq!((parts(&db), exchange(&db)), (Vec::new(), None));
    }
    // Who asks for natural order and for several processes gets it from all of them.
    crate::pause::slow(&db, 100);
    let worker = Running::of(&db, &WORKER);
    let natural = ["--strategy", "natural"];
    let leader = Running::of(&db, &[LEADER.as_slice(), &natural].concat());
    wait_until("the parts", || !parts(&db).is_empty());
    wait_until("the worker", || claimed(&db, &worker) > 0);
    quick(&db);
    let said = leader.ended(0);
    assert!(said.contains("reading in parts") && said.contains("built by several processes"), "{said}");
    worker.ended(0);
    assert_eq!(digest(&db), alone);
    db.run(&["verify", "Assets", "--full"], 0);
}

#[test]
fn what_fails_in_parts_is_read_in_stream_order() {
    let (_server, db) = own("exchange-fails", 0);
    let leader = Running::of(&db, &[LEADER.as_slice(), &EXCHANGE, &["--lead-only"]].concat());
    wait_until("the parts", || parts(&db).len() > 3);
    // As workers would leave it, none of which can read the part.
    let checkpoints = db.collection("Statefold_Checkpoints");
    let failed = doc! { "$set": { "Failures": 6_i64, "Failure": "the member is gone" } };
    db.wait(async { checkpoints.update_one(doc! { "Part": 2 }, failed).await }).unwrap();
    wait_until("stream order", || parts(&db).is_empty());
    let worker = Running::of(&db, &WORKER);
    let said = leader.ended(0);
    assert!(
        said.contains("part 2 of the event store, by workers, 6 times, failed: the member is gone"),
        "{said}"
    );
    assert!(said.contains("reading in stream order"), "{said}");
    worker.ended(0);
    assert_eq!(exchange(&db), None);
    db.run(&["verify", "Assets", "--full"], 0);
}

#[test]
fn a_frame_that_is_missing_is_noticed_and_what_is_left_read_in_stream_order() {
    let (_server, db) = own("exchange-frames", 150);
    let leader = Running::of(&db, &[LEADER.as_slice(), &EXCHANGE, &["--lead-only"]].concat());
    let worker = Running::of(&db, &WORKER);
    let all_read = || !parts(&db).is_empty() && parts(&db).iter().all(is_done);
    wait_until("all parts to be read", all_read);
    let frames = db.collection(&exchange(&db).unwrap());
    // One that the last partition needs, which nobody has come to.
    let last = frames.find_one_and_delete(doc! {}).sort(doc! { "_id": -1 });
    let gone = db.wait(async { last.await }).unwrap().unwrap();
    assert!(matches!(gone.get("Commits"), Some(Bson::Binary(_))), "{gone}");
    let partition: u32 = gone.get_str("_id").unwrap().split('/').next().unwrap().parse().unwrap();
    // Workers have been at it before.
    let checkpoints = db.collection("Statefold_Checkpoints");
    let tried = doc! { "$set": { "Failures": 5_i64 } };
    let of_partition = doc! { "Partition": i64::from(partition) };
    db.wait(async { checkpoints.update_one(of_partition, tried).await }).unwrap();
    quick(&db);
    let said = leader.ended(0);
    assert!(said.contains(&format!("frames of partition {partition} are missing")), "{said}");
    assert!(said.contains("reading in stream order"), "{said}");
    worker.ended(0);
    let builds = db.read("Statefold_Builds");
    let plan = builds[0].get_document("Plan").unwrap();
    assert_eq!(plan.get_str("Strategy").unwrap(), "stream", "{plan}");
    db.run(&["verify", "Assets", "--full"], 0);
}

/// What a leader that was replaced does late: it clears the parts that it recorded.
#[test]
fn parts_that_vanish_are_noticed_and_nothing_is_folded_without_them() {
    let (_server, db) = own("exchange-vanish", 150);
    let leader = Running::of(&db, &[LEADER.as_slice(), &EXCHANGE].concat());
    let all_read = || !parts(&db).is_empty() && parts(&db).iter().all(is_done);
    wait_until("all parts to be read", all_read);
    let checkpoints = db.collection("Statefold_Checkpoints");
    db.wait(async { checkpoints.delete_one(doc! { "Part": 1 }).await }).unwrap();
    quick(&db);
    let said = leader.ended(0);
    assert!(said.contains("parts of the event store") && said.contains("reading in stream order"), "{said}");
    assert_eq!((parts(&db), exchange(&db)), (Vec::new(), None));
    db.run(&["verify", "Assets", "--full"], 0);
}

#[test]
fn a_leader_shows_each_worker_in_its_metrics() {
    let (_server, db) = own("exchange-metrics", 150);
    let worker = Running::of(&db, &WORKER);
    let leader = Listening::start(&db, &[LEADER.as_slice(), &EXCHANGE].concat());
    let of_worker = |labels: &std::collections::BTreeMap<String, String>| {
        labels.get("worker").is_some_and(|name| name.ends_with(&format!(":{}", worker.id())))
    };
    let seen = leader.metrics(|metrics| {
        let memory = metrics.labelled("statefold_worker_memory_bytes");
        metrics.all("statefold_workers", &[]) == [2.0]
            && memory.iter().any(|(labels, value)| of_worker(labels) && *value > 1e6)
    });
    seen.check();
    // Which part it reads, or which partition it builds, is in the status.
    let status = db.run(&["status", "-o", "json"], 0).json();
    let workers = status["workers"].as_array().unwrap();
    let of_process = workers.iter().find(|one| one["pid"] == worker.id()).unwrap();
    assert!(of_process["parts"].is_array() && of_process["partitions"].is_array(), "{of_process}");
    quick(&db);
    leader.succeeds();
    worker.ended(0);
}
