//! Squidex's lock and ours are the same document: each waits for the other, none is stolen.

use std::io::{Read, Write};

use bson::{Document, doc};
use mongodb::options::ReturnDocument;
use statefold::{Error, LeaseSettings, Outcome};

use crate::process::Process;
use crate::starts::{
    assert_free, control, database, led, ms, newest_token, patient, refused, start, waits_for,
};
use crate::support::commits::good_asset;
use crate::support::database::eventually;
use crate::support::{Db, Gate, squidex};

/// Takes the lock as Squidex does; whether it got it.
async fn squidex_locks(db: &Db) -> bool {
    let update = doc! { "$set": { "IsLocked": true }, "$setOnInsert": { "Version": 0 } };
    let migration = db.collection("Migration");
    let lock = migration.find_one_and_update(doc! { "_id": "Default" }, update);
    let before = lock.upsert(true).return_document(ReturnDocument::Before).await.unwrap();
    before.is_none_or(|before| !before.get_bool("IsLocked").unwrap())
}

/// Gives it back as Squidex does.
async fn squidex_unlocks(db: &Db) {
    let unlock = doc! { "$set": { "IsLocked": false } };
    db.collection("Migration").update_one(doc! { "_id": "Default" }, unlock).await.unwrap();
}

async fn version_document(db: &Db) -> Document {
    db.one("Migration", "Default").await.unwrap()
}

/// A server that doesn't wait for long.
fn impatient() -> LeaseSettings {
    LeaseSettings { wait_limit: Some(ms(300)), ..patient() }
}

/// A database with a lock in it, and with the token that was given out last.
async fn locked(test: &str, signature: Option<Document>, token: i64) -> Db {
    let db = database(test, impatient(), &good_asset("1")).await;
    let mut version = doc! { "_id": "Default", "IsLocked": true, "Version": 27 };
    if let Some(signature) = signature {
        version.insert("LockedBy", signature);
    }
    let control = doc! { "_id": "Statefold", "Format": 1, "LeaseToken": token };
    db.collection("Migration").insert_many([version, control]).await.unwrap();
    db
}

fn signed(token: i64) -> Document {
    doc! {
        "Owner": "another", "Token": token, "Host": "elsewhere", "Pid": 7_i64, "Process": "boot/ns/1",
        "Since": bson::DateTime::now(),
    }
}

#[tokio::test]
async fn squidex_does_not_get_the_lock_while_a_server_of_ours_migrates() {
    let db = database("ours_first", patient(), &good_asset("1")).await;
    let (gated, gate) = Gate::assets(|_| true);
    let starting = start(&db, &gated);
    gate.reached().await;
    let before = version_document(&db).await;
    assert!(!squidex_locks(&db).await);
    assert_eq!(version_document(&db).await, before);
    gate.open();
    led(starting).await;
    assert!(squidex_locks(&db).await);
}

#[tokio::test]
async fn an_old_signature_of_ours_beside_the_lock_of_squidex_is_not_ours() {
    let db = database("opened_by_hand", impatient(), &good_asset("1")).await;
    let migration = db.collection("Migration");
    let sign = async || {
        let locked = doc! { "$set": { "IsLocked": true, "LockedBy": signed(3), "Version": 27 } };
        migration.update_one(doc! { "_id": "Default" }, locked).upsert(true).await.unwrap();
    };
    let control = doc! { "_id": "Statefold", "Format": 1, "LeaseToken": 3_i64 };
    migration.insert_one(control).await.unwrap();
    sign().await;
    // Our leader died; somebody opened the lock, and a server of Squidex has it now.
    squidex_unlocks(&db).await;
    assert!(squidex_locks(&db).await);
    let before = version_document(&db).await;
    let error = start(&db, &squidex()).await.unwrap_err();
    assert!(matches!(&error, Error::LockHeld { holder, .. } if holder.contains("not taken by")), "{error:?}");
    assert_eq!(version_document(&db).await, before);

    // The same without anybody who opened it: it is left, and taken over.
    squidex_unlocks(&db).await;
    sign().await;
    led(start(&db, &squidex())).await;
}

