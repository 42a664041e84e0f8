//! `statefold fixture`: kinds and shares are asked for once, recorded, and kept when more is added.

use std::collections::BTreeSet;

use bson::doc;

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
    db.run(&["fixture", "--commits", "1000", "--streams", "500", "--append"], 0);
    assert_eq!(kinds(&db), "app asset assetFolder content rule schema team");
    // A fifth of the new assets and contents.
    let added = gone(&db) - before;
    assert!((60..130).contains(&added), "{added}");

    let built = db.run(&["rebuild", "--yes", "-o", "json"], 0).json();
    assert_eq!(built["projections"].as_array().unwrap().len(), 7);
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
    for flag in ["--kinds=teams", "--deleted=1", "--legacy=1", "--multi=1", "--seed=1"] {
        let refused = db.run(&["fixture", "--commits", "10", "--append", flag], 2);
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
    let refused = db.run(&["fixture", "--commits", "10", "--append"], 2);
    assert!(refused.stderr.contains("not a marker this version understands"), "{}", refused.stderr);
    assert_eq!(db.read("Events2").len(), 100);
}
