//! Least privilege: each role of docs/operations.md, on a server with access control, can do what it says
//! and no more.

use bson::{Document, doc};

use crate::support::{Db, Done, OwnServer, asset, done};

/// A server with access control; the URI is that of a root user.
fn guarded(test: &str) -> OwnServer {
    OwnServer::start(test, &["--auth"])
}

/// The URI with another login.
fn uri_of(server: &OwnServer, user: &str) -> String {
    let (_, host) = server.uri.split_once('@').unwrap();
    format!("mongodb://{user}:secret@{host}")
}

/// The commands of docs/operations.md that create roles, for this database.
fn commands(database: &str) -> Vec<Document> {
    let operations = include_str!("../../docs/operations.md");
    let quoted = format!("\"db\": \"{database}\"");
    let blocks = operations.split("```js\ndb.adminCommand(").skip(1);
    let commands = blocks.map(|block| {
        let (json, _) = block.split_once(")\n```").unwrap();
        let value: serde_json::Value =
            serde_json::from_str(&json.replace("\"db\": \"Squidex\"", &quoted)).unwrap();
        bson::Bson::try_from(value).unwrap().as_document().unwrap().clone()
    });
    commands.filter(|command| command.contains_key("createRole")).collect()
}

/// Runs the program as a user.
fn run(db: &Db, uri: &str, args: &[&str], code: i32) -> Done {
    let mut command = crate::support::program();
    done(command.args(args).args(["--uri", uri, "--database", &db.name]), code)
}

#[test]
fn each_role_can_do_what_it_is_for_and_no_more() {
    let server = guarded("roles");
    let db = Db::at(server.uri.clone());
    db.make_event_store(&[asset("1"), asset("2")]);
    let admin = db.client().database("admin");
    let roles = commands(&db.name);
    let names: Vec<String> =
        roles.iter().map(|role| role.get_str("createRole").unwrap().to_owned()).collect();
    assert_eq!(names, ["statefoldRead", "statefoldBuild", "statefoldCutOver"]);
    for (role, name) in roles.into_iter().zip(&names) {
        db.wait(async { admin.run_command(role).await }).unwrap();
        let user = doc! { "createUser": name, "pwd": "secret", "roles": [name] };
        db.wait(async { admin.run_command(user).await }).unwrap();
    }
    let [read, build, cut_over] =
        ["statefoldRead", "statefoldBuild", "statefoldCutOver"].map(|user| uri_of(&server, user));
    let before = db.collections();

    // Looking.
    let status = run(&db, &read, &["status", "-o", "json"], 0).json();
    assert_eq!(status["projections"][0]["state"], "behind", "{status}");
    let plan = run(&db, &read, &["plan", "-o", "json"], 0).json();
    let missing = |plan: &serde_json::Value| -> Vec<String> {
        let rights = plan["missing_rights"].as_array().unwrap();
        let fatal = rights.iter().filter(|right| right["without"].is_null());
        let text = |right: &serde_json::Value, name: &str| right[name].as_str().unwrap().to_owned();
        fatal
            .map(|one| format!("{}: {} on {}", text(one, "step"), text(one, "action"), text(one, "resource")))
            .collect()
    };
    let lacks = missing(&plan);
    assert!(lacks.contains(&format!("build: insert on the database {}", db.name)), "{lacks:?}");
    assert!(!lacks.iter().any(|right| right.contains("collMod")), "{lacks:?}");
    assert!(!lacks.iter().any(|right| right.starts_with("plan")), "{lacks:?}");
    let text = run(&db, &read, &["plan"], 0).stdout;
    assert!(text.contains("missing right: build needs `insert` on the database"), "{text}");
    run(&db, &read, &["cleanup"], 0);
    run(&db, &read, &["errors", "list"], 0);
    run(&db, &read, &["lock", "show"], 0);
    let refused = run(&db, &read, &["rebuild", "Assets", "--yes"], 1);
    assert!(refused.stderr.contains("not permitted"), "{}", refused.stderr);
    assert_eq!(db.collections(), before);

    // Building, up to the cut-over.
    let plan = run(&db, &build, &["plan", "-o", "json"], 0).json();
    assert!(missing(&plan).is_empty(), "{plan}");
    let text = run(&db, &build, &["plan"], 0).stdout;
    assert!(text.contains("no fence can be raised"), "{text}");
    let stopped = run(&db, &build, &["rebuild", "Assets", "--yes", "--fence", "short"], 1);
    assert!(stopped.stderr.contains("event store's options: not permitted"), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("What is built so far is kept"), "{}", stopped.stderr);
    let status = run(&db, &build, &["status", "-o", "json"], 0).json();
    let building = |status: &serde_json::Value| {
        let all = status["projections"].as_array().unwrap();
        all.iter().find(|one| one["projection"] == "Assets").unwrap()["building"].clone()
    };
    assert_eq!(building(&status)["build"], "Assets3", "{status}");
    assert_eq!(building(&status)["partitions_done"], building(&status)["partitions"], "{status}");
    assert_eq!(status["fence"], serde_json::Value::Null);
    assert_eq!(building(&status)["can_cut_over"], true, "{status}");
    assert_eq!(db.read("Migration").iter().filter(|one| one.contains_key("Generations")).count(), 0);

    run(&db, &build, &["rebuild", "Assets", "--postpone", "--yes"], 0);

    // The cut-over of what the other one built.
    let plan = run(&db, &cut_over, &["plan", "-o", "json"], 0).json();
    assert!(missing(&plan).is_empty(), "{plan}");
    let report =
        run(&db, &cut_over, &["cutover", "Assets", "--yes", "--fence", "short", "-o", "json"], 0).json();
    let built = &report["projections"][0];
    assert_eq!(built["partitions_resumed"], built["partitions"], "{report}");
    assert_eq!(report["cut_over"][0]["fenced"], true, "{report}");
    run(&db, &cut_over, &["rebuild", "Assets", "--yes"], 0);
    // Without a fence that right isn't needed.
    run(&db, &build, &["rebuild", "Assets", "--yes"], 0);
    // Clean-up needs no more than building.
    let cleaned = run(&db, &build, &["cleanup", "--yes", "-o", "json"], 0).json();
    assert!(
        cleaned["items"].as_array().unwrap().iter().any(|item| item["outcome"] == "dropped"),
        "{cleaned}"
    );
}

