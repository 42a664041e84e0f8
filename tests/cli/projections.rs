//! Projections as data: check, try, test, and everything that a projection in Rust can do.

use std::time::{Duration, Instant};

use bson::doc;

use crate::listening::Listening;
use crate::support::{Db, done, program};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/projections");

fn shipped(name: &str) -> String {
    format!("{FOLDER}/{name}.toml")
}

/// A file with this text, gone with the test.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

#[test]
fn the_shipped_files_are_tested_without_a_server() {
    let names = ["orders", "accounts", "library", "assetfolders"].map(shipped);
    let all = [&["projections", "test"], names.each_ref().map(String::as_str).as_slice()].concat();
    let said = done(program().args(all), 0).stdout;
    assert!(said.contains("ok      Orders: a total is the sum of its lines"), "{said}");
    assert!(said.ends_with(" passed.\n") && !said.contains("FAILED"), "{said}");
}

#[test]
fn a_test_that_fails_is_said_with_its_line_and_a_wrong_file_with_all_that_is_wrong() {
    let text = std::fs::read_to_string(shipped("library")).unwrap();
    let wrong = file(&text.replace("books = [], count = 0 }\n\n[[", "books = [], count = 1 }\n\n[["));
    let said = done(program().args(["projections", "test", path(&wrong)]), 1).stdout;
    assert!(
        said.contains("count is 0 (32 bits), not 1 (32 bits)") && said.contains("1 of 3 tests failed"),
        "{said}"
    );

    let broken = file(&text.replace("\"$push\"", "\"$psh\"").replace("version = 1", "version = \"one\""));
    for verb in ["test", "check"] {
        let said = done(program().args(["projections", verb, path(&broken)]), 2).stderr;
        assert!(
            said.contains("did you mean `$push`?") && said.contains("a whole number from 1 on"),
            "{said}"
        );
    }
    let missing = done(program().args(["projections", "check", "nowhere.toml"]), 2).stderr;
    assert!(missing.contains("nowhere.toml: it can't be read"), "{missing}");
}

#[test]
fn the_schema_is_printed_and_is_the_one_in_the_docs() {
    let printed = done(program().args(["projections", "schema"]), 0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/projections.schema.json");
    let documented: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(docs).unwrap()).unwrap();
    assert_eq!(schema, documented);
}

#[test]
fn a_file_is_held_against_the_types_in_the_event_store() {
    let db = Db::new();
    db.run(&["fixture", "--shape", "orders", "--commits", "2000"], 0);
    let said = db.run(&["projections", "check", &shipped("orders")], 0).stdout;
    assert!(said.contains("Held against 2 000 commits") && said.contains("InvoiceViewed: "), "{said}");
    let json = db.run(&["projections", "check", &shipped("orders"), "-o", "json"], 0).json();
    let unknown = json[0]["projections"][0]["not_mentioned"].as_array().unwrap();
    assert_eq!(unknown.len(), 1, "{json}");
    assert_eq!(unknown[0][0], "InvoiceViewed", "{json}");
    let text = std::fs::read_to_string(shipped("orders")).unwrap();
    let other = file(&text.replace("\"order-\"", "\"ordr-\""));
    let said = db.run(&["projections", "check", path(&other)], 0).stdout;
    assert!(said.contains("is the prefix right?"), "{said}");
}

