//! Clean-up: what nobody needs goes, everything else stays and says why.

use std::time::Duration;

use bson::{Document, doc};
use statefold::{Cleanup, CleanupItem, CleanupReport, CleanupSettings, Error, Settings};

use crate::support::commits::good_asset;
use crate::support::versions::assets_of;
use crate::support::{Db, Gate, no_waiting, squidex};

/// A database with so many generations of Assets, the first is 3.
pub(crate) async fn with_generations(test: &str, number: usize) -> Db {
    let db = Db::new(test).await;
    db.write(&good_asset("1")).await;
    for _ in 0..number {
        db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    }
    db
}

pub(crate) fn really() -> Cleanup {
    Cleanup { dry_run: false, ..Cleanup::default() }
}

fn keeping(db: &Db, keep: usize) -> Settings {
    db.settings(no_waiting()).with_cleanup(CleanupSettings { keep, ..CleanupSettings::default() })
}

pub(crate) async fn clean(db: &Db, request: Cleanup) -> CleanupReport {
    statefold::cleanup(&db.settings(no_waiting()), &squidex(), request).await.unwrap()
}

#[track_caller]
fn item<'a>(report: &'a CleanupReport, name: &str) -> &'a CleanupItem {
    let found = report.items.iter().find(|item| item.name() == name);
    found.unwrap_or_else(|| panic!("{name} is not in {report:#?}"))
}

#[track_caller]
fn kept(report: &CleanupReport, name: &str, reason: &str) {
    let item = item(report, name);
    assert!(!item.eligible && item.reason.contains(reason) && item.outcome.is_none(), "{item:?}");
}

#[track_caller]
fn dropped(report: &CleanupReport, name: &str) {
    assert_eq!(item(report, name).outcome, Some(statefold::DropOutcome::Dropped));
}

async fn snapshots(db: &Db) -> Vec<String> {
    db.collections().await.into_iter().filter(|name| name.starts_with("States_")).collect()
}

async fn records_of(db: &Db, build: &str) -> u64 {
    let mut all = 0;
    for name in ["Statefold_Checkpoints", "Statefold_Heads", "Statefold_DeadLetters"] {
        all += db.collection(name).count_documents(doc! { "Build": build }).await.unwrap();
    }
    all
}

async fn state_of(db: &Db, build: &str) -> String {
    db.one("Statefold_Builds", build).await.unwrap().get_str("State").unwrap().to_owned()
}

#[tokio::test]
async fn generations_beyond_the_kept_ones_go_with_their_records() {
    let db = with_generations("cleanup_old", 4).await;
    assert!(records_of(&db, "Assets3").await > 0);

    let listed = clean(&db, Cleanup::default()).await;
    assert!(item(&listed, "States_Assets3").eligible && item(&listed, "States_Assets4").eligible);
    assert!(listed.eligible_bytes() > 0 && item(&listed, "States_Assets3").documents == Some(1));
    assert_eq!(snapshots(&db).await.len(), 4, "only listed");
    assert!(db.one("Migration", "Statefold").await.unwrap().get("Lease").is_none());

    let done = clean(&db, really()).await;
    kept(&done, "States_Assets6", "active");
    kept(&done, "States_Assets5", "one of the 1 kept to roll back to");
    dropped(&done, "States_Assets3");
    dropped(&done, "States_Assets4");
    assert_eq!(snapshots(&db).await, ["States_Assets5", "States_Assets6"]);
    assert_eq!(records_of(&db, "Assets3").await + records_of(&db, "Assets4").await, 0);
    assert!(records_of(&db, "Assets5").await > 0);
    assert_eq!(state_of(&db, "Assets3").await, "dropped");
    let pointer = db.pointer("Assets").await.unwrap();
    let previous = pointer.get_array("Previous").unwrap();
    assert_eq!(previous.len(), 1, "{pointer}");

    // Nothing is left to do, and the next generation isn't disturbed.
    assert!(!clean(&db, Cleanup::default()).await.items.iter().any(|item| item.eligible));
    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert_eq!(report.projections[0].generation, 7);
}

