//! Which server is asked, by whichever name it is reached.

use bson::doc;
use mongodb::Client;
use statefold::{NaturalBy, Rebuild, Settings, Strategy, Tuning};

use crate::support::commits::generated;
use crate::support::database::assert_same;
use crate::support::{Db, OwnServer, fail_command, no_waiting, oracle, server, squidex};

/// Natural order in parts that belong to one server.
fn tuning() -> Tuning {
    Tuning {
        strategy: Some(Strategy::Natural),
        natural_by: Some(NaturalBy::RecordIds),
        part_commits: 100,
        ..no_waiting()
    }
}

/// Port of the server of a URI with one host.
fn port(uri: &str) -> &str {
    let host = uri.strip_prefix("mongodb://").unwrap().split('/').next().unwrap();
    host.rsplit(':').next().unwrap()
}

/// Rebuilds in parts by record ids, and looks at the result.
async fn divided_by_record_ids(db: &Db, commits: &[bson::Document]) {
    let report = db.rebuild(&squidex(), &["Assets"], tuning()).await.unwrap();
    assert_eq!(report.pass.unwrap().divided_by, Some(NaturalBy::RecordIds.to_string()));
    assert_same(&db.read("States_Assets3").await, &oracle::assets(commits));
}

#[tokio::test]
async fn a_server_that_calls_itself_by_another_name_is_read_directly() {
    let commits = generated(900, 81);
    let uri = format!("mongodb://localhost:{}/?directConnection=true", port(&server::shared()));
    let db = Db::at(&uri, "directly").await;
    let hello = db.db.run_command(doc! { "hello": 1 }).await.unwrap();
    assert!(hello.get_str("me").unwrap().starts_with("127.0.0.1:"), "{hello}");
    db.write(&commits).await;
    divided_by_record_ids(&db, &commits).await;
}

#[tokio::test]
async fn a_member_whose_name_has_capitals_is_read() {
    let commits = generated(900, 82);
    let server = OwnServer::start("capitals");
    let direct = format!("mongodb://127.0.0.1:{}/?directConnection=true", port(&server.uri));
    let admin = Client::with_uri_str(&direct).await.unwrap().database("admin");
    let mut config = admin.run_command(doc! { "replSetGetConfig": 1 }).await.unwrap();
    let config = config.get_document_mut("config").unwrap();
    let name = format!("LocalHost:{}", port(&server.uri));
    config.get_array_mut("members").unwrap()[0].as_document_mut().unwrap().insert("host", &name);
    config.insert("version", config.get_i32("version").unwrap() + 1);
    admin.run_command(doc! { "replSetReconfig": config.clone(), "force": true }).await.unwrap();
    let db = Db::at(&format!("mongodb://{name}/?replicaSet=rs0"), "capitals").await;
    let hello = db.db.run_command(doc! { "hello": 1 }).await.unwrap();
    assert_eq!(hello.get_str("me").unwrap(), name);
    db.write(&commits).await;
    divided_by_record_ids(&db, &commits).await;
}

#[tokio::test]
async fn whatever_the_uri_prefers_nothing_is_read_from_a_secondary() {
    let commits = generated(600, 83);
    let server = OwnServer::start_with("secondaries", &["--nodes", "3"]);
    let db = Db::at(&server.uri, "secondaries").await;
    db.write(&commits).await;
    let hello = db.db.run_command(doc! { "hello": 1 }).await.unwrap();
    let primary = hello.get_str("primary").unwrap();
    let hosts = hello.get_array("hosts").unwrap().iter().filter_map(|host| host.as_str());
    let secondaries: Vec<&str> = hosts.filter(|host| *host != primary).collect();
    assert_eq!(secondaries.len(), 2);
    for secondary in secondaries {
        let uri = format!("mongodb://{secondary}/?directConnection=true");
        let reads = ["find", "getMore", "aggregate", "count", "listIndexes", "listCollections", "distinct"];
        let data = doc! { "failCommands": reads.as_slice(), "errorCode": 8 };
        fail_command(&uri, &db.app, doc! { "times": 1_000_000 }, data).await;
    }
    let more = format!("appName={}&readPreference=secondary&readConcernLevel=local", db.app);
    let settings = Settings::new(format!("{}&{more}", server.uri), &db.name).unwrap();
    for (strategy, generation) in [Strategy::Natural, Strategy::Stream].into_iter().zip(3..) {
        let tuning = Tuning { strategy: Some(strategy), ..no_waiting() };
        let settings = settings.clone().with_tuning(tuning).unwrap().with_lease(db.lease.clone()).unwrap();
        statefold::rebuild(&settings, &squidex(), Rebuild::of(["Assets"])).await.unwrap();
        assert_same(&db.read(&format!("States_Assets{generation}")).await, &oracle::assets(&commits));
    }
}
