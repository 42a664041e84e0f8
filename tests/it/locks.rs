//! The lock of the version document, shared with Squidex's own migrations.

use bson::{Document, doc};
use statefold::{Error, Rebuild};

use crate::support::commits::good_asset;
use crate::support::database::Db;
use crate::support::{Gate, no_waiting, squidex};

async fn database(test: &str, version: Document) -> Db {
    let db = Db::new(test).await;
    db.write(&good_asset("1")).await;
    db.collection("Migration").insert_one(version).await.unwrap();
    db
}

#[tokio::test]
async fn a_lock_that_squidex_holds_is_left_alone() {
    let version = doc! { "_id": "Default", "IsLocked": true, "Version": 27 };
    let db = database("lock_of_squidex", version.clone()).await;
    let error = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap_err();
    let Error::LockHeld { document, holder } = error else { panic!("{error}") };
    assert_eq!(document, "Migration/{_id: \"Default\"}");
    assert!(holder.contains("not taken by statefold"), "{holder}");
    assert_eq!(db.one("Migration", "Default").await, Some(version));
    assert_eq!(db.pointer("Assets").await, None);
    // What was built is published once the lock is free.
    db.collection("Migration")
        .update_one(doc! { "_id": "Default" }, doc! { "$set": { "IsLocked": false } })
        .await
        .unwrap();
    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert_eq!(report.projections[0].partitions_resumed, report.projections[0].partitions);
    assert_eq!(report.projections[0].generation, 3);
}

#[tokio::test]
async fn a_rebuild_leaves_the_version_as_it_was_and_unlocked() {
    let version = doc! { "_id": "Default", "IsLocked": false, "Version": 27 };
    let db = database("version_kept", version.clone()).await;
    db.rebuild(&squidex(), &[], no_waiting()).await.unwrap();
    let after = db.one("Migration", "Default").await.unwrap();
    assert_eq!(format!("{after:?}"), format!("{version:?}"));
}

#[tokio::test]
async fn a_version_document_that_a_rebuild_makes_is_one_that_squidex_makes_too() {
    let db = Db::new("version_made").await;
    db.write(&good_asset("1")).await;
    db.rebuild(&squidex(), &[], no_waiting()).await.unwrap();
    let version = db.one("Migration", "Default").await.unwrap();
    assert_eq!(version, doc! { "_id": "Default", "IsLocked": false, "Version": 0 });
}

#[tokio::test]
async fn the_lock_of_a_process_that_died_is_taken_over() {
    let db = database("lock_of_dead", doc! { "_id": "Default", "IsLocked": false, "Version": 27 }).await;
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let lock = doc! { "$set": { "IsLocked": true, "LockedBy": signature_of(child.id()) } };
    db.collection("Migration").update_one(doc! { "_id": "Default" }, lock).await.unwrap();
    let alive = db.rebuild(&squidex(), &[], no_waiting()).await;

    child.kill().unwrap();
    child.wait().unwrap();
    let Err(Error::LockHeld { holder, .. }) = alive else { panic!("{alive:?}") };
    assert!(holder.contains(&format!("(pid {})", child.id())), "{holder}");
    db.rebuild(&squidex(), &[], no_waiting()).await.unwrap();
    db.assert_unlocked().await;
}

/// The signature that statefold leaves, of another process of this machine.
fn signature_of(pid: u32) -> Document {
    let read = |path: &str| std::fs::read_to_string(path).unwrap().trim().to_owned();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let stat = read(&format!("/proc/{pid}/stat"));
    // Field 22 of proc(5); the 20th after the name in parentheses.
    let started = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap();
    let process = format!("{}/{}/{started}", read("/proc/sys/kernel/random/boot_id"), namespace.display());
    doc! {
        "Owner": "of-a-child", "Host": read("/proc/sys/kernel/hostname"), "Pid": i64::from(pid),
        "Process": process, "Since": bson::DateTime::now(),
    }
}

#[tokio::test]
async fn of_two_rebuilds_at_the_same_time_one_is_refused_and_the_other_publishes() {
    let mut db = Db::new("two_at_once").await;
    db.lease.renew = Some(std::time::Duration::from_millis(300));
    db.lease.wait_limit = None;
    db.write(&good_asset("1")).await;
    let (gated, gate) = Gate::assets(|_| true);
    let first = statefold::rebuild(&db.settings(no_waiting()), &gated, Rebuild::default());
    gate.reached().await;
    let error = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap_err();
    gate.open();
    let Error::LeaseHeld { holder } = error else { panic!("{error}") };
    assert!(holder.contains(&format!("(pid {})", std::process::id())), "{holder}");
    assert_eq!(first.await.unwrap().projections[0].generation, 3);
    assert_eq!(db.read("States_Assets3").await.len(), 1);
    db.assert_unlocked().await;
}

#[tokio::test]
async fn the_lock_is_shown_while_it_is_held_and_can_be_opened_by_an_operator() {
    let db = database("lock_opened", doc! { "_id": "Default", "IsLocked": true, "Version": 27 }).await;
    let settings = db.settings(no_waiting());
    let shown = statefold::lock_state(&settings, &squidex()).await.unwrap().lock.unwrap();
    assert!(shown.locked);
    // Somebody else takes it between look and release: that one is not opened.
    let other = doc! { "$set": { "LockedBy": { "Owner": "another" } } };
    db.collection("Migration").update_one(doc! {}, other).await.unwrap();
    assert!(!statefold::release_lock(&settings, &squidex(), &shown).await.unwrap());
    let shown = statefold::lock_state(&settings, &squidex()).await.unwrap().lock.unwrap();
    assert!(statefold::release_lock(&settings, &squidex(), &shown).await.unwrap());
    db.assert_unlocked().await;
}
