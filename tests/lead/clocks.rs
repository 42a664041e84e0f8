//! Clocks of servers that are hours apart: whether a lease is alive is told from its beat alone.

use std::time::{Duration, Instant};

use bson::{DateTime, Document, doc};
use statefold::LeaseSettings;

use crate::starts::{database, led, ms, newest_token, patient, start, waits_for};
use crate::support::commits::good_asset;
use crate::support::{Db, squidex};

const TTL: Duration = Duration::from_secs(3);
const TOKEN: i64 = 7;

/// A database that a server of another machine leads, whose clock is off by so many hours.
async fn led_elsewhere(test: &str, hours: i64) -> Db {
    let lease = LeaseSettings { ttl: TTL, ..patient() };
    let db = database(test, lease, &good_asset("1")).await;
    let time = off_by(hours);
    let lease = doc! {
        "Owner": "another", "Host": "elsewhere", "Pid": 7_i64, "Process": "boot/ns/1", "Version": "0.1.0",
        "Since": time, "At": time, "Beat": 0_i64,
    };
    let control = doc! { "_id": "Statefold", "Format": 1, "LeaseToken": TOKEN, "Lease": lease };
    db.collection("Migration").insert_one(control).await.unwrap();
    db
}

fn off_by(hours: i64) -> DateTime {
    DateTime::from_millis(DateTime::now().timestamp_millis() + hours * 3_600_000)
}

/// The other leader renews its lease, and sets its clock.
async fn beat(db: &Db, hours: i64) -> Option<Document> {
    let time = off_by(hours);
    let renewal = doc! { "$inc": { "Lease.Beat": 1_i64 }, "$set": { "Lease.At": time, "Lease.Since": time } };
    let ours = doc! { "_id": "Statefold", "Lease.Owner": "another", "LeaseToken": TOKEN };
    db.collection("Migration").find_one_and_update(ours, renewal).await.unwrap()
}

/// While that one renews, nobody takes over, for longer than a lease is valid; then somebody does.
async fn beat_and_stand_still(test: &str, hours: i64) {
    let db = led_elsewhere(test, hours).await;
    let starting = start(&db, &squidex());
    let line = waits_for(&starting, "elsewhere (pid 7), token 7").await;
    assert!(line.ends_with("to finish"), "{line}");
    let began = Instant::now();
    while began.elapsed() < TTL + TTL / 2 {
        assert!(beat(&db, hours).await.is_some(), "taken over from a leader that is alive");
        tokio::time::sleep(ms(100)).await;
    }
    assert_eq!(newest_token(&db).await, TOKEN);
    let (token, _) = led(starting).await;
    assert_eq!(token, TOKEN + 1);
    assert!(beat(&db, hours).await.is_none());
}

#[tokio::test]
async fn a_leader_whose_clock_is_hours_behind_keeps_its_lease_while_it_beats_and_no_longer() {
    beat_and_stand_still("clock_behind", -5).await;
}

#[tokio::test]
async fn a_leader_whose_clock_is_hours_ahead_keeps_its_lease_while_it_beats_and_no_longer() {
    beat_and_stand_still("clock_ahead", 5).await;
}
