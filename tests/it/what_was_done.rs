//! The history: what was done is recorded, in order, by whom and with facts; bounded, and never in the way.

use bson::oid::ObjectId;
use bson::{Document, doc};
use serde_json::json;
use statefold::{
    Adopt, Cleanup, CleanupSettings, CutOverMode, Error, HistoryEntry, Migrate, Purge, Rebuild, Verification,
};

use crate::support::commits::{generated, good_asset};
use crate::support::database::behind_a_fence;
use crate::support::{Db, Gate, no_waiting, squidex};

/// What was done, the oldest first.
async fn done(db: &Db) -> Vec<HistoryEntry> {
    let mut entries = statefold::history(&db.settings(no_waiting()), 0).await.unwrap();
    entries.reverse();
    entries
}

/// What was done, about which generation.
fn names(entries: &[HistoryEntry]) -> Vec<String> {
    let name = |entry: &HistoryEntry| match (&entry.projection, entry.generation) {
        (Some(projection), Some(generation)) => format!("{} {projection}{generation}", entry.what),
        (None, None) => entry.what.clone(),
        other => panic!("{other:?}"),
    };
    entries.iter().map(name).collect()
}

#[tokio::test]
async fn all_that_an_operator_does_is_there_in_order_with_facts() {
    let db = Db::new("history").await;
    db.write(&generated(300, 5)).await;
    assert_eq!(done(&db).await, []);
    let settings = db.settings(no_waiting());

    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let fenced = db.rebuild(&squidex(), &["Assets"], behind_a_fence()).await.unwrap();
    statefold::verify(&settings, &squidex(), Verification::default()).await.unwrap();
    statefold::rollback(&settings, &squidex(), Rebuild::of(["Assets"])).await.unwrap();
    statefold::read_only_on(&settings, &squidex(), Some("moving house")).await.unwrap();
    // Once more changes nothing.
    statefold::read_only_on(&settings, &squidex(), None).await.unwrap();
    statefold::read_only_off(&settings, &squidex()).await.unwrap();
    statefold::read_only_off(&settings, &squidex()).await.unwrap();
    let lock = doc! { "$set": { "IsLocked": true } };
    db.collection("Migration").update_one(doc! { "_id": "Default" }, lock).await.unwrap();
    let shown = statefold::lock_state(&settings, &squidex()).await.unwrap().lock.unwrap();
    assert!(statefold::release_lock(&settings, &squidex(), &shown).await.unwrap());
    assert!(!statefold::release_lock(&settings, &squidex(), &shown).await.unwrap());

    let entries = done(&db).await;
    let expected = [
        "built Assets3",
        "cut_over Assets3",
        "built Assets4",
        "cut_over Assets4",
        "verified Assets4",
        "rolled_back Assets3",
        "read_only_on",
        "read_only_off",
        "lock_released",
    ];
    assert_eq!(names(&entries), expected);
    let [built, first, _, second, verified, back, on, off, released] = &entries[..] else { panic!() };
    for entry in &entries {
        assert_eq!(entry.who.pid, Some(std::process::id()));
        assert_eq!(entry.who.version, env!("CARGO_PKG_VERSION"));
        assert!(!entry.who.host.is_empty() && !entry.who.user.is_empty(), "{entry:?}");
        assert!(entry.at.starts_with("20") && entry.at.ends_with('Z'), "{entry:?}");
    }
    assert!(entries.is_sorted_by_key(|entry| entry.at.get(..19).map(str::to_owned)));
    let projection = &fenced.projections[0];
    assert_eq!(built.details["snapshots"], projection.snapshots);
    assert_eq!(
        (&built.details["verified"], &built.details["digest"]),
        (&json!("proof"), &json!(projection.digest))
    );

    assert_eq!((&first.details["fence"], first.details.get("from_generation")), (&json!("none"), None));
    assert!(first.details["drain_ms"].as_f64().unwrap() > 0.0, "{first:?}");
    let cut_over = &fenced.cut_over[0];
    assert_eq!(second.details["fence"], "short");
    assert_eq!(second.details["fence_ms"], json!(cut_over.fence_ms));
    assert_eq!((&second.details["from_generation"], &second.details["mode"]), (&json!(3), &json!("pointer")));
    assert_eq!(second.details.get("forced"), None);
    assert_eq!((&verified.details["verdict"], verified.details.get("differing")), (&json!("equal"), None));
    assert_eq!(back.details["from_generation"], 4);
    assert_eq!(
        (&on.details["reason"], &off.details["reason"]),
        (&json!("moving house"), &json!("moving house"))
    );

    assert_eq!(released.details["forced"], true);
    assert!(released.details["holder"].as_str().unwrap().contains("an unknown process"), "{released:?}");

    let newest = statefold::history(&settings, 2).await.unwrap();
    assert_eq!(names(&newest), ["lock_released", "read_only_off"]);
}