#[tokio::test]
async fn a_start_waits_while_squidex_holds_the_lock_says_so_and_goes_on_after() {
    let db = database("squidex_first", patient(), &good_asset("1")).await;
    assert!(squidex_locks(&db).await);
    let starting = start(&db, &squidex());
    let line = waits_for(&starting, "the migration lock").await;
    for part in ["Migration/{_id: \"Default\"}", "not taken by statefold", "released by force"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(version_document(&db).await, doc! { "_id": "Default", "IsLocked": true, "Version": 0 });
    assert_eq!(db.pointer("Assets").await, None);
    squidex_unlocks(&db).await;
    led(starting).await;
    assert_eq!(version_document(&db).await, doc! { "_id": "Default", "IsLocked": false, "Version": 0 });
    assert_free(&db).await;
}

#[tokio::test]
async fn a_server_that_waits_for_squidex_is_not_ready_and_says_what_for() {
    let db = database("readyz", patient(), &good_asset("1")).await;
    assert!(squidex_locks(&db).await);
    let starting = start(&db, &squidex());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(statefold::http::serve(listener, starting.progress(), None));
    let ready = || async {
        let ask = move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            write!(stream, "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    };
    waits_for(&starting, "the migration lock").await;
    let answer = ready().await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains("\"phase\":\"waiting\"") && answer.contains("waiting for the migration lock"),
        "{answer}"
    );
    squidex_unlocks(&db).await;
    led(starting).await;
    let answer = ready().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    serving.abort();
}

#[tokio::test]
async fn a_lock_without_our_signature_is_not_stolen_however_long_it_is_held() {
    let mut db = locked("unsigned", None, 7).await;
    // Three times as long as a lease is valid.
    (db.lease.ttl, db.lease.wait_limit) = (ms(300), Some(ms(900)));
    let error = refused(&db, &squidex()).await;
    let Error::LockHeld { document, holder } = error else { panic!("{error:?}") };
    assert_eq!(document, "Migration/{_id: \"Default\"}");
    assert!(holder.contains("not taken by statefold"), "{holder}");
    assert_eq!(version_document(&db).await, doc! { "_id": "Default", "IsLocked": true, "Version": 27 });
    assert!(!control(&db).await.contains_key("Lease"));
    assert_eq!(db.pointer("Assets").await, None);
}

#[tokio::test]
async fn the_program_that_has_waited_long_enough_ends_with_3_and_the_command_that_releases_the_lock() {
    let db = locked("told", None, 7).await;
    let lease = "poll = \"50ms\"\nwait = \"300ms\"";
    let ended = Process::start(&db, &["migrate"], lease).ended().await;
    assert_eq!(ended.json(3)["error"]["code"], "lock_held");
    assert!(ended.stderr.contains("statefold lock release --force"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_lock_that_somebody_opens_while_we_hold_it_is_locked_again() {
    let lease = LeaseSettings { renew: Some(ms(100)), ..patient() };
    let db = database("opened", lease, &good_asset("1")).await;
    let (gated, gate) = Gate::assets(|_| true);
    let starting = start(&db, &gated);
    gate.reached().await;
    squidex_unlocks(&db).await;
    eventually("the lock to be closed again", || async {
        version_document(&db).await.get_bool("IsLocked").unwrap()
    })
    .await;
    assert!(!squidex_locks(&db).await);
    gate.open();
    led(starting).await;
    assert_free(&db).await;
}

#[tokio::test]
async fn a_lock_signed_with_an_older_token_is_taken_over() {
    let db = locked("older_token", Some(signed(5)), 7).await;
    let (token, _) = led(start(&db, &squidex())).await;
    assert_eq!(token, 8);
    assert_eq!(version_document(&db).await, doc! { "_id": "Default", "IsLocked": false, "Version": 27 });
}

#[tokio::test]
async fn a_lock_signed_with_a_newer_token_is_not_taken_over() {
    let signature = signed(9);
    let db = locked("newer_token", Some(signature.clone()), 7).await;
    let error = refused(&db, &squidex()).await;
    let Error::LockHeld { holder, .. } = error else { panic!("{error:?}") };
    assert!(holder.contains("elsewhere (pid 7)"), "{holder}");
    assert_eq!(version_document(&db).await.get_document("LockedBy").unwrap(), &signature);
    assert_eq!(newest_token(&db).await, 8);
}

#[tokio::test]
async fn a_lock_in_a_restored_copy_is_named_as_that_of_another_deployment() {
    let mut signature = signed(9);
    signature.insert("Deployment", "production");
    let mut db = locked("restored", Some(signature), 7).await;
    db.lease.deployment = Some("staging".into());
    let error = refused(&db, &squidex()).await;
    let Error::LockHeld { holder, .. } = error else { panic!("{error:?}") };
    assert!(holder.contains("of the deployment production, which is not this one"), "{holder}");
    db.lease.deployment = Some("production".into());
    let error = refused(&db, &squidex()).await;
    assert!(!error.to_string().contains("deployment"), "{error}");
}

#[tokio::test]
async fn a_start_that_finds_nothing_to_do_does_not_wait_for_squidex() {
    let db = database("nothing_to_do", patient(), &good_asset("1")).await;
    led(start(&db, &squidex())).await;
    assert!(squidex_locks(&db).await);
    assert_eq!(start(&db, &squidex()).await.unwrap(), Outcome::UpToDate);
    assert_eq!(newest_token(&db).await, 1);
}
