//! Servers that are weaker, and one that isn't there.

use statefold::{Class, Error, Rebuild, Settings};

use crate::support::commits::generated;
use crate::support::database::assert_same;
use crate::support::{Db, OwnServer, no_waiting, oracle, squidex};

#[tokio::test]
async fn a_standalone_server_works_and_is_reported_as_weaker() {
    let commits = generated(600, 41);
    let server = OwnServer::start_with("standalone", &["--standalone"]);
    let db = Db::at(&server.uri, "standalone").await;
    db.write(&commits).await;
    let report = db.rebuild(&squidex(), &[], no_waiting()).await.unwrap();
    assert!(report.weakness.unwrap().contains("standalone"));
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    assert_same(&db.read("States_AssetFolders3").await, &oracle::asset_folders(&commits));
    let again = db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    assert_eq!(again.projections[0].digest, report.projections[0].digest);
}

#[tokio::test]
async fn a_replica_set_has_no_weakness() {
    let db = Db::new("no_weakness").await;
    db.write(&generated(50, 41)).await;
    assert_eq!(db.rebuild(&squidex(), &[], no_waiting()).await.unwrap().weakness, None);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let uri = format!("mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=500");
    let settings = Settings::new(uri, "nothing").unwrap();
    let error = statefold::rebuild(&settings, &squidex(), Rebuild::default()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Transient);
}
