//! `statefold fixture`: kinds and shares are asked for once, recorded, and kept when more is added.

use std::collections::{BTreeMap, BTreeSet};

use bson::doc;

use crate::shared::database::assert_same;
use crate::shared::oracle;
use crate::support::Db;

/// Kinds of the streams in a database.
fn kinds(db: &Db) -> String {
    let commits = db.read("Events2");
    let kind = |stream: &str| stream.split_once('-').unwrap().0.to_owned();
    let kinds: BTreeSet<String> =
        commits.iter().map(|commit| kind(commit.get_str("EventStream").unwrap())).collect();
    kinds.into_iter().collect::<Vec<_>>().join(" ")
}

#[test]
fn all_kinds_are_written_added_to_and_rebuilt() {
    let db = Db::new();
    db.run(&["fixture", "--commits", "1500", "--kinds", "all", "--deleted", "20", "--legacy", "2.5"], 0);
    assert_eq!(kinds(&db), "app asset assetFolder content rule schema team");
    let markers = db.read("Statefold_Fixture");
    let marker = markers.first().unwrap();
    assert_eq!(marker.get_str("Kinds").unwrap(), "apps,teams,schemas,rules,assets,folders,contents");
    let share = |name: &str| marker.get_i32(name).unwrap();
    assert_eq!([share("DeletedPerMille"), share("LegacyPerMille"), share("MultiPerMille")], [200, 25, 40]);

    let gone = |db: &Db| {
        let commits = db.read("Events2");
        let streams = commits.iter().map(|commit| commit.get_str("EventStream").unwrap());
        streams.filter(|stream| stream.ends_with("--deleted")).count()
    };
    let before = gone(&db);
    db.run(&["fixture", "--commits", "1000", "--streams", "500", "--append", "--yes"], 0);
    assert_eq!(kinds(&db), "app asset assetFolder content rule schema team");
    // A fifth of the new assets and contents.
    let added = gone(&db) - before;
    assert!((60..130).contains(&added), "{added}");

    let built = db.run(&["rebuild", "--yes", "-o", "json"], 0).json();
    assert_eq!(built["projections"].as_array().unwrap().len(), 7);
}

/// Collections of snapshots.
fn snapshots(db: &Db) -> Vec<String> {
    db.collections().into_iter().filter(|name| name.starts_with("States_")).collect()
}

#[test]
fn snapshots_are_written_as_the_application_would() {
    let db = Db::new();
    let flags = ["--commits", "800", "--kinds", "all", "--seed", "7", "--snapshots"];
    let written = db.run(&[&["fixture", "-o", "json"], &flags[..]].concat(), 0).json();
    let names = [
        "States_Apps",
        "States_AssetFolders2",
        "States_Assets2",
        "States_Contents_All3",
        "States_Contents_Published3",
        "States_Rules",
        "States_Schemas",
        "States_Teams",
    ];
    assert_eq!(snapshots(&db), names);
    assert_eq!(written["snapshots"].as_array().unwrap().len(), 7, "{written}");
    // Nothing says that statefold was here: it adopts them as it would Squidex's.
    let others: Vec<String> =
        db.collections().into_iter().filter(|name| !name.starts_with("States_")).collect();
    assert_eq!(others, ["Events2", "Statefold_Fixture"]);
    assert_same(&by_id(&db, "States_Assets2"), &oracle::assets(&db.read("Events2")));

    for (projection, collections) in [
        ("Apps", vec!["States_Apps"]),
        ("Schemas", vec!["States_Schemas"]),
        ("Assets", vec!["States_Assets2"]),
        ("AssetFolders", vec!["States_AssetFolders2"]),
        ("Contents", vec!["States_Contents_All3", "States_Contents_Published3"]),
        ("Rules", vec!["States_Rules"]),
        ("Teams", vec!["States_Teams"]),
    ] {
        let named = collections.iter().flat_map(|name| ["--collection", name]);
        let adopt: Vec<&str> = ["adopt", projection, "--yes"].into_iter().chain(named).collect();
        db.run(&adopt, 0);
    }
    // Its collections have the indexes that a generation of statefold has, or `rename` would refuse.
    db.run(&["rebuild", "--mode", "rename", "--yes"], 0);
    assert!(snapshots(&db).contains(&"States_Assets2__g2".to_owned()));
}

