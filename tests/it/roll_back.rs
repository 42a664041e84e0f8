//! Back to the generation that was active before, and forward again; first built, then cut over to.

use bson::{Document, doc};
use statefold::{Error, NextStep, Rebuild, RebuildReport, Result, projections::Registry};

use crate::support::commits::{asset_created, asset_renamed, asset_stream, generated, last_asset_stream};
use crate::support::database::assert_same;
use crate::support::versions::{assets_of, assets_with_former};
use crate::support::{Db, commit, no_waiting, oracle, squidex};

async fn rolled_back(db: &Db, registry: &Registry) -> Result<RebuildReport> {
    statefold::rollback(&db.settings(no_waiting()), registry, Rebuild::of(["Assets"])).await
}

fn renamed(commits: &[Document], stream: &str, name: &str) -> Document {
    let offset = crate::support::commits::next_offset(commits, stream);
    commit(stream, offset, &[("AssetAnnotatedEvent", &asset_renamed("x", name))])
}

async fn active(db: &Db) -> (i64, String, Vec<i64>) {
    let pointer = db.pointer("Assets").await.unwrap();
    let previous = pointer.get_array("Previous").unwrap().iter();
    let previous = previous.map(|one| one.as_document().unwrap().get("Generation").unwrap());
    let number = |value: &bson::Bson| value.as_i64().or(value.as_i32().map(i64::from)).unwrap();
    let collection = pointer.get_str("Collection").unwrap().to_owned();
    (number(pointer.get("Active").unwrap()), collection, previous.map(number).collect())
}

#[tokio::test]
async fn back_and_forth_loses_no_event_whichever_generation_is_active() {
    let mut commits = generated(1500, 21);
    let db = Db::new("back").await;
    db.write(&commits).await;
    let (old, new) = (assets_of(1), assets_with_former(2, 1));
    db.rebuild(&old, &["Assets"], no_waiting()).await.unwrap();
    db.rebuild(&new, &["Assets"], no_waiting()).await.unwrap();
    assert_eq!(active(&db).await, (4, "States_Assets4".into(), vec![3]));
    let last = last_asset_stream(&commits);
    for (round, expected) in [(3, vec![4]), (4, vec![3]), (3, vec![4])].into_iter().enumerate() {
        // Since the generation was left: a stream more, and another one that goes on.
        let id = format!("round-{round}");
        let events = [
            commit(&asset_stream(&id), -1, &[("AssetCreatedEventV2", &asset_created(&id))]),
            renamed(&commits, &last, &format!("{round}.png")),
        ];
        db.append(&events).await;
        commits.extend(events);
        let report = rolled_back(&db, &new).await.unwrap();
        assert!(report.projections[0].streams_refolded >= 2, "{report:?}");
        let (generation, previous) = expected;
        assert_eq!(active(&db).await, (generation, format!("States_Assets{generation}"), previous));
        assert_same(&db.read(&format!("States_Assets{generation}")).await, &oracle::assets(&commits));
        let states: Vec<Document> = db.read("Statefold_Builds").await.into_values().collect();
        let state = |generation: i64| {
            let id = format!("Assets{generation}");
            let record = states.iter().find(|one| one.get_str("_id").unwrap() == id).unwrap();
            record.get_str("State").unwrap().to_owned()
        };
        assert_eq!((state(generation), state(7 - generation)), ("active".into(), "retired".into()));
    }
    db.assert_unlocked().await;
}

