//! What is stored is compared with what the events give.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::{Document, doc};
use statefold::{
    Error, Kind, Rebuild, Share, Strategy, Tuning, Verification, Verified, Verify, VerifyReport,
};

use crate::support::commits::{
    asset_created, asset_renamed, asset_stream, generated, last_asset_stream, next_offset,
};
use crate::support::gate::stopped_late;
use crate::support::versions::{assets_of, assets_with_former};
use crate::support::{Db, Gate, commit, no_waiting, oracle, squidex};

async fn verified(db: &Db, request: Verification) -> VerifyReport {
    statefold::verify(&db.settings(no_waiting()), &squidex(), request).await.unwrap()
}

fn assets() -> Verification {
    Verification { projections: vec!["assets".into()], ..Verification::default() }
}

#[tokio::test]
async fn a_built_generation_equals_the_event_store() {
    let db = Db::new("verify").await;
    db.write(&generated(1500, 12)).await;
    let built = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    for strategy in [Strategy::Natural, Strategy::Spill, Strategy::Stream] {
        let tuning = Tuning { strategy: Some(strategy), ..no_waiting() };
        let full = Verification { full: true, ..assets() };
        let report = statefold::verify(&db.settings(tuning), &squidex(), full).await.unwrap();
        let [one] = &report.projections[..] else { panic!("{report:?}") };
        assert_eq!(one.proven_by, None);
        assert!(one.is_equal() && one.differences.is_empty(), "{one:?}");
        assert_eq!((one.generation, one.digest.as_ref()), (Some(3), Some(&built.projections[0].digest)));
        assert_eq!(
            (one.streams, one.snapshots),
            (built.projections[0].streams, built.projections[0].snapshots)
        );
    }
}

#[tokio::test]
async fn what_only_statefold_wrote_is_proven_and_anything_else_compared() {
    let db = Db::new("verify_proven").await;
    let commits = generated(1500, 12);
    db.write(&commits).await;
    let built = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let one = |report: VerifyReport| report.projections.into_iter().next().unwrap();
    let proven = one(verified(&db, assets()).await);
    assert!(proven.proven_by.is_some_and(|sampled| sampled > 0), "{proven:?}");
    assert_eq!(proven.digest.as_ref(), Some(&built.projections[0].digest));
    let compared = one(verified(&db, Verification { full: true, ..assets() }).await);
    let same = |report: &Verified| (report.streams, report.events, report.snapshots, report.is_equal());
    assert_eq!((compared.proven_by, same(&compared)), (None, same(&proven)));

    // An event that nobody folded: the heads tell, and the comparison names its stream.
    let name = last_asset_stream(&commits);
    let renamed = asset_renamed("x", "a new name.png");
    db.append(&[commit(&name, next_offset(&commits, &name), &[("AssetAnnotatedEvent", &renamed)])]).await;
    let behind = one(verified(&db, assets()).await);
    assert_eq!((behind.proven_by, behind.differing), (None, 1), "{behind:?}");
    // A document that somebody else wrote: the digest tells.
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert!(one(verified(&db, assets()).await).proven_by.is_some());
    let change = doc! { "$set": { "fs": 77_i64 } };
    db.collection("States_Assets4").update_one(doc! {}, change).await.unwrap();
    let written = one(verified(&db, assets()).await);
    assert_eq!((written.proven_by, written.differing), (None, 1), "{written:?}");
}

#[tokio::test]
async fn missing_extra_and_differing_snapshots_are_found_field_by_field() {
    let db = Db::new("tampered").await;
    let commits = generated(1500, 12);
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let ids: Vec<String> = oracle::assets(&commits).into_keys().collect();
    let snapshots = db.collection("States_Assets3");
    snapshots.delete_one(doc! { "_id": &ids[3] }).await.unwrap();
    snapshots.update_one(doc! { "_id": &ids[7] }, doc! { "$set": { "fn": "else.png" } }).await.unwrap();
    snapshots.insert_one(doc! { "_id": "nobody--knows" }).await.unwrap();

    let report = verified(&db, assets()).await;
    let one = &report.projections[0];
    assert_eq!((one.missing, one.extra, one.differing, one.moving), (1, 1, 1, 0), "{one:?}");
    assert!(!report.is_equal() && one.digest.is_none());
    let kind = |id: &str| one.differences.iter().find(|one| one.id == id).map(|one| one.kind);
    assert_eq!(kind(&ids[3]), Some(Kind::Missing));
    assert_eq!(kind("nobody--knows"), Some(Kind::Extra));
    let differing = one.differences.iter().find(|one| one.id == ids[7]).unwrap();
    let [field] = &differing.fields[..] else { panic!("{differing:?}") };
    assert_eq!((field.path.as_str(), field.found.as_deref()), ("fn", Some("\"else.png\"")));
    assert!(field.expected.as_ref().is_some_and(|name| name != "\"else.png\""));
}