#[tokio::test]
async fn what_differs_and_what_was_forced_is_said() {
    let db = Db::new("history_forced").await;
    db.write(&generated(300, 5)).await;
    let settings = db.settings(no_waiting());
    db.collection("States_Assets2").insert_one(doc! { "_id": "theirs" }).await.unwrap();
    let mut request =
        Adopt { projection: "Assets".into(), collections: vec!["States_Assets2".into()], ..Adopt::default() };
    statefold::adopt(&settings, &squidex(), request.clone()).await.unwrap();
    request.dry_run = false;
    assert!(!statefold::adopt(&settings, &squidex(), request.clone()).await.unwrap().adopted);
    assert_eq!(done(&db).await, [], "nothing was adopted");
    request.force = true;
    assert!(statefold::adopt(&settings, &squidex(), request).await.unwrap().adopted);
    let verification = Verification { projections: vec!["Assets".into()], ..Verification::default() };
    assert!(statefold::verify(&settings, &squidex(), verification).await.unwrap().differs());
    let forced = Rebuild { force: true, mode: Some(CutOverMode::Rename), ..Rebuild::of(["Assets"]) };
    statefold::rebuild(&settings, &squidex(), forced).await.unwrap();

    let entries = done(&db).await;
    assert_eq!(names(&entries), ["adopted Assets2", "verified Assets2", "built Assets3", "cut_over Assets3"]);
    let adopted = &entries[0].details;
    assert_eq!((&adopted["forced"], &adopted["differs"]), (&json!(true), &json!(true)));
    assert_eq!(adopted["collections"], json!(["States_Assets2"]));
    assert_eq!(
        (&entries[1].details["verdict"], &entries[1].details["extra"]),
        (&json!("differs"), &json!(1))
    );
    assert_eq!(
        (&entries[3].details["forced"], &entries[3].details["mode"]),
        (&json!(true), &json!("rename"))
    );
}