#[tokio::test]
async fn what_cant_be_gone_back_to_is_refused_with_the_reason() {
    let db = Db::new("refused_back").await;
    db.write(&generated(300, 21)).await;
    let refused = async |registry: &Registry| match rolled_back(&db, registry).await {
        Err(Error::Unsupported(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert!(refused(&assets_of(1)).await.contains("no generation to go back to"));
    db.rebuild(&assets_of(1), &["Assets"], no_waiting()).await.unwrap();
    db.rebuild(&assets_of(2), &["Assets"], no_waiting()).await.unwrap();
    let reason = refused(&assets_of(2)).await;
    assert!(reason.contains("version 1 of Assets, which this program doesn't have"), "{reason}");
    db.collection("States_Assets3").drop().await.unwrap();
    let reason = refused(&assets_with_former(2, 1)).await;
    assert!(reason.contains("generation 3 of Assets isn't there any more"), "{reason}");
    assert_eq!(active(&db).await.0, 4);
    db.assert_unlocked().await;
}

#[tokio::test]
async fn a_generation_that_was_tampered_with_is_mended_before_it_is_gone_back_to() {
    let commits = generated(300, 21);
    let db = Db::new("tampered_back").await;
    db.write(&commits).await;
    for _ in 0..2 {
        db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    }
    let id = oracle::assets(&commits).into_keys().next().unwrap();
    let change = doc! { "$set": { "fn": "else.png" } };
    db.collection("States_Assets3").update_one(doc! { "_id": &id }, change).await.unwrap();
    rolled_back(&db, &squidex()).await.unwrap();
    assert_eq!(active(&db).await, (3, "States_Assets3".into(), vec![4]));
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    // The sums of its partitions don't have what was there.
    assert!(!db.one("Statefold_Builds", "Assets3").await.unwrap().contains_key("Digest"));

    // What no stream gives can't be mended so.
    db.collection("States_Assets4").insert_one(doc! { "_id": 7 }).await.unwrap();
    let error = rolled_back(&db, &squidex()).await.unwrap_err();
    assert!(matches!(&error, Error::Mismatch(text) if text.contains("is no text")), "{error}");
    assert_eq!(active(&db).await, (3, "States_Assets3".into(), vec![4]));
}

#[tokio::test]
async fn a_build_that_is_postponed_is_cut_over_to_later() {
    let mut commits = generated(1200, 22);
    let db = Db::new("postponed").await;
    db.write(&commits).await;
    let settings = db.settings(no_waiting());
    let none = statefold::cutover(&settings, &squidex(), Rebuild::default()).await.unwrap_err();
    assert!(none.to_string().contains("no projection has a complete build"), "{none}");
    let postponed = Rebuild { postpone: true, ..Rebuild::of(["Assets"]) };
    let report = statefold::rebuild(&settings, &squidex(), postponed).await.unwrap();
    assert!(report.postponed && report.cut_over.is_empty());
    db.assert_nothing_published().await;
    let late = renamed(&commits, &last_asset_stream(&commits), "late.png");
    db.append(std::slice::from_ref(&late)).await;
    commits.push(late);
    let report = statefold::cutover(&settings, &squidex(), Rebuild::default()).await.unwrap();
    assert_eq!((report.projections[0].generation, report.projections[0].streams_refolded), (3, 1));
    assert_eq!(active(&db).await.0, 3);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn a_complete_build_of_another_version_is_not_given_up_by_a_cut_over() {
    let commits = generated(300, 23);
    let db = Db::new("other_version").await;
    db.write(&commits).await;
    let settings = db.settings(no_waiting());
    let postponed = Rebuild { postpone: true, ..Rebuild::of(["Assets"]) };
    statefold::rebuild(&settings, &assets_of(2), postponed).await.unwrap();
    for (other, request) in [(1, Rebuild::default()), (3, Rebuild::of(["Assets"]))] {
        match statefold::cutover(&settings, &assets_of(other), request).await {
            Err(Error::NotReady { reason, next }) => {
                let said = format!("built with version 2 of Assets, and this program has version {other}");
                assert!(reason.contains(&said), "{reason}");
                assert!(matches!(&next[..], [NextStep::Rebuild { .. }]), "{next:?}");
            }
            found => panic!("{found:?}"),
        }
        db.assert_nothing_published().await;
        let record = db.one("Statefold_Builds", "Assets3").await.unwrap();
        assert_eq!(record.get_str("State").unwrap(), "verified");
    }
    let report = statefold::cutover(&settings, &assets_of(2), Rebuild::default()).await.unwrap();
    assert_eq!((report.projections[0].generation, report.projections[0].projection_version), (3, 2));
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn a_generation_that_never_became_active_can_be_given_up() {
    let db = Db::new("given_up").await;
    db.write(&generated(300, 22)).await;
    let settings = db.settings(no_waiting());
    // Complete, with its own name, but the pointer can't be moved.
    db.db.create_collection("Migration").await.unwrap();
    let other = doc! { "$expr": { "$ne": ["$Generations.Assets.Active", 3] } };
    db.db.run_command(doc! { "collMod": "Migration", "validator": other }).await.unwrap();
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap_err();
    db.db.run_command(doc! { "collMod": "Migration", "validator": {} }).await.unwrap();
    assert!(db.collections().await.contains(&"States_Assets3".to_owned()));
    let aborted = statefold::abort(&settings, &squidex(), &[], false).await.unwrap();
    assert_eq!((aborted.len(), aborted[0].build.as_str()), (1, "Assets3"));
    assert!(!db.collections().await.contains(&"States_Assets3".to_owned()));
    // What is active is nobody's to abort.
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert_eq!(statefold::abort(&settings, &squidex(), &[], false).await.unwrap(), []);
    assert_eq!(active(&db).await.0, 4);
}
