//! Sixteen servers start at the same moment: one leads, the others follow, and nothing is done twice.

use serde_json::Value;

use crate::process::{Process, built};
use crate::starts::{assert_free, assert_no_staging, database, newest_token, patient};
use crate::support::commits::generated;
use crate::support::database::assert_same;
use crate::support::{Db, oracle};

const SERVERS: usize = 16;
/// The builds of all projections, in order.
const BUILT: [&str; 7] = ["Apps2", "AssetFolders3", "Assets3", "Contents4", "Rules2", "Schemas2", "Teams2"];
/// As servers start for the first time beside other databases.
const MIGRATE: [&str; 2] = ["migrate", "--allow-empty"];
const LEASE: &str = "poll = \"200ms\"";

/// Starts sixteen servers and returns the outcome of the one that led.
async fn start_all(db: &Db) -> Value {
    let mut servers: Vec<Process> = (0..SERVERS).map(|_| Process::start(db, &MIGRATE, LEASE)).collect();
    let mut outcomes = Vec::new();
    for server in &mut servers {
        outcomes.push(server.ended().await.json(0));
    }
    let of = |kinds: &[&str]| -> Vec<&Value> {
        outcomes.iter().filter(|one| kinds.contains(&one["outcome"].as_str().unwrap())).collect()
    };
    let (led, others) = (of(&["led"]), of(&["followed", "up_to_date"]));
    assert_eq!((led.len(), others.len()), (1, SERVERS - 1), "{outcomes:?}");
    led[0].clone()
}

/// One generation of each projection was built, by that leader, and everything is given back.
async fn assert_built_once(db: &Db, led: &Value) {
    let records = db.read("Statefold_Builds").await;
    assert_eq!(records.keys().collect::<Vec<_>>(), BUILT);
    let token = led["token"].as_i64().unwrap();
    for (projection, collection) in [("Assets", "States_Assets3"), ("AssetFolders", "States_AssetFolders3")] {
        let pointer = db.pointer(projection).await.unwrap();
        assert_eq!(pointer.get_str("Collection").unwrap(), collection);
        assert_eq!(pointer.get_i64("Token").unwrap(), token);
        assert_eq!(built(led, projection)["generation"], 3);
        assert_eq!(records[&format!("{projection}3")].get_str("State").unwrap(), "active");
    }
    // Whoever got the lease behind the leader found nothing left to do; that costs a token each.
    let newest = newest_token(db).await;
    assert!(token >= 1 && (token..=16).contains(&newest), "led under {token}, the newest is {newest}");
    assert_free(db).await;
    assert_no_staging(db).await;
    let generations = db.collections().await.into_iter().filter(|name| name.starts_with("States_"));
    let published = ["All", "Published"].map(|target| format!("States_Contents_{target}4"));
    let others = BUILT.iter().filter(|build| **build != "Contents4");
    let mut wanted: Vec<String> = others.map(|build| format!("States_{build}")).chain(published).collect();
    wanted.sort();
    assert_eq!(generations.collect::<Vec<_>>(), wanted);
}

#[tokio::test]
async fn of_sixteen_servers_on_an_empty_database_one_leads() {
    let db = Db::new("sixteen_empty").await;
    let led = start_all(&db).await;
    assert_built_once(&db, &led).await;
    assert_eq!(db.collection("States_Assets3").count_documents(bson::doc! {}).await.unwrap(), 0);
    assert!(!db.collections().await.contains(&"Events2".to_owned()));
}

#[tokio::test]
async fn of_sixteen_servers_on_an_event_store_one_leads() {
    let commits = generated(1500, 16);
    let db = database("sixteen", patient(), &commits).await;
    let led = start_all(&db).await;
    assert_built_once(&db, &led).await;
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    assert_same(&db.read("States_AssetFolders3").await, &oracle::asset_folders(&commits));
}