#[tokio::test]
async fn more_is_kept_if_it_is_asked_for() {
    let db = with_generations("cleanup_keep", 3).await;
    let list = |settings: Settings| async move {
        statefold::cleanup(&settings, &squidex(), Cleanup::default()).await.unwrap()
    };
    kept(&list(keeping(&db, 2)).await, "States_Assets3", "one of the 2 kept to roll back to");
    assert!(item(&list(keeping(&db, 0)).await, "States_Assets4").eligible);
    let week = Some(Duration::from_secs(7 * 24 * 3600));
    let settings = db.settings(no_waiting()).with_cleanup(CleanupSettings {
        keep: 0,
        keep_for: week,
        ..CleanupSettings::default()
    });
    kept(&list(settings).await, "States_Assets3", "kept for 7 d");
}

#[tokio::test]
async fn what_a_running_server_needs_stays_until_it_ends() {
    let db = Db::new("cleanup_instance").await;
    db.write(&good_asset("1")).await;
    db.rebuild(&assets_of(1), &["Assets"], no_waiting()).await.unwrap();
    let old = statefold::register_instance(&db.settings(no_waiting()), &assets_of(1)).await.unwrap();
    for _ in 0..2 {
        db.rebuild(&assets_of(2), &["Assets"], no_waiting()).await.unwrap();
    }
    kept(&clean(&db, really()).await, "States_Assets3", "can read version 1 only");
    old.close().await.unwrap();
    dropped(&clean(&db, really()).await, "States_Assets3");
    assert_eq!(snapshots(&db).await, ["States_Assets4", "States_Assets5"]);
}

#[tokio::test]
async fn nothing_is_dropped_while_somebody_is_at_work_and_an_unfinished_build_keeps_what_is_its_own() {
    let db = with_generations("cleanup_at_work", 3).await;
    let (registry, gate) = Gate::assets(|_| true);
    let running = statefold::rebuild(
        &db.settings(no_waiting()),
        &registry,
        statefold::Rebuild { fresh: true, ..statefold::Rebuild::of(["Assets"]) },
    );
    gate.reached().await;
    let staging = db.staging("States_Assets6").await.unwrap();
    kept(&clean(&db, Cleanup::default()).await, &staging, "Assets6 is building");
    let error = statefold::cleanup(&db.settings(no_waiting()), &squidex(), really()).await.unwrap_err();
    assert!(matches!(error, Error::LeaseHeld { .. }), "{error}");
    let cancel = running.cancellation();
    cancel.cancel();
    gate.open();
    assert!(matches!(running.await, Err(Error::Interrupted)));

    // Interrupted, it stays what it was; what an older token left behind goes.
    let zombie = "States_Assets6__t1";
    db.collection(zombie).insert_one(doc! { "_id": "late" }).await.unwrap();
    let done = clean(&db, really()).await;
    kept(&done, &staging, "an abort ends it");
    dropped(&done, zombie);
    dropped(&done, "States_Assets3");
    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert_eq!(report.projections[0].generation, 6);
}

#[tokio::test]
async fn what_dead_processes_left_goes() {
    let db = with_generations("cleanup_litter", 1).await;
    // Of a build that is active, of one that is gone, of one that nobody knows.
    for name in ["States_Assets3__t1", "States_Assets9__t1", "States_AssetFolders8__t1"] {
        db.collection(name).insert_one(doc! { "_id": "late" }).await.unwrap();
    }
    let letters = doc! { "_id": "Assets9/0/x", "Format": 1, "Build": "Assets9", "Partition": 0 };
    db.collection("Statefold_DeadLetters").insert_one(letters).await.unwrap();
    // Not ours to take: its token was never given out.
    db.collection("States_Assets3__t99").insert_one(doc! { "_id": "x" }).await.unwrap();
    let done = clean(&db, really()).await;
    for name in ["States_Assets3__t1", "States_Assets9__t1", "States_AssetFolders8__t1", "Assets9"] {
        dropped(&done, name);
    }
    kept(&done, "States_Assets3__t99", "newer than any");
    assert_eq!(snapshots(&db).await, ["States_Assets3", "States_Assets3__t99"]);
    assert_eq!(records_of(&db, "Assets9").await, 0);
    assert!(records_of(&db, "Assets3").await > 0);
}

#[tokio::test]
async fn only_the_named_projections_are_cleaned_up() {
    let db = with_generations("cleanup_named", 1).await;
    for name in ["States_Assets3__t1", "States_AssetFolders8__t1"] {
        db.collection(name).insert_one(doc! { "_id": "late" }).await.unwrap();
    }
    clean(&db, Cleanup { projections: vec!["assetfolders".into()], ..really() }).await;
    assert_eq!(snapshots(&db).await, ["States_Assets3", "States_Assets3__t1"]);
}

