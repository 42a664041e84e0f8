//! An application with a collection's name built in: the new generation takes that name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::options::IndexOptions;
use statefold::{Adopt, AdoptReport, CutOverMode, Error, NextStep, Rebuild, Verification};

use crate::support::commits::{asset_created, asset_renamed, asset_stream, generated};
use crate::support::database::assert_same;
use crate::support::{Db, commit, no_waiting, oracle, squidex};

async fn adopted(db: &Db, request: Adopt) -> AdoptReport {
    let collections = vec!["States_Assets2".to_owned()];
    let request = Adopt { projection: "assets".into(), collections, dry_run: false, ..request };
    statefold::adopt(&db.settings(no_waiting()), &squidex(), request).await.unwrap()
}

/// An event store, and the snapshots that an application has of it.
async fn squidex_at_work(test: &str, seed: u64) -> (Db, Vec<Document>) {
    let commits = generated(1200, seed);
    let db = Db::new(test).await;
    db.write(&commits).await;
    let snapshots = db.collection("States_Assets2");
    snapshots.insert_many(oracle::assets(&commits).into_values()).await.unwrap();
    let index = mongodb::IndexModel::builder()
        .keys(doc! { "ai": 1 })
        .options(IndexOptions::builder().name("app".to_owned()).build())
        .build();
    snapshots.create_index(index).await.unwrap();
    (db, commits)
}

fn by_rename() -> Rebuild {
    Rebuild { mode: Some(CutOverMode::Rename), ..Rebuild::of(["Assets"]) }
}

/// An application that writes events, and its snapshots under the one name it knows. Returns the commits.
async fn application(db: Arc<Db>, stop: Arc<AtomicBool>) -> Vec<Document> {
    let (events, snapshots) = (db.collection("Events2"), db.collection("States_Assets2"));
    let (mut number, mut all): (usize, Vec<Document>) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let id = format!("app-{}", number / 4);
        let (name, event) = match number % 4 {
            0 => ("AssetCreatedEventV2", asset_created(&id)),
            _ => ("AssetAnnotatedEvent", asset_renamed(&id, &format!("{number}.png"))),
        };
        let offset = i64::try_from(number % 4).unwrap() - 1;
        let one = commit(&asset_stream(&id), offset, &[(name, &event)]);
        // Refused while the fence stands.
        while events.insert_one(&one).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        all.push(one);
        let own = &all[all.len() - 1 - number % 4..];
        let (id, snapshot) = oracle::assets(own).pop_first().unwrap();
        snapshots.replace_one(doc! { "_id": id }, snapshot).upsert(true).await.unwrap();
        number += 1;
    }
    all
}

