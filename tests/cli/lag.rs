//! Secondaries that can't keep up are waited for.

use bson::{Document, doc};
use mongodb::Client;

use crate::pause::{Running, SLOW_MS, held, nothing_is_written, quick, slow, wait_until};
use crate::support::{Db, OwnServer};

/// The members of the replica set, the primary first.
fn members(db: &Db) -> Vec<Client> {
    let admin = db.client().database("admin");
    let hello = db.wait(async { admin.run_command(doc! { "hello": 1 }).await }).unwrap();
    let primary = hello.get_str("primary").unwrap();
    let mut hosts: Vec<&str> =
        hello.get_array("hosts").unwrap().iter().map(|host| host.as_str().unwrap()).collect();
    hosts.sort_by_key(|host| *host != primary);
    let uri = |host: &&str| format!("mongodb://{host}/?directConnection=true");
    hosts.iter().map(|host| db.wait(Client::with_uri_str(uri(host))).unwrap()).collect()
}

#[test]
fn writing_waits_for_a_secondary_that_is_behind_and_goes_on_when_it_has_caught_up() {
    let server = OwnServer::start("lag", &["--nodes", "3"]);
    let mut db = Db::at(server.uri.clone());
    db.run(&["fixture", "--commits", "8000"], 0);
    slow(&db, SLOW_MS);
    db.uri = format!("{}&appName=slow", db.uri);
    let members = members(&db);
    let stopped = |mode: &str| {
        let fail: Document = doc! { "configureFailPoint": "rsSyncApplyStop", "mode": mode };
        let admin = members[2].database("admin");
        db.wait(async { admin.run_command(fail).await }).unwrap();
    };
    stopped("alwaysOn");
    let mut running = Running::start(&db, &["--max-lag", "2s"]);
    wait_until("the run to say that it waits", || held(&db).is_some_and(|why| why.contains("s behind")));
    assert!(held(&db).unwrap().starts_with("the secondary "), "{:?}", held(&db));
    nothing_is_written(&db);
    assert!(running.is_running());
    quick(&db);
    stopped("off");
    let said = running.ended(0);
    assert!(said.contains("at most 2 s are allowed") && said.contains("writing continues"), "{said}");
}