#[tokio::test]
async fn a_collection_of_the_application_goes_only_if_it_is_named_in_full() {
    let db = with_generations("cleanup_foreign", 1).await;
    for name in ["States_Assets", "States_Assets2"] {
        db.collection(name).insert_one(doc! { "_id": "theirs" }).await.unwrap();
    }
    let done = clean(&db, really()).await;
    kept(&done, "States_Assets", "goes only if named in full");
    kept(&done, "States_Assets2", "not built by statefold");
    assert!(item(&done, "States_Assets2").bytes.unwrap() > 0);

    let name = |name: &str| Cleanup { collections: vec![name.into()], ..really() };
    for unknown in ["States_Asset", "Events2", "Migration", "States_Assets77"] {
        let error =
            statefold::cleanup(&db.settings(no_waiting()), &squidex(), name(unknown)).await.unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{unknown}: {error}");
    }
    // A pointer that names it keeps it, named or not.
    let previous = doc! { "Generation": 2, "Collections": ["States_Assets2"], "ProjectionVersion": 1 };
    let update = |change: Document| async {
        db.collection("Migration").update_one(doc! { "_id": "Statefold" }, change).await.unwrap();
    };
    update(doc! { "$push": { "Generations.Assets.Previous": previous } }).await;
    kept(&clean(&db, name("States_Assets2")).await, "States_Assets2", "the pointer of Assets names it");
    update(doc! { "$set": { "Generations.Assets.Previous": [] } }).await;

    dropped(&clean(&db, name("States_Assets2")).await, "States_Assets2");
    assert_eq!(snapshots(&db).await, ["States_Assets", "States_Assets3"]);
}

#[tokio::test]
async fn an_adopted_generation_goes_only_if_it_is_named_in_full() {
    let db = with_generations("cleanup_adopted", 3).await;
    let adopted = doc! { "$set": { "Adopted": true } };
    db.collection("Statefold_Builds").update_one(doc! { "_id": "Assets3" }, adopted).await.unwrap();
    kept(&clean(&db, really()).await, "States_Assets3", "adopted");
    let named = Cleanup { collections: vec!["States_Assets3".into()], ..really() };
    dropped(&clean(&db, named).await, "States_Assets3");
    assert_eq!(state_of(&db, "Assets3").await, "dropped");
}

#[tokio::test]
async fn what_a_view_shows_stays() {
    let db = with_generations("cleanup_view", 3).await;
    let view = doc! { "create": "States_Assets", "viewOn": "States_Assets3", "pipeline": [] };
    db.db.run_command(view).await.unwrap();
    kept(&clean(&db, really()).await, "States_Assets3", "the view States_Assets shows it");
}

#[tokio::test]
async fn a_former_generation_whose_collection_is_gone_is_forgotten() {
    let db = with_generations("cleanup_gone", 3).await;
    db.collection("States_Assets3").drop().await.unwrap();
    assert!(item(&clean(&db, really()).await, "Assets3").eligible);
    assert_eq!(state_of(&db, "Assets3").await, "dropped");
    assert_eq!(records_of(&db, "Assets3").await, 0);
    // A collection that somebody makes under the old name is not ours.
    db.collection("States_Assets3").insert_one(doc! { "_id": "theirs" }).await.unwrap();
    kept(&clean(&db, really()).await, "States_Assets3", "not built by statefold");
}

#[tokio::test]
async fn it_comes_by_itself_after_the_configured_time() {
    let db = with_generations("cleanup_automatic", 2).await;
    let after = |seconds| {
        let settings =
            CleanupSettings { after: Some(Duration::from_secs(seconds)), ..CleanupSettings::default() };
        db.settings(no_waiting()).with_cleanup(settings)
    };
    let rebuild = |settings: Settings| async move {
        statefold::rebuild(&settings, &squidex(), statefold::Rebuild::of(["Assets"])).await.unwrap();
    };
    rebuild(after(3600)).await;
    assert_eq!(snapshots(&db).await, ["States_Assets3", "States_Assets4", "States_Assets5"]);
    rebuild(after(0)).await;
    assert_eq!(snapshots(&db).await, ["States_Assets5", "States_Assets6"]);
    // A migration does the same.
    let none = CleanupSettings { keep: 0, ..after(0).cleanup().clone() };
    let settings = after(0).with_cleanup(none);
    statefold::migrate(&settings, &assets_of(2), statefold::Migrate::default()).await.unwrap();
    assert_eq!(snapshots(&db).await, ["States_Assets7"]);
    db.assert_unlocked().await;
}
