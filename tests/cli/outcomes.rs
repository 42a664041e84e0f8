//! What a user may get wrong, and what may be wrong with the server: a message and an exit code each.

use bson::doc;

use crate::support::{Db, asset, done, program, uri};

#[test]
fn wrong_flags_are_usage_errors() {
    done(program().arg("rebiuld"), 2);
    done(program().args(["rebuild", "--nonsense"]), 2);
    let unknown = Db::new().run(&["rebuild", "Asset", "--yes", "--allow-empty"], 2);
    assert!(
        unknown.stderr.contains("there is no projection Asset; registered are Assets, AssetFolders"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn what_is_not_understood_is_json_too_if_that_was_asked_for() {
    for words in [&["-o", "json", "rebiuld"][..], &["rebuild", "--output=json", "--nonsense"]] {
        let failed = done(program().args(words), 2);
        assert_eq!(failed.json()["error"]["code"], "usage", "{}", failed.stdout);
        assert!(failed.stderr.contains("error: "), "{}", failed.stderr);
    }
    let log = done(program().args(["status", "--log", "debgu", "-o", "json"]), 2).json();
    assert!(log["error"]["message"].as_str().unwrap().contains("`debgu` is not understood"), "{log}");
    assert_eq!(done(program().args(["--help", "-o", "json"]), 0).stderr, "");
}

#[test]
fn missing_and_bad_settings_are_reported_together() {
    let none = done(program().args(["status", "-o", "json"]), 2);
    let message = none.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("MONGODB_URI") && message.contains("STATEFOLD_DATABASE"), "{message}");
    let bad = done(
        program().args([
            "rebuild",
            "--uri",
            "localhost",
            "--database",
            "a/b",
            "--max-errors",
            "x",
            "--threads",
            "0",
        ]),
        2,
    );
    for part in ["mongodb://", "'/'", "max_errors", "threads"] {
        assert!(bad.stderr.contains(part), "{part}: {}", bad.stderr);
    }
}

#[test]
fn no_server_is_exit_7_and_says_what_to_check() {
    let nowhere = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300";
    for verb in
        [vec!["status"], vec!["plan"], vec!["rebuild", "--yes"], vec!["fixture"], vec!["errors", "list"]]
    {
        let failed = done(program().args(&verb).args(["--uri", nowhere, "--database", "x"]), 7);
        assert!(failed.stderr.contains("can't be reached"), "{verb:?}: {}", failed.stderr);
    }
}

#[test]
fn wrong_credentials_are_named_and_not_repeated() {
    let uri = uri().replace("mongodb://", "mongodb://someone:topsecret@");
    let failed = done(program().args(["status", "--uri", &uri, "--database", "x"]), 1);
    assert!(failed.stderr.contains("not permitted"), "{}", failed.stderr);
    assert!(!failed.stderr.contains("topsecret"), "{}", failed.stderr);
}

#[test]
fn a_password_is_not_repeated_whatever_slip_there_is() {
    for uri in ["mongodb://me:hunter2?a@127.0.0.1:1/", "mongodb://me:hun/hunter2@h/", "mongodb://me:hunter2"]
    {
        let bad = done(program().args(["status", "-o", "json", "--uri", uri, "--database", "x"]), 2);
        assert!(!(bad.stdout + &bad.stderr).contains("hunter2"), "{uri}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("statefold.toml");
    std::fs::write(&file, "uri = \"mongodb://me:hunter2@h/\ndatabase = \"a\"\n").unwrap();
    let bad = done(program().args(["status", "--config", file.to_str().unwrap()]), 2);
    assert!(bad.stderr.contains("line 1") && !bad.stderr.contains("hunter2"), "{}", bad.stderr);
}

#[test]
fn options_of_other_drivers_are_ignored_and_said() {
    let db = Db::new();
    let uri = format!("{}&compressors=snappy,zstd&socketTimeoutMS=60000&waitQueueMultiple=5", db.uri);
    let said =
        done(program().args(["status", "--allow-empty", "--uri", &uri, "--database", &db.name]), 0).stderr;
    for option in ["compressors=snappy", "socketTimeoutMS", "waitQueueMultiple"] {
        assert!(said.contains(option), "{option}: {said}");
    }
}

#[test]
fn another_name_of_the_replica_set_is_said() {
    let db = Db::new();
    let hosts = db.uri.split("://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let uri = format!("mongodb://{hosts}/?replicaSet=other&serverSelectionTimeoutMS=500");
    let said = done(program().args(["status", "--uri", &uri, "--database", "x"]), 2).stderr;
    assert!(said.contains("is called `rs0`") && said.contains("replicaSet=other"), "{said}");
}

#[test]
fn a_line_end_in_the_name_of_a_database_is_refused() {
    let db = Db::new();
    for verb in [vec!["status"], vec!["rebuild", "--yes"], vec!["migrate"], vec!["fixture"]] {
        let args = ["--uri", &db.uri, "--database", "made_by_a_slip\r"];
        let said = done(program().args(&verb).args(args), 2).stderr;
        assert!(said.contains("control character"), "{verb:?}: {said}");
    }
}

#[test]
fn a_database_without_event_store_is_left_alone_and_others_are_named() {
    let (empty, other) = (Db::new(), Db::with(&[asset("a")]));
    let verbs = ["rebuild --yes", "cutover --yes", "rollback --yes", "verify", "status", "plan"];
    for verb in verbs.map(|verb| verb.split(' ').collect::<Vec<_>>()) {
        let refused = empty.run(&verb, 2);
        assert!(refused.stderr.contains("has no event store; these have one"), "{}", refused.stderr);
        assert!(refused.stderr.contains(&other.name), "{}", refused.stderr);
        let done = empty.run(&[&verb[..], &["--allow-empty"]].concat(), 0);
        assert!(
            done.stdout.contains("Nothing to do") && done.stdout.contains(&other.name),
            "{}",
            done.stdout
        );
    }
    for verb in ["migrate", "follow", "pause", "errors list", "cleanup"] {
        let verb: Vec<&str> = verb.split(' ').collect();
        let refused = empty.run(&[&verb[..], &["-o", "json"]].concat(), 2).json();
        assert_eq!(refused["error"]["code"], "no_event_store", "{refused}");
    }
    let names = empty.wait(async { empty.client().list_database_names().await }).unwrap();
    assert!(!names.contains(&empty.name), "a typing error made a database");
}

#[test]
fn an_event_store_without_matching_streams_gives_empty_generations_with_indexes() {
    let db = Db::with(&[]);
    db.run(&["rebuild", "--yes"], 0);
    assert_eq!(db.read("States_Assets3"), []);
    let mut indexes = db.wait(async { db.collection("States_Assets3").list_index_names().await }).unwrap();
    indexes.sort();
    assert_eq!(indexes, ["_ai_1_fh_1", "_ai_1_sl_1", "_id_", "id_1_dl_1", "mt_-1_id_1__ai_1_dl_1_pi_1_td_1"]);
}

#[test]
fn sharded_collections_of_squidex_and_a_missing_index_are_refused() {
    let db = Db::with(&[asset("a")]);
    db.wait(async { db.collection("States_Assets2_0").insert_one(doc! {}).await }).unwrap();
    let sharded = db.run(&["rebuild", "Assets", "--yes"], 2);
    assert!(sharded.stderr.contains("States_Assets2_0"), "{}", sharded.stderr);
    db.run(&["rebuild", "AssetFolders", "--yes"], 0);

    let bare = Db::new();
    bare.wait(async { bare.collection("Events2").insert_one(asset("a")).await }).unwrap();
    let refused = bare.run(&["rebuild", "--yes"], 2);
    assert!(refused.stderr.contains("createIndex"), "{}", refused.stderr);
}

#[test]
fn records_of_a_newer_statefold_are_refused_by_name() {
    let db = Db::with(&[asset("a")]);
    db.wait(async { db.collection("Migration").insert_one(doc! { "_id": "Statefold", "Format": 99 }).await })
        .unwrap();
    let refused = db.run(&["rebuild", "Assets", "--yes"], 8);
    assert!(refused.stderr.contains("the control document is of version 99"), "{}", refused.stderr);
    assert_eq!(db.collections(), ["Events2", "Migration"]);
    db.run(&["migrate"], 8);
    db.run(&["lock", "show"], 8);
}

#[test]
fn settings_come_from_a_file_too() {
    let db = Db::with(&[asset("a")]);
    let folder = tempfile::tempdir().unwrap();
    let text = format!("uri = \"{}\"\ndatabase = \"{}\"\npartitions = 3\n", db.uri, db.name);
    std::fs::write(folder.path().join("statefold.toml"), text).unwrap();
    let plan = done(program().current_dir(folder.path()).args(["plan", "-o", "json"]), 0).json();
    assert_eq!(
        (plan["database"].as_str(), plan["projections"][0]["partitions"].as_u64()),
        (Some(&*db.name), Some(3))
    );
    std::fs::write(folder.path().join("statefold.toml"), "urii = 1\n").unwrap();
    let typo = done(program().current_dir(folder.path()).arg("status"), 2);
    assert!(typo.stderr.contains("urii"), "{}", typo.stderr);
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = done(program().args(["completions", shell]), 0);
        assert!(script.stdout.contains("rebuild"), "{shell}");
    }
}

#[test]
fn an_older_program_does_not_replace_what_a_newer_one_built() {
    let db = Db::with(&[asset("a")]);
    db.run(&["rebuild", "Assets", "--yes"], 0);
    let newer = doc! { "$set": { "Generations.Assets.ProjectionVersion": 2_i64 } };
    db.wait(async { db.collection("Migration").update_one(doc! { "_id": "Statefold" }, newer).await })
        .unwrap();
    let refused = db.run(&["rebuild", "Assets", "--yes"], 8);
    assert!(refused.stderr.contains("the active generation of Assets is of version 2"), "{}", refused.stderr);
    assert!(!db.collections().contains(&"States_Assets4".to_owned()));
}