#[tokio::test]
async fn documents_without_a_text_as_id_are_not_overlooked() {
    let db = Db::new("verify_ids").await;
    let commits = generated(600, 12);
    db.write(&commits).await;
    let snapshots: Vec<Document> = oracle::assets(&commits).into_values().collect();
    db.collection("States_Assets2").insert_many(&snapshots).await.unwrap();
    let strangers = [doc! { "_id": 7 }, doc! { "_id": bson::oid::ObjectId::new() }];
    db.collection("States_Assets2").insert_many(strangers).await.unwrap();
    let request = Verification { collections: vec!["States_Assets2".into()], ..assets() };
    let report = verified(&db, request).await;
    let one = &report.projections[0];
    assert_eq!((one.foreign, one.missing, one.extra, one.differing), (2, 0, 0, 0), "{one:?}");
    assert!(!report.is_equal() && one.digest.is_none());
    let adopt = statefold::Adopt {
        projection: "assets".into(),
        collections: vec!["States_Assets2".into()],
        dry_run: false,
        ..statefold::Adopt::default()
    };
    let report = statefold::adopt(&db.settings(no_waiting()), &squidex(), adopt).await.unwrap();
    assert!(!report.adopted && report.verified.unwrap().foreign == 2);
    assert_eq!(db.pointer("Assets").await, None);
}

#[tokio::test]
async fn a_share_of_the_streams_finds_its_share_of_the_differences() {
    let db = Db::new("share").await;
    db.write(&generated(1500, 12)).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let changed = db.collection("States_Assets3").update_many(doc! {}, doc! { "$set": { "odd": 1 } }).await;
    let all = changed.unwrap().modified_count;
    let share: Share = "25%".parse().unwrap();
    for strategy in [None, Some(Strategy::Stream), Some(Strategy::Spill)] {
        let tuning = Tuning { strategy, ..no_waiting() };
        let request = Verification { share, ..assets() };
        let report = statefold::verify(&db.settings(tuning), &squidex(), request).await.unwrap();
        let one = &report.projections[0];
        assert_eq!((one.missing, one.extra), (0, 0), "{one:?}");
        assert_eq!(one.snapshots, one.differing);
        assert!(one.differing > all / 8 && one.differing < all / 2, "{} of {all}", one.differing);
    }
}

#[tokio::test]
async fn any_existing_collection_is_verified_and_nothing_is_written() {
    let db = Db::new("foreign").await;
    let commits = generated(800, 3);
    db.write(&commits).await;
    // As an application wrote them: the order of fields is its own.
    let reversed = |snapshot: Document| -> Document {
        snapshot.into_iter().collect::<Vec<_>>().into_iter().rev().collect()
    };
    let snapshots: Vec<Document> = oracle::assets(&commits).into_values().map(reversed).collect();
    db.collection("States_Assets2").insert_many(&snapshots).await.unwrap();
    let before = db.db.list_collection_names().await.unwrap().len();
    let request = Verification { collections: vec!["States_Assets2".into()], ..assets() };
    let report = verified(&db, request).await;
    let one = &report.projections[0];
    assert!(one.is_equal(), "{one:?}");
    assert_eq!((one.generation, one.snapshots), (None, snapshots.len() as u64));
    assert_eq!(db.db.list_collection_names().await.unwrap().len(), before);

    let missing = Verification { collections: vec!["States_Assets9".into()], ..assets() };
    let error = statefold::verify(&db.settings(no_waiting()), &squidex(), missing).await.unwrap_err();
    assert!(error.to_string().contains("has no collection States_Assets9"), "{error}");
    let nothing = statefold::verify(&db.settings(no_waiting()), &squidex(), assets()).await.unwrap_err();
    assert!(nothing.to_string().contains("no active generation"), "{nothing}");
}

