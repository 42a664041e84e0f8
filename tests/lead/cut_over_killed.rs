//! A leader that is killed in its cut-over: the next start leaves a whole generation, and an event
//! store that takes events.

use bson::{Document, doc};
use futures::TryStreamExt;

use crate::process::{Process, SHORT};
use crate::starts::{assert_free, assert_no_staging};
use crate::support::commits::{generated, good_asset};
use crate::support::database::{assert_same, eventually};
use crate::support::{Db, OwnServer, no_waiting, oracle, squidex};

/// The pointer can't be moved there.
const BEHIND: &str = "behind";

/// Kills a leader while the server keeps its command waiting, the one after so many of the same name.
///
/// Returns whether the event store refused events until the next start.
async fn killed_at(test: &str, command: &str, after: i32, seed: u64) -> bool {
    let mut commits = generated(600, seed);
    let server = OwnServer::start(&format!("cut-over-{test}"));
    let db = Db::at(&server.uri, test).await;
    db.write(&commits).await;
    if test == BEHIND {
        // Refused, so that it lifts the fence without the pointer having moved: that is when it is killed.
        let other = doc! { "$expr": { "$ne": ["$Generations.Assets.Active", 3] } };
        db.db.create_collection("Migration").validator(other).await.unwrap();
    }
    let admin = db.db.client().database("admin");
    let data = doc! {
        "failCommands": [command], "appName": &db.app, "blockConnection": true, "blockTimeMS": 3000,
    };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": { "skip": after }, "data": data };
    let before = i64::from(admin.run_command(fail).await.unwrap().get_i32("count").unwrap());
    let mut leader = Process::start(&db, &["rebuild", "Assets", "--yes", "--fence", "short"], SHORT);
    let entered = before + 1;
    let wait = doc! { "waitForFailPoint": "failCommand", "timesEntered": entered, "maxTimeMS": 60_000 };
    admin.run_command(wait).await.unwrap();
    leader.signal("KILL");
    assert_eq!(leader.ended().await.code, None);
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
    if test == BEHIND {
        db.db.run_command(doc! { "collMod": "Migration", "validator": {} }).await.unwrap();
    }
    // What the server had taken of it may still be carried out.
    eventually("the dead leader's operations to end", || async { operations_of(&db).await == 0 }).await;

    let status = statefold::status(&db.settings(no_waiting()), &squidex()).await.unwrap();

    Process::start(&db, &["migrate"], SHORT).ended().await.json(0);

    let late = good_asset("after-the-crash");
    db.append(&late).await;
    let pointer = db.pointer("Assets").await.unwrap();
    let collection = pointer.get_str("Collection").unwrap();
    assert_same(&db.read(collection).await, &oracle::assets(&commits));
    let options = doc! { "listCollections": 1, "filter": { "name": "Events2" } };
    let options = db.db.run_command(options).await.unwrap();
    assert!(!format!("{options}").contains("Statefold"), "{options}");
    assert_free(&db).await;
    assert_no_staging(&db).await;

    // And the next generation is right as well.
    commits.extend(late);
    Process::start(&db, &["rebuild", "Assets", "--yes"], SHORT).ended().await.json(0);
    let pointer = db.pointer("Assets").await.unwrap();
    assert_same(&db.read(pointer.get_str("Collection").unwrap()).await, &oracle::assets(&commits));
    status.fence.is_some()
}

/// Number of operations of the engine that the server is at.
async fn operations_of(db: &Db) -> usize {
    let pipeline = [
        doc! { "$currentOp": { "allUsers": true } },
        doc! { "$match": {
            "appName": &db.app, "active": true, "secs_running": { "$exists": true }, "op": "command",
            "command.hello": { "$exists": false }, "command.isMaster": { "$exists": false },
        } },
    ];
    let found = db.db.client().database("admin").aggregate(pipeline).await.unwrap();
    found.try_collect::<Vec<Document>>().await.unwrap().len()
}

#[tokio::test]
async fn killed_while_the_fence_is_raised() {
    killed_at("raising", "collMod", 0, 71).await;
}

#[tokio::test]
async fn killed_while_the_collections_get_their_names() {
    // Nothing is fenced yet.
    assert!(!killed_at("naming", "renameCollection", 0, 75).await);
}

#[tokio::test]
async fn killed_behind_the_fence() {
    killed_at(BEHIND, "collMod", 1, 72).await;
}

#[tokio::test]
async fn killed_while_the_fence_is_lifted() {
    // What the server has begun it may carry out: the fence is there or not.
    killed_at("lifting", "collMod", 1, 73).await;
}