#[test]
fn what_each_event_of_a_stream_does_is_shown() {
    let db = Db::new();
    let event = |kind: &str, payload: bson::Document| doc! { "type": kind, "payload": payload };
    let line = doc! { "sku": "tea", "quantity": 2, "price": 450 };
    let commit = |offset: i64, events: Vec<bson::Document>| {
        doc! { "stream": "order-7", "offset": offset, "events": events }
    };
    let commits = [
        commit(0, vec![event("OrderPlaced", doc! { "customer": "ann" })]),
        commit(1, vec![event("LineAdded", line), event("Looked", doc! {})]),
    ];
    db.wait(async { db.collection("commits").insert_many(&commits).await }).unwrap();
    let tried = ["projections", "try", &shipped("orders"), "--stream", "order-7"];
    let said = db.run(&tried, 0).stdout;
    assert!(said.contains("0  OrderPlaced  creates"), "{said}");
    assert!(said.contains("~ total = {\"$numberLong\":\"900\"}, was {\"$numberLong\":\"0\"}"), "{said}");
    assert!(
        said.contains("2  Looked  isn't in the file") && said.contains("Snapshot in OpenOrders"),
        "{said}"
    );
    assert!(!said.contains("goes on"), "{said}");
    let first = db.run(&[tried.as_slice(), &["--limit", "1"]].concat(), 0).stdout;
    assert!(first.contains("creates") && !first.contains("LineAdded"), "{first}");
    assert!(first.contains("The stream goes on"), "{first}");
    let all = db.run(&[tried.as_slice(), &["--limit", "2"]].concat(), 0).stdout;
    assert!(all.contains("LineAdded") && !all.contains("goes on"), "{all}");
    let none = db.run(&["projections", "try", &shipped("orders"), "--stream", "order-8"], 2).stderr;
    assert!(none.contains("has no stream order-8"), "{none}");
    let other = db.run(&["projections", "try", &shipped("orders"), "--stream", "account-8"], 2).stderr;
    assert!(other.contains("their names begin with order-…"), "{other}");
}

#[test]
fn each_shape_is_built_verified_rolled_back_and_kept_current() {
    for (shape, projection) in [("orders", "Orders"), ("accounts", "Accounts"), ("library", "Shelves")] {
        let db = Db::new();
        db.run(&["fixture", "--shape", shape, "--commits", "3000"], 0);
        let file = shipped(shape);
        let with = |words: &[&str], code: i32| db.run(&[words, &["--projections", &file]].concat(), code);
        assert!(with(&["plan"], 0).stdout.contains(projection));
        with(&["rebuild", "--yes"], 0);
        let verified = with(&["verify", "--full"], 0).stdout;
        assert!(
            verified.contains(&format!("{projection} (generation 1) equals the event store")),
            "{verified}"
        );
        with(&["rebuild", "--fresh", "--yes"], 0);
        with(&["rollback", "--yes"], 0);
        assert!(with(&["status"], 0).stdout.contains("up to date"), "{shape}");
    }
}

#[test]
fn a_server_that_starts_builds_what_its_files_say_and_a_follower_keeps_it_current() {
    let db = Db::new();
    db.run(&["fixture", "--shape", "accounts", "--commits", "500"], 0);
    let first = shipped("accounts");
    db.run(&["migrate", "--projections", &first], 0);
    let again = db.run(&["migrate", "--projections", &first], 0).stdout;
    assert!(!again.contains("generation"), "{again}");

    let follower = Listening::start(&db, &["follow", "--poll", "100ms", "--projections", &first]);
    let accounts = [("projection", "Accounts"), ("phase", "following")];
    follower.metrics(|metrics| metrics.all("statefold_phase", &accounts) == [1.0]);
    let opened = doc! { "type": "Opened", "payload": "{ \"owner\": \"somebody\", \"iban\": \"DE0\" }" };
    let commit = doc! { "stream": "account-new", "offset": 0_i64, "events": [opened] };
    db.wait(async { db.collection("commits").insert_one(commit).await }).unwrap();
    let folded = db.collection("Accounts1");
    let deadline = Instant::now() + Duration::from_secs(60);
    let wanted = || doc! { "_id": "new", "owner": "somebody" };
    while db.wait(async { folded.find_one(wanted()).await }).unwrap().is_none() {
        assert!(Instant::now() < deadline, "the new account was never folded");
    }
    follower.signal("-INT");
    follower.succeeds();

    // The next version comes with the next release, and is built when it starts.
    let next = file(&std::fs::read_to_string(&first).unwrap().replace("version = 1", "version = 2"));
    db.run(&["migrate", "--projections", path(&next)], 0);
    let status = db.run(&["status", "--projections", path(&next)], 0).stdout;
    assert!(status.contains("up to date") && db.collections().contains(&"Accounts2".to_owned()), "{status}");
}