#[test]
fn what_may_not_be_read_is_said_and_done_without() {
    let server = guarded("little");
    let db = Db::at(server.uri.clone());
    db.make_event_store(&[asset("1")]);
    let admin = db.client().database("admin");
    let actions = ["find", "listCollections", "listIndexes"];
    let privileges = doc! { "resource": { "db": &db.name, "collection": "" }, "actions": actions.to_vec() };
    let role = doc! { "createRole": "little", "privileges": [privileges], "roles": [] };
    let nothing = doc! { "createRole": "nothing", "privileges": [], "roles": [] };
    for command in [
        role,
        nothing,
        doc! { "createUser": "little", "pwd": "secret", "roles": ["little"] },
        doc! { "createUser": "nothing", "pwd": "secret", "roles": ["nothing"] },
    ] {
        db.wait(async { admin.run_command(command).await }).unwrap();
    }
    let little = uri_of(&server, "little");
    let plan = run(&db, &little, &["plan"], 0).stdout;
    assert!(plan.contains("without `collStats` on the database"), "{plan}");
    assert!(plan.contains("server cache unknown"), "{plan}");
    let json = run(&db, &little, &["plan", "-o", "json"], 0).json();
    assert_eq!(json["pass"]["store_commits"], 1, "{json}");
    assert!(json["pass"]["store_bytes"].as_u64().unwrap() > 100, "{json}");
    run(&db, &little, &["status"], 0);
    let cleanup = run(&db, &little, &["cleanup"], 0);
    assert!(!cleanup.stdout.contains("States_"), "{}", cleanup.stdout);

    let refused = run(&db, &uri_of(&server, "nothing"), &["plan"], 1);
    assert!(refused.stderr.contains("needs `find` on the database"), "{}", refused.stderr);
}

#[test]
fn who_may_not_write_the_history_can_rebuild_all_the_same_and_is_told_once() {
    let server = guarded("unrecorded");
    let db = Db::at(server.uri.clone());
    db.make_event_store(&[asset("1")]);
    let admin = db.client().database("admin");
    let mut all = vec!["find", "listCollections", "listIndexes", "changeStream", "createCollection"];
    all.extend(["createIndex", "dropCollection", "renameCollectionSameDB"]);
    let on = |collection: &str, actions: &[&str]| {
        doc! { "resource": { "db": &db.name, "collection": collection }, "actions": actions.to_vec() }
    };
    let mut privileges = vec![on("", &all)];
    let records = ["Builds", "Checkpoints", "Heads", "DeadLetters"].map(|name| format!("Statefold_{name}"));
    let snapshots = ["States_Assets3", "States_Assets3__t1"].map(str::to_owned);
    let written = records.into_iter().chain(snapshots).chain(["Migration".to_owned()]);
    privileges.extend(written.map(|name| on(&name, &["insert", "update", "remove"])));
    for command in [
        doc! { "createRole": "unrecorded", "privileges": privileges, "roles": [] },
        doc! { "createUser": "unrecorded", "pwd": "secret", "roles": ["unrecorded"] },
    ] {
        db.wait(async { admin.run_command(command).await }).unwrap();
    }
    let unrecorded = uri_of(&server, "unrecorded");
    let plan = run(&db, &unrecorded, &["plan"], 0).stdout;
    assert!(plan.contains("a verification isn't recorded in the history"), "{plan}");
    let done = run(&db, &unrecorded, &["rebuild", "Assets", "--yes"], 0);
    let told =
        done.stderr.lines().filter(|line| line.contains("isn't recorded in Statefold_History")).count();
    assert_eq!(told, 1, "{}", done.stderr);
    assert!(done.stderr.contains(" cut over projection="), "{}", done.stderr);
    assert_eq!(db.read("Statefold_History").len(), 0);
    assert_eq!(run(&db, &unrecorded, &["history", "-o", "json"], 0).json(), serde_json::json!([]));
}
