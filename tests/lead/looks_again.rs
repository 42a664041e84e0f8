//! Between a look that finds something to do and the lease another server may have done it all: whoever
//! gets the lease then looks again, builds nothing, and follows.

use bson::doc;
use statefold::Outcome;

use crate::starts::{assert_free, assert_no_staging, led, patient, start};
use crate::support::commits::generated;
use crate::support::server::{command_was_hit, stop_failing};
use crate::support::{Db, OwnServer, fail_command, squidex};

#[tokio::test]
async fn a_server_that_gets_the_lease_behind_a_faster_one_builds_nothing() {
    let server = OwnServer::start("lead-looks-again");
    let mut db = Db::at(&server.uri, "looks_again").await;
    db.lease = patient();
    db.write(&generated(200, 18)).await;
    let settings = db.settings(crate::support::no_waiting());
    let before = stop_failing(&server.uri).await;
    // Its take is on the way for longer than the other one needs.
    let data = doc! { "failCommands": ["findAndModify"], "blockConnection": true, "blockTimeMS": 6_000 };
    fail_command(&server.uri, &db.app, doc! { "times": 1 }, data).await;
    let starting = statefold::migrate(&settings, &squidex(), statefold::Migrate::default());
    command_was_hit(&server.uri, before).await;

    db.app = "faster".to_owned();
    led(start(&db, &squidex())).await;

    let outcome = starting.await.unwrap();
    assert!(matches!(outcome, Outcome::Followed { .. }), "{outcome:?}");
    assert_eq!(db.read("Statefold_Builds").await.keys().collect::<Vec<_>>(), ["AssetFolders3", "Assets3"]);
    assert_free(&db).await;
    assert_no_staging(&db).await;
}
