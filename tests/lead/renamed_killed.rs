//! A leader that is killed while a new generation takes the application's name, or the old one takes it
//! back: the next start leaves a whole generation under that name, and the pointer says which.

use bson::{Document, doc};
use futures::TryStreamExt;
use statefold::{Adopt, CutOverMode, Rebuild};

use crate::process::{Process, SHORT};
use crate::starts::assert_free;
use crate::support::commits::{generated, good_asset};
use crate::support::database::{assert_same, eventually};
use crate::support::{Db, OwnServer, no_waiting, oracle, squidex};

/// What the engine does when it is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The rename is held before it is carried out.
    Renaming,
    /// The rename is done, the pointer has not moved.
    Flipping,
    /// The pointer has moved, the fence is about to be lifted.
    Lifting,
}

/// An adopted generation of an application, and a new one that waits to take its name.
async fn prepared(test: &str, commits: &[Document]) -> (OwnServer, Db) {
    let server = OwnServer::start(&format!("renamed-{test}"));
    let db = Db::at(&server.uri, &format!("renamed_{test}")).await;
    db.write(commits).await;
    db.collection("States_Assets2").insert_many(oracle::assets(commits).into_values()).await.unwrap();
    let adopt = Adopt {
        projection: "Assets".into(),
        collections: vec!["States_Assets2".into()],
        dry_run: false,
        ..Adopt::default()
    };
    let settings = db.settings(no_waiting());
    assert!(statefold::adopt(&settings, &squidex(), adopt).await.unwrap().adopted);
    let postponed = Rebuild { postpone: true, mode: Some(CutOverMode::Rename), ..Rebuild::of(["Assets"]) };
    statefold::rebuild(&settings, &squidex(), postponed).await.unwrap();
    (server, db)
}

async fn fail(db: &Db, data: Document, mode: Document) -> i64 {
    let mut data = data;
    data.insert("appName", &db.app);
    data.insert("blockConnection", true);
    data.insert("blockTimeMS", 4_000);
    let fail = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
    let reply = db.db.client().database("admin").run_command(fail).await.unwrap();
    i64::from(reply.get_i32("count").unwrap())
}

/// Kills what runs `verb` at that moment. Whatever the server had taken of it isn't carried out.
async fn killed(db: &Db, verb: &[&str], moment: Moment, generation: i32) {
    let admin = db.db.client().database("admin");
    let (rename, lift) =
        (doc! { "failCommands": ["renameCollection"] }, doc! { "failCommands": ["collMod"] });
    if moment == Moment::Flipping {
        // Refused, so that it lifts the fence without the pointer having moved: that is when it is killed.
        let other = doc! { "$expr": { "$ne": ["$Generations.Assets.Active", generation] } };
        refuse_flips(db, other).await;
    }
    let before = match moment {
        // The copy gets its name first, and a build that is gone on with is renamed to the newer token.
        Moment::Renaming => fail(db, rename, doc! { "skip": 1 + i32::from(generation == 3) }).await,
        Moment::Flipping | Moment::Lifting => fail(db, lift, doc! { "skip": 1 }).await,
    };
    let verb: Vec<&str> = verb.iter().chain(&["--fence", "short"]).copied().collect();
    let mut engine = Process::start(db, &verb, SHORT);
    let wait = doc! { "waitForFailPoint": "failCommand", "timesEntered": before + 1, "maxTimeMS": 60_000 };
    admin.run_command(wait).await.unwrap();
    engine.signal("KILL");
    assert_eq!(engine.ended().await.code, None);
    for operation in operations(db).await {
        let kill = doc! { "killOp": 1, "op": operation.get("opid").unwrap().clone() };
        let _ = admin.run_command(kill).await;
    }
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
    eventually("the dead engine's operations to end", || async { operations(db).await.is_empty() }).await;
    refuse_flips(db, doc! {}).await;
}

/// Makes the server refuse a pointer like that.
async fn refuse_flips(db: &Db, validator: Document) {
    db.db.run_command(doc! { "collMod": "Migration", "validator": validator }).await.unwrap();
}

async fn operations(db: &Db) -> Vec<Document> {
    let pipeline = [
        doc! { "$currentOp": { "allUsers": true } },
        doc! { "$match": {
            "appName": &db.app, "active": true, "secs_running": { "$exists": true }, "op": "command",
            "command.hello": { "$exists": false }, "command.isMaster": { "$exists": false },
        } },
    ];
    let found = db.db.client().database("admin").aggregate(pipeline).await.unwrap();
    found.try_collect().await.unwrap()
}

fn number(document: &Document, name: &str) -> i64 {
    document.get(name).and_then(|number| number.as_i64().or(number.as_i32().map(i64::from))).unwrap()
}

/// The next start after a crash: one whole generation has the name, and pointer and record agree. Its number.
async fn whole_again(db: &Db) -> i64 {
    Process::start(db, &["migrate"], SHORT).ended().await.json(0);
    let pointer = db.pointer("Assets").await.unwrap();
    assert_eq!(pointer.get_str("Collection").unwrap(), "States_Assets2");
    assert_free(db).await;
    let active = number(&pointer, "Active");
    let record = db.one("Statefold_Builds", &format!("Assets{active}")).await.unwrap();
    assert_eq!(record.get_str("State").unwrap(), "active", "{record}");
    assert!(!record.contains_key("Swap"), "{record}");
    active
}

async fn survives(test: &str, moment: Moment, seed: u64) {
    let mut commits = generated(600, seed);
    let (_server, db) = prepared(test, &commits).await;
    killed(&db, &["cutover", "--mode", "rename", "--yes"], moment, 3).await;
    let settings = db.settings(no_waiting());
    if whole_again(&db).await == 2 {
        // Readers had seen nothing of it: it is made when somebody wants it.
        assert!(moment == Moment::Renaming);
        statefold::cutover(&settings, &squidex(), Rebuild::default()).await.unwrap();
    }
    assert_eq!(number(&db.pointer("Assets").await.unwrap(), "Active"), 3);
    assert_same(&db.read("States_Assets2").await, &oracle::assets(&commits));
    let before = oracle::assets(&commits);
    let late = good_asset("after-the-crash");
    db.append(&late).await;
    commits.extend(late);

    killed(&db, &["rollback", "Assets", "--yes"], moment, 2).await;
    match whole_again(&db).await {
        // It was not made: readers have what they had.
        3 => assert_same(&db.read("States_Assets2").await, &before),
        _ => assert_same(&db.read("States_Assets2").await, &oracle::assets(&commits)),
    }
    let back = statefold::rollback(&settings, &squidex(), Rebuild::default()).await.unwrap();
    assert_same(&db.read("States_Assets2").await, &oracle::assets(&commits));
    assert_eq!(back.projections[0].collections, ["States_Assets2"]);
    assert_free(&db).await;
}

#[tokio::test]
async fn killed_before_the_rename() {
    survives("before", Moment::Renaming, 81).await;
}

#[tokio::test]
async fn killed_between_the_rename_and_the_flip() {
    survives("between", Moment::Flipping, 82).await;
}

#[tokio::test]
async fn killed_behind_the_flip() {
    survives("behind", Moment::Lifting, 83).await;
}
