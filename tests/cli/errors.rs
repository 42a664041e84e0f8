//! Streams that can't be folded: exit 6, what is said, and the command that publishes the rest.

use bson::doc;

use crate::support::{Db, asset, broken, commit};

#[test]
fn a_bad_stream_is_named_and_the_rest_can_be_published() {
    let [created, garbage] = broken("bad");
    let hole = commit("asset-app--hole", 5, &[("AssetDeletedEvent", "{}")]);
    let db = Db::with(&[asset("good"), created, garbage, hole]);

    let refused = db.run(&["rebuild", "Assets", "--yes"], 6);
    assert!(
        refused.stderr.contains("asset-app--bad at event 1 (AssetMovedEvent): unreadable payload"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("event 0 is missing"), "{}", refused.stderr);
    assert!(refused.stderr.contains("statefold rebuild Assets --max-errors 2 --yes"), "{}", refused.stderr);
    assert!(!db.collections().contains(&"States_Assets3".to_owned()));

    let status = db.run(&["status", "-o", "json"], 0).json();
    assert_eq!(status["projections"][0]["building"]["state"], "failed");
    assert_eq!(status["projections"][0]["building"]["failed_streams"], 2);

    let letters = db.run(&["errors", "list", "-o", "json"], 0).json();
    let found: Vec<_> = letters
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["stream"].as_str().unwrap(),
                one["offset"].as_i64().unwrap(),
                one["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, [("asset-app--bad", 1, "payload"), ("asset-app--hole", 0, "hole")]);
    let shown = db.run(&["errors", "show", "asset-app--bad"], 0);
    assert!(
        shown.stdout.contains("AssetMovedEvent") && shown.stdout.contains("\"Payload\": \"{\""),
        "{}",
        shown.stdout
    );

    let published = db.run(&["rebuild", "Assets", "--max-errors", "2", "--yes", "-o", "json"], 0).json();
    let assets = &published["projections"][0];
    assert_eq!((assets["snapshots"].as_u64(), assets["failed_streams"].as_u64()), (Some(1), Some(2)));
    assert_eq!(assets["partitions_resumed"], assets["partitions"]);
    assert_eq!(db.read("States_Assets3").len(), 1);
}

#[test]
fn a_share_of_bad_streams_may_be_allowed() {
    let [created, garbage] = broken("bad");
    let db = Db::with(&[asset("a"), asset("b"), asset("c"), created, garbage]);
    db.run(&["rebuild", "Assets", "--max-errors", "24%", "--yes"], 6);
    db.run(&["rebuild", "Assets", "--max-errors", "25%", "--yes"], 0);
    assert_eq!(db.read("States_Assets3").len(), 3);
}

#[test]
fn abort_drops_what_was_kept() {
    let [created, garbage] = broken("bad");
    let db = Db::with(&[asset("good"), created, garbage]);
    db.run(&["rebuild", "Assets", "--yes"], 6);
    let would = db.run(&["abort"], 0);
    assert!(would.stdout.contains("would be ended"), "{}", would.stdout);
    assert!(db.collections().iter().any(|name| name.starts_with("States_Assets3__t")));
    db.run(&["abort", "--yes"], 0);
    assert!(!db.collections().iter().any(|name| name.starts_with("States_Assets3")));
    let nothing = db.run(&["abort", "--yes"], 0);
    assert!(nothing.stdout.contains("Nothing to do"), "{}", nothing.stdout);
    assert_eq!(db.run(&["errors", "list", "-o", "json"], 0).json(), serde_json::json!([]));
}

#[test]
fn fresh_begins_anew() {
    let [created, garbage] = broken("bad");
    let db = Db::with(&[asset("good"), created, garbage]);
    db.run(&["rebuild", "Assets", "--yes"], 6);
    let fresh =
        db.run(&["rebuild", "Assets", "--fresh", "--max-errors", "1", "--yes", "-o", "json"], 0).json();
    assert_eq!(fresh["projections"][0]["partitions_resumed"], 0);
    assert_eq!(fresh["projections"][0]["generation"], 4);
    assert!(!db.collections().iter().any(|name| name.contains("__t")));
}

#[test]
fn retry_folds_what_was_mended_and_says_what_is_left() {
    let [created, garbage] = broken("bad");
    let hole = commit("asset-app--hole", 5, &[("AssetDeletedEvent", "{}")]);
    let db = Db::with(&[asset("good"), created, garbage, hole]);
    let nothing = db.run(&["errors", "retry", "--yes"], 0);
    assert!(nothing.stdout.contains("no failed streams"), "{}", nothing.stdout);
    db.run(&["rebuild", "Assets", "--max-errors", "2", "--yes"], 0);
    let listed = db.run(&["errors", "list"], 0);
    assert!(listed.stdout.contains("statefold errors retry"), "{}", listed.stdout);
    let events = db.collection("Events2");
    let mended = doc! { "$set": { "Events.0.Payload": "{\"parentId\":\"x\"}" } };
    db.wait(async { events.update_one(doc! { "_id": "asset-app--bad/0" }, mended).await }).unwrap();

    let some = db.run(&["errors", "retry", "--yes"], 6);
    assert!(some.stdout.contains("Folded now: 1. Still not: 1."), "{}", some.stdout);
    assert!(some.stdout.contains("event 0 is missing"), "{}", some.stdout);
    assert_eq!(db.read("States_Assets3").len(), 2);
    db.wait(async { events.delete_many(doc! { "EventStream": "asset-app--hole" }).await }).unwrap();
    let all = db.run(&["errors", "retry", "--yes", "assets", "-o", "json"], 0).json();
    assert_eq!(all["healed"][0]["stream"], "asset-app--hole", "{all}");
    assert_eq!(db.run(&["errors", "list", "-o", "json"], 0).json(), serde_json::json!([]));
    db.run(&["errors", "retry", "--yes", "nobody"], 2);
}
