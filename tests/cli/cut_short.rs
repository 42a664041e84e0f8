//! A run that was cut short while it published: the next one finishes or goes on, and nothing is lost.

use bson::doc;

use crate::support::{Db, asset};

fn set_state(db: &Db, build: &str, state: &str) {
    let change = doc! { "$set": { "State": state } };
    let builds = db.collection("Statefold_Builds");
    db.wait(async { builds.update_one(doc! { "_id": build }, change).await }).unwrap();
}

fn state(db: &Db, build: &str) -> String {
    let builds = db.read("Statefold_Builds");
    let found = builds.iter().find(|one| one.get_str("_id").unwrap() == build).unwrap();
    found.get_str("State").unwrap().to_owned()
}

/// As if the run had ended before the pointer was set.
fn forget_pointer(db: &Db) {
    let change = doc! { "$unset": { "Generations": "" } };
    let control = db.collection("Migration");
    db.wait(async { control.update_one(doc! { "_id": "Statefold" }, change).await }).unwrap();
}

#[test]
fn between_the_final_name_and_its_record_the_generation_is_taken_back_and_published_again() {
    let db = Db::with(&[asset("a"), asset("b")]);
    db.run(&["rebuild", "Assets", "--yes"], 0);
    forget_pointer(&db);
    set_state(&db, "Assets3", "verified");
    let again = db.run(&["rebuild", "Assets", "--yes", "-o", "json"], 0).json();
    let assets = &again["projections"][0];
    assert_eq!((assets["generation"].as_u64(), assets["snapshots"].as_u64()), (Some(3), Some(2)));
    assert_eq!(assets["partitions_resumed"], assets["partitions"]);
    assert_eq!((state(&db, "Assets3").as_str(), db.read("States_Assets3").len()), ("active", 2));
    assert!(!db.collections().iter().any(|name| name.contains("__t")));
}

#[test]
fn behind_the_flip_only_the_record_is_put_right() {
    let db = Db::with(&[asset("a")]);
    db.run(&["rebuild", "Assets", "--yes"], 0);
    set_state(&db, "Assets3", "published");
    let again = db.run(&["rebuild", "Assets", "--yes", "-o", "json"], 0).json();
    assert_eq!(again["projections"][0]["generation"], 4);
    assert_eq!((state(&db, "Assets3"), state(&db, "Assets4")), ("retired".into(), "active".into()));
}

#[test]
fn before_the_first_write_the_build_is_planned_only() {
    let db = Db::with(&[asset("a")]);
    db.run(&["rebuild", "Assets", "--max-errors", "0", "--yes"], 0);
    // A second build that got as far as its plan.
    db.run(&["rebuild", "Assets", "--yes"], 0);
    let pointer = doc! { "$set": {
        "Generations.Assets.Active": 3_i64,
        "Generations.Assets.Collections": ["States_Assets3"],
    } };
    db.wait(async { db.collection("Migration").update_one(doc! { "_id": "Statefold" }, pointer).await })
        .unwrap();
    db.wait(async { db.collection("States_Assets4").drop().await }).unwrap();
    for name in ["Statefold_Checkpoints", "Statefold_Heads"] {
        db.wait(async { db.collection(name).delete_many(doc! { "Build": "Assets4" }).await }).unwrap();
    }
    set_state(&db, "Assets4", "planned");
    let again = db.run(&["rebuild", "Assets", "--yes", "-o", "json"], 0).json();
    assert_eq!(
        (again["projections"][0]["generation"].as_u64(), again["projections"][0]["snapshots"].as_u64()),
        (Some(4), Some(1))
    );
}