#[tokio::test]
async fn a_build_that_is_paused_aborted_postponed_or_cleaned_up_leaves_its_trace() {
    let db = Db::new("history_builds").await;
    db.write(&generated(300, 5)).await;
    let settings = db.settings(no_waiting());
    let (registry, gate) = Gate::assets(|_| true);
    let running = statefold::rebuild(&settings, &registry, Rebuild::of(["Assets"]));
    gate.reached().await;
    let names_of = ["Assets".to_owned()];
    for reason in ["month-end", "once more"] {
        statefold::pause(&settings, &registry, &names_of, Some(reason)).await.unwrap();
    }
    statefold::resume(&settings, &registry, &names_of).await.unwrap();
    statefold::resume(&settings, &registry, &names_of).await.unwrap();
    running.cancellation().cancel();
    gate.open();
    assert!(matches!(running.await, Err(Error::Interrupted)));
    statefold::abort(&settings, &squidex(), &names_of, false).await.unwrap();
    let postponed = Rebuild { postpone: true, ..Rebuild::of(["Assets"]) };
    statefold::rebuild(&settings, &squidex(), postponed.clone()).await.unwrap();
    statefold::cutover(&settings, &squidex(), Rebuild::of(["Assets"])).await.unwrap();
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let keep_none = settings.clone().with_cleanup(CleanupSettings { keep: 0, ..CleanupSettings::default() });
    statefold::cleanup(&keep_none, &squidex(), Cleanup::default()).await.unwrap();
    for _ in 0..2 {
        let cleanup = Cleanup { dry_run: false, ..Cleanup::default() };
        statefold::cleanup(&keep_none, &squidex(), cleanup).await.unwrap();
    }

    let entries = done(&db).await;
    let mut expected = vec!["paused Assets3", "resumed Assets3", "aborted Assets3"];
    expected.extend(["built Assets4", "cut_over Assets4", "built Assets5", "cut_over Assets5", "cleaned_up"]);
    assert_eq!(names(&entries), expected);
    assert_eq!(entries[0].details["reason"], "month-end", "the first pause is kept");
    assert_eq!(entries[2].details["state"], "building");
    assert_eq!(
        (entries[3].details.get("postponed"), entries[5].details.get("postponed")),
        (Some(&json!(true)), None)
    );
    let dropped = entries[7].details["dropped"].as_array().unwrap();
    assert!(dropped.contains(&json!("States_Assets4")), "{dropped:?}");

    // The server's start is an operator, too.
    statefold::migrate(&settings, &squidex(), Migrate::default()).await.unwrap();
    let last = done(&db).await.pop().unwrap();
    assert_eq!((last.what.as_str(), last.projection.as_deref()), ("cut_over", Some("AssetFolders")));
}

#[tokio::test]
async fn it_is_bounded_and_the_oldest_go() {
    let db = Db::new("history_bound").await;
    db.write(&good_asset("1")).await;
    let old = |at: i64| {
        doc! { "_id": ObjectId::new(), "Format": 1, "What": "paused", "At": bson::DateTime::from_millis(at) }
    };
    // The order of ids says nothing.
    let old: Vec<Document> = (0..5000).rev().map(old).collect();
    db.collection("Statefold_History").insert_many(old).await.unwrap();
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let entries = done(&db).await;
    assert_eq!(entries.len(), 5000);
    assert_eq!(names(&entries[4998..]), ["built Assets3", "cut_over Assets3"]);
    assert_eq!(entries[0].at, "1970-01-01T00:00:00.002Z");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_done_all_the_same() {
    let db = Db::new("history_refused").await;
    db.write(&good_asset("1")).await;
    // A view under its name: nothing can be written there.
    let view =
        doc! { "create": "Statefold_History", "viewOn": "Events2", "pipeline": [{ "$match": { "a": 1 } }] };
    db.db.run_command(view).await.unwrap();
    let report = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert_eq!(report.projections[0].generation, 3);
    assert!(report.cut_over[0].drain_ms < 1000.0);
    db.assert_unlocked().await;
}

#[tokio::test]
async fn an_entry_of_a_newer_program_is_refused_by_name_and_a_purge_leaves_none() {
    let db = Db::new("history_purge").await;
    db.write(&good_asset("1")).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let settings = db.settings(no_waiting());
    let newer = doc! { "_id": ObjectId::new(), "Format": 99 };
    db.collection("Statefold_History").insert_one(newer).await.unwrap();
    let error = statefold::history(&settings, 0).await.unwrap_err();
    assert!(matches!(error, Error::Newer { .. }), "{error:?}");

    let purge = Purge { force: false, dry_run: false };
    let report = statefold::purge(&settings, &squidex(), purge).await.unwrap();
    let item = report.items.iter().find(|item| item.name() == "Statefold_History").unwrap();
    assert_eq!(item.kind, statefold::CleanupKind::Records);
    assert_eq!(db.collections().await, ["Events2"]);
}