#[test]
fn a_definition_that_changed_under_the_same_version_is_told() {
    let db = Db::new();
    db.run(&["fixture", "--shape", "library", "--commits", "500"], 0);
    let text = std::fs::read_to_string(shipped("library")).unwrap();
    let first = file(&text);
    db.run(&["rebuild", "--yes", "--projections", path(&first)], 0);
    let changed = file(&text.replace("\"$inc\" = { count = 1 }", "\"$inc\" = { count = 2 }"));
    for verb in ["status", "plan"] {
        let same = db.run(&[verb, "--projections", path(&first)], 0).stdout;
        assert!(!same.contains("the definition or"), "{same}");
        let told = db.run(&[verb, "--projections", path(&changed)], 0).stdout;
        assert!(
            told.contains("the definition or its settings have changed")
                && told.contains("raise the version"),
            "{told}"
        );
    }
}

#[test]
fn a_generation_is_gone_back_to_only_with_the_definition_it_was_built_with() {
    let db = Db::new();
    db.run(&["fixture", "--shape", "library", "--commits", "500"], 0);
    let text = std::fs::read_to_string(shipped("library")).unwrap();
    let (first, other) =
        (file(&text), file(&text.replace("\"$inc\" = { count = 1 }", "\"$inc\" = { count = 2 }")));
    db.run(&["rebuild", "--yes", "--projections", path(&first)], 0);
    db.run(&["rebuild", "--yes", "--projections", path(&other)], 0);
    let before = db.read("Shelves1");
    let refused = db.run(&["rollback", "--yes", "--projections", path(&other)], 2).stderr;
    assert!(refused.contains("built with another definition of version 1"), "{refused}");
    assert_eq!(db.read("Shelves1"), before);
    db.run(&["rollback", "--yes", "--projections", path(&first)], 0);
    assert_eq!(db.read("Shelves1"), before);
}

#[test]
fn an_empty_generation_beside_a_full_one_is_told() {
    let db = Db::new();
    db.run(&["fixture", "--shape", "library", "--commits", "500"], 0);
    let text = std::fs::read_to_string(shipped("library")).unwrap();
    let (right, wrong) = (file(&text), file(&text.replace("prefix = \"", "prefix = \"no-")));
    let first = db.run(&["rebuild", "--yes", "--projections", path(&right)], 0).stderr;
    assert!(!first.contains("will be empty"), "{first}");
    let plan = db.run(&["plan", "--projections", path(&wrong)], 0).stdout;
    assert!(plan.contains("readers use generation 1: the new one would be empty"), "{plan}");
    let said = db.run(&["rebuild", "--yes", "--projections", path(&wrong)], 0).stderr;
    assert!(said.contains("the generation will be empty"), "{said}");
}

#[test]
fn a_check_folds_streams_and_says_which_of_them_fail() {
    let db = Db::new();
    db.run(&["fixture", "--shape", "orders", "--commits", "2000"], 0);
    let text = std::fs::read_to_string(shipped("orders")).unwrap();
    let right = db.run(&["projections", "check", &shipped("orders")], 0).stdout;
    assert!(!right.contains("can't be folded"), "{right}");
    let before =
        file(&text.replace("preset = \"commits\"", "preset = \"commits\"\noffsets = \"before-commit\""));
    let wrong = db.run(&["projections", "check", path(&before)], 1).stdout;
    assert!(
        wrong.contains("of 100 streams can't be folded") && wrong.contains("is `offsets` right?"),
        "{wrong}"
    );
    let stream = db.wait(async { db.collection("commits").find_one(doc! {}).await }).unwrap().unwrap();
    let stream = stream.get_str("stream").unwrap();
    let tried = db.run(&["projections", "try", path(&before), "--stream", stream], 6).stdout;
    assert!(tried.contains("It can't be folded: event 0 is missing"), "{tried}");
    let none = file(&text.replace("preset = \"commits\"", "preset = \"commits\"\ncollection = \"comits\""));
    let none = db.run(&["projections", "check", path(&none)], 0).stdout;
    assert!(none.contains("there is none: are `database`"), "{none}");
}

#[test]
fn the_settings_file_names_the_files_from_where_it_is() {
    let db = Db::new();
    db.run(&["fixture", "--shape", "library", "--commits", "500"], 0);
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(shipped("library"), folder.path().join("library.toml")).unwrap();
    let settings = folder.path().join("settings.toml");
    std::fs::write(&settings, "projections = [\"library.toml\"]\n").unwrap();
    let said = db.run(&["plan", "--config", settings.to_str().unwrap()], 0).stdout;
    assert!(said.contains("Shelves"), "{said}");
}