#[tokio::test]
async fn a_generation_is_verified_with_the_version_it_was_built_with() {
    let db = Db::new("verify_version").await;
    db.write(&generated(600, 12)).await;
    db.rebuild(&assets_of(2), &["Assets"], no_waiting()).await.unwrap();
    let settings = db.settings(no_waiting());
    let verified = async |registry| statefold::verify(&settings, &registry, assets()).await;

    assert!(verified(assets_with_former(3, 2)).await.unwrap().is_equal());
    match verified(assets_of(3)).await {
        Err(Error::Unsupported(text)) => {
            assert!(text.contains("built with version 2, which this program doesn't have"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    match verified(assets_of(1)).await {
        Err(Error::Newer { found: 2, known: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
}

/// An application that writes events and, a little later, its snapshots.
async fn application(db: Arc<Db>, stop: Arc<AtomicBool>) -> u32 {
    let (events, snapshots) = (db.collection("Events2"), db.collection("States_Assets2"));
    let (mut number, mut commits) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let id = format!("app-{}", number / 4);
        if number % 4 == 0 {
            commits.clear();
        }
        let event = match number % 4 {
            0 => ("AssetCreatedEventV2", asset_created(&id)),
            _ => ("AssetAnnotatedEvent", asset_renamed(&id, &format!("{number}.png"))),
        };
        let one = commit(&asset_stream(&id), i64::from(number % 4) - 1, &[(event.0, &event.1)]);
        events.insert_one(&one).await.unwrap();
        commits.push(one);
        let (id, snapshot) = oracle::assets(&commits).pop_first().unwrap();
        snapshots.replace_one(doc! { "_id": id }, snapshot).upsert(true).await.unwrap();
        number += 1;
    }
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_at_work_is_no_difference() {
    let db = Arc::new(Db::new("at_work").await);
    let commits = generated(800, 3);
    db.write(&commits).await;
    db.collection("States_Assets2").insert_many(oracle::assets(&commits).into_values()).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let application = tokio::spawn(application(Arc::clone(&db), Arc::clone(&stop)));
    let request = || Verification { collections: vec!["States_Assets2".into()], ..assets() };
    let mut suspected = false;
    for _ in 0..5 {
        let report = verified(&db, request()).await;
        assert!(report.is_equal(), "{report:?}");
        suspected |= report.projections[0].digest.is_none();
    }
    stop.store(true, Ordering::Relaxed);
    assert!(application.await.unwrap() > 0);
    // It was at work indeed.
    assert!(suspected);
}

#[tokio::test]
async fn what_differs_from_the_event_store_is_mended_before_it_is_published() {
    let commits = generated(1500, 5);
    let first = oracle::assets(&commits).into_keys().next().unwrap();
    let change = doc! { "$set": { "fn": "else.png" } };
    for (verify, mends) in [(Verify::default(), true), (Verify::Heads, false)] {
        let db = Db::new("tampered_build").await;
        db.write(&commits).await;
        let (running, gate) = stopped_late(&db, &commits, verify).await;
        let staging = db.collection("States_Assets3__t1");
        let changed = staging.update_one(doc! { "_id": &first }, change.clone()).await.unwrap();
        assert_eq!(changed.matched_count, 1);
        gate.open();
        let report = running.await.unwrap();
        assert_eq!(report.projections[0].streams_refolded, u64::from(mends));
        let stored = db.read("States_Assets3").await;
        assert_eq!(stored[&first].get_str("fn").unwrap() == "else.png", !mends);
        let report = verified(&db, assets()).await;
        assert_eq!((report.is_equal(), report.projections[0].differing), (mends, u64::from(!mends)));
    }
}

#[tokio::test]
async fn streams_that_change_while_they_are_verified_are_caught_up() {
    let mut commits = generated(1500, 5);
    let db = Db::new("moving").await;
    db.write(&commits).await;
    let last = last_asset_stream(&commits);
    let moment = last.clone();
    let visits = std::sync::atomic::AtomicU32::new(0);
    // The second time a stream is folded is when it is verified.
    let (gated, gate) =
        Gate::asset_snapshots(move |stream| stream == moment && visits.fetch_add(1, Ordering::Relaxed) == 1);
    let running = statefold::rebuild(&db.settings(no_waiting()), &gated, Rebuild::default());
    gate.reached().await;
    let offset = crate::support::commits::next_offset(&commits, &last);
    let late = commit(&last, offset, &[("AssetAnnotatedEvent", &asset_renamed("x", "late.png"))]);
    db.append(std::slice::from_ref(&late)).await;
    gate.open();
    running.await.unwrap();
    commits.push(late);
    crate::support::database::assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}