/// A reader that knows one name and never finds fewer snapshots than before. A query that runs while the
/// collection is replaced ends with error 175, as the server documents, and is simply repeated.
async fn reader(snapshots: Collection<Document>, stop: Arc<AtomicBool>, at_least: u64) -> u64 {
    let mut reads = 0;
    while !stop.load(Ordering::Relaxed) {
        let count = match snapshots.count_documents(doc! {}).await {
            Ok(count) => count,
            Err(error) if format!("{error:?}").contains("QueryPlanKilled") => continue,
            Err(error) => panic!("{error}"),
        };
        assert!(count >= at_least, "{count} of {at_least}");
        reads += 1;
    }
    reads
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_and_writers_of_one_name_notice_nothing_back_and_forth() {
    let (db, mut commits) = squidex_at_work("rename", 31).await;
    let db = Arc::new(db);
    let report = adopted(&db, Adopt::default()).await;
    assert!(report.adopted && report.generation == 2, "{report:?}");
    let at_least = oracle::assets(&commits).len() as u64;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(application(Arc::clone(&db), Arc::clone(&stop)));
    let reader = tokio::spawn(reader(db.collection("States_Assets2"), Arc::clone(&stop), at_least));
    let settings = db.settings(no_waiting());

    let report = statefold::rebuild(&settings, &squidex(), by_rename()).await.unwrap();
    assert_eq!(report.projections[0].generation, 3);
    let pointer = db.pointer("Assets").await.unwrap();
    assert_eq!(
        (pointer.get_str("Collection").unwrap(), pointer.get_str("Mode").unwrap()),
        ("States_Assets2", "rename")
    );
    for (generation, aside) in
        [(2, "States_Assets2__g3"), (3, "States_Assets2__g2"), (2, "States_Assets2__g3")]
    {
        // As readers find the active one: by its name.
        let back = statefold::rollback(&settings, &squidex(), Rebuild::of(["Assets"])).await.unwrap();
        assert_eq!(back.projections[0].generation, generation);
        assert_eq!(back.projections[0].collections, ["States_Assets2"]);
        let pointer = db.pointer("Assets").await.unwrap();
        assert!(format!("{pointer}").contains(aside), "{pointer}");
    }
    stop.store(true, Ordering::Relaxed);
    commits.extend(writer.await.unwrap());
    assert!(reader.await.unwrap() > 0);
    assert_same(&db.read("States_Assets2").await, &oracle::assets(&commits));
    let names = db.collections().await;
    let snapshots: Vec<&String> = names.iter().filter(|name| name.starts_with("States_Assets")).collect();
    assert_eq!(snapshots, ["States_Assets2", "States_Assets2__g3"]);
    let verified = statefold::verify(&settings, &squidex(), Verification::default()).await.unwrap();
    assert!(verified.is_equal(), "{verified:?}");
}

#[tokio::test]
async fn the_copy_has_the_indexes_of_what_it_is_a_copy_of() {
    let (db, commits) = squidex_at_work("rename_indexes", 32).await;
    adopted(&db, Adopt::default()).await;
    let before = db.hash("States_Assets2").await;
    statefold::rebuild(&db.settings(no_waiting()), &squidex(), by_rename()).await.unwrap();
    assert_eq!(db.hash("States_Assets2__g2").await, before);
    let names = async |collection: &str| -> Vec<String> {
        let mut names = db.collection(collection).list_index_names().await.unwrap();
        names.sort();
        names
    };
    assert_eq!(names("States_Assets2__g2").await, ["_id_", "app"]);
    assert!(names("States_Assets2").await.len() > 2);
    assert_same(&db.read("States_Assets2").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn without_an_active_generation_no_name_can_be_taken() {
    let (db, _) = squidex_at_work("rename_nothing", 33).await;
    let error = statefold::rebuild(&db.settings(no_waiting()), &squidex(), by_rename()).await.unwrap_err();
    let adopt = NextStep::Adopt { projection: "Assets".into(), collections: vec!["States_Assets2".into()] };
    assert!(matches!(&error, Error::NotReady { next, .. } if *next == [adopt]), "{error:?}");
    // Said before anything is built; one that is postponed has time to be given a name.
    assert_eq!(db.read("Statefold_Builds").await.len(), 0);
    let postponed = Rebuild { postpone: true, ..by_rename() };
    statefold::rebuild(&db.settings(no_waiting()), &squidex(), postponed).await.unwrap();
    adopted(&db, Adopt::default()).await;
    let report = statefold::cutover(&db.settings(no_waiting()), &squidex(), by_rename()).await.unwrap();
    assert_eq!(report.projections[0].collections, ["States_Assets2"]);
}

#[tokio::test]
async fn what_differs_is_adopted_only_when_forced_and_gone_back_to_as_the_events_say() {
    let (db, commits) = squidex_at_work("adopt", 34).await;
    let id = oracle::assets(&commits).into_keys().next().unwrap();
    let change = doc! { "$set": { "fn": "else.png" } };
    db.collection("States_Assets2").update_one(doc! { "_id": &id }, change).await.unwrap();
    db.collection("States_Assets2").insert_one(doc! { "_id": "nobody--knows" }).await.unwrap();
    let refused = adopted(&db, Adopt::default()).await;
    let found = refused.verified.unwrap();
    assert!(!refused.adopted && (found.differing, found.extra) == (1, 1), "{found:?}");
    assert_eq!((db.pointer("Assets").await, db.read("Statefold_Builds").await.len()), (None, 0));
    assert_eq!(db.collection("Statefold_Heads").count_documents(doc! {}).await.unwrap(), 0);

    let forced = adopted(&db, Adopt { force: true, ..Adopt::default() }).await;
    assert!(forced.adopted);
    let second =
        Adopt { projection: "Assets".into(), collections: vec!["States_Assets2".into()], ..Adopt::default() };
    let error = statefold::adopt(&db.settings(no_waiting()), &squidex(), second).await.unwrap_err();
    assert!(matches!(&error, Error::Unsupported(text) if text.contains("already")), "{error}");
    let settings = db.settings(no_waiting());
    statefold::rebuild(&settings, &squidex(), by_rename()).await.unwrap();
    statefold::rollback(&settings, &squidex(), Rebuild::default()).await.unwrap();
    assert_same(&db.read("States_Assets2").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn a_view_names_the_active_generation_all_the_time() {
    let commits = generated(800, 35);
    let db = Arc::new(Db::new("view").await);
    db.write(&commits).await;
    let settings = db.settings(no_waiting());
    let by_view = || Rebuild { mode: Some(CutOverMode::View), ..Rebuild::of(["Assets"]) };
    statefold::rebuild(&settings, &squidex(), by_view()).await.unwrap();
    let at_least = oracle::assets(&commits).len() as u64;
    let stop = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn(reader(db.collection("States_Assets"), Arc::clone(&stop), at_least));
    // As before, if nothing is said.
    statefold::rebuild(&settings, &squidex(), Rebuild::of(["Assets"])).await.unwrap();
    statefold::rollback(&settings, &squidex(), Rebuild::default()).await.unwrap();
    statefold::rollback(&settings, &squidex(), Rebuild::default()).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    assert!(reading.await.unwrap() > 0);
    let filter = doc! { "name": "States_Assets" };
    let views: Vec<_> = db.db.list_collections().filter(filter).await.unwrap().try_collect().await.unwrap();
    assert_eq!(views[0].options.view_on.as_deref(), Some("States_Assets4"));
    assert_same(&db.read("States_Assets").await, &oracle::assets(&commits));

    // A collection's name is nobody's to take.
    let taken = Db::new("view_taken").await;
    taken.write(&commits).await;
    taken.collection("States_Assets").insert_one(doc! { "_id": "old" }).await.unwrap();
    let error = statefold::rebuild(&taken.settings(no_waiting()), &squidex(), by_view()).await.unwrap_err();
    assert!(error.to_string().contains("States_Assets is a collection"), "{error}");
    taken.assert_unlocked().await;
}
