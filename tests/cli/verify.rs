//! `statefold verify`: exit codes, words and JSON.

use bson::doc;

use crate::support::{Db, asset};

#[test]
fn what_differs_is_shown_field_by_field_with_its_own_exit_code() {
    let db = Db::with(&[asset("a"), asset("b"), asset("c")]);
    let nothing = db.run(&["verify"], 2);
    assert!(nothing.stderr.contains("no projection has an active generation"), "{}", nothing.stderr);
    db.run(&["rebuild", "Assets", "--yes"], 0);
    let equal = db.run(&["verify", "assets"], 0);
    assert!(
        equal.stdout.contains("Assets (generation 3) equals the event store, digest "),
        "{}",
        equal.stdout
    );

    let snapshots = db.collection("States_Assets3");
    let id = db.read("States_Assets3")[1].get_str("_id").unwrap().to_owned();
    let change = doc! { "$set": { "fn": "else.png", "odd": 1 } };
    db.wait(async { snapshots.update_one(doc! { "_id": &id }, change).await }).unwrap();
    let differs = db.run(&["verify", "Assets"], 5);
    assert!(differs.stdout.contains("DIFFERS from the event store"), "{}", differs.stdout);
    for line in
        [format!("States_Assets3 {id}:"), "fn: \"else.png\" ≠ ".into(), "odd: 1 (int32) ≠ nothing".into()]
    {
        assert!(differs.stdout.contains(&line), "{line}: {}", differs.stdout);
    }
    let json = db.run(&["verify", "-o", "json"], 5).json();
    assert_eq!(json["projections"][0]["differing"], 1);
    assert_eq!(json["projections"][0]["differences"][0]["kind"], "differing");
}

#[test]
fn what_was_typed_wrong_is_said() {
    let db = Db::with(&[asset("a")]);
    let two = db.run(&["verify", "--collection", "States_Assets2"], 2);
    assert!(two.stderr.contains("one projection, which has to be named"), "{}", two.stderr);
    let absent = db.run(&["verify", "Assets", "--collection", "States_Assets2"], 2);
    assert!(absent.stderr.contains("has no collection States_Assets2"), "{}", absent.stderr);
    let share = db.run(&["verify", "Assets", "--sample", "0%"], 2);
    assert!(share.stderr.contains("a share is above 0%"), "{}", share.stderr);
    let mode = db.run(&["rebuild", "--verify", "some"], 2);
    assert!(mode.stderr.contains("`some` is not `proof`, `full`, `heads` or a share"), "{}", mode.stderr);
}