fn by_id(db: &Db, collection: &str) -> BTreeMap<String, bson::Document> {
    let snapshots = db.read(collection).into_iter();
    snapshots.map(|snapshot| (snapshot.get_str("_id").unwrap().to_owned(), snapshot)).collect()
}

#[test]
fn the_usual_fixture_has_the_snapshots_of_its_kinds_and_is_written_once() {
    let db = Db::new();
    let flags = ["fixture", "--commits", "1000", "--snapshots", "--if-missing"];
    db.run(&flags, 0);
    let names = snapshots(&db);
    assert!(names.contains(&"States_Assets2".to_owned()) && !names.contains(&"States_Rules".to_owned()));
    let again = db.run(&[&flags[..], &["-o", "json"]].concat(), 0).json();
    assert_eq!((&again["commits"], &again["commits_total"]), (&0.into(), &1000.into()), "{again}");
    assert_eq!((snapshots(&db), db.read("Events2").len()), (names, 1000));
    db.run(&["verify", "Assets", "--collection", "States_Assets2"], 0);
    db.run(&["fixture", "--commits", "1000", "--snapshots"], 2);
    db.run(&["fixture", "--commits", "10", "--append", "--yes"], 0);
}

#[test]
fn contents_bring_what_they_need() {
    let db = Db::new();
    db.run(&["fixture", "--commits", "400", "--kinds", "contents,teams", "--multi", "0"], 0);
    assert_eq!(kinds(&db), "app content schema team");
    assert!(db.read("Events2").iter().all(|commit| commit.get_i64("EventsCount").unwrap() == 1));
}

#[test]
fn what_no_fixture_can_be_is_refused() {
    let db = Db::new();
    for (flags, said) in [
        (["--kinds", "asset"], "expected `all`, or a list of apps, teams"),
        (["--kinds", ""], "expected `all`, or a list of apps, teams"),
        (["--deleted", "101"], "expected a share from 0 to 100 percent"),
        (["--legacy", "1.25"], "expected a share from 0 to 100 percent"),
        (["--multi", "-1"], "expected a share from 0 to 100 percent"),
    ] {
        let flag = format!("{}={}", flags[0], flags[1]);
        let refused = db.run(&["fixture", &flag], 2);
        assert!(refused.stderr.contains(said), "{flag}: {}", refused.stderr);
    }
    db.run(&["fixture", "--commits", "100", "--kinds", "teams"], 0);
    for flag in ["--kinds=teams", "--deleted=1", "--legacy=1", "--multi=1", "--seed=1", "--snapshots"] {
        let refused = db.run(&["fixture", "--commits", "10", "--append", "--yes", flag], 2);
        assert!(refused.stderr.contains("'--append' cannot be used with"), "{flag}: {}", refused.stderr);
    }
    assert_eq!(db.read("Events2").len(), 100);
}

#[test]
fn a_fixture_of_a_former_format_is_not_added_to() {
    let db = Db::new();
    db.run(&["fixture", "--commits", "100"], 0);
    let (markers, former) = (db.collection("Statefold_Fixture"), doc! { "$set": { "Format": 1 } });
    db.wait(async { markers.update_one(doc! {}, former).await }).unwrap();
    let refused = db.run(&["fixture", "--commits", "10", "--append", "--yes"], 2);
    assert!(refused.stderr.contains("not a marker this version understands"), "{}", refused.stderr);
    assert_eq!(db.read("Events2").len(), 100);
}
