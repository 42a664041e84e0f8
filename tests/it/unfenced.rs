//! Cut-overs that refuse no event: what arrives in the last moment is folded right after the flip, and never
//! over something newer that the application wrote.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Document, Timestamp, doc};
use statefold::{Error, Fencing, FencingReason, Rebuild, Tuning};

use crate::support::commits::{
    asset_created, asset_renamed, asset_stream, generated, good_asset, next_offset,
};
use crate::support::database::Documents;
use crate::support::follow::{comes_to, end, renames, start, works};
use crate::support::server::{command_was_hit, stop_failing};
use crate::support::versions::{assets_of, assets_read_latest};
use crate::support::{Db, OwnServer, commit, fail_command, no_waiting, oracle, squidex};

/// A commit, and the operation time of its insert.
type Stored = (Document, Timestamp);

/// Appends to streams of its own; an event that is refused fails the test.
async fn write(db: Arc<Db>, writer: usize, stop: Arc<AtomicBool>) -> Vec<Stored> {
    let client = db.db.client().clone();
    let (mut stored, mut number) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let (id, step) = (format!("unfenced-{writer}-{}", number / 7), number % 7);
        let stream = asset_stream(&id);
        let event = match step {
            0 => ("AssetCreatedEventV2", asset_created(&id)),
            step => ("AssetAnnotatedEvent", asset_renamed(&id, &format!("{step}.png"))),
        };
        let next = commit(&stream, step - 1, &[(event.0, &event.1)]);
        let mut session = client.start_session().await.unwrap();
        db.collection("Events2").insert_one(&next).session(&mut session).await.unwrap();
        stored.push((next, session.operation_time().unwrap()));
        number += 1;
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    stored
}

/// Asserts that a generation has everything of these streams that was stored up to a time.
fn has_all_until(built: &Documents, stored: &[Stored], until: Timestamp) {
    let mut streams: std::collections::BTreeMap<&str, Vec<&Stored>> = std::collections::BTreeMap::new();
    for one in stored {
        streams.entry(one.0.get_str("EventStream").unwrap()).or_default().push(one);
    }
    for (stream, commits) in streams {
        let needed = commits.iter().filter(|(_, at)| *at <= until).count();
        let all: Vec<Document> = commits.iter().map(|(commit, _)| commit.clone()).collect();
        let id = stream.strip_prefix("asset-").unwrap();
        let found = built.get(id).cloned();
        let mut states = (needed..=all.len()).map(|end| oracle::assets(&all[..end]).remove(id));
        assert!(states.any(|state| state == found), "{stream}: {needed} of {} commits: {found:?}", all.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_refused_and_none_stored_before_the_flip_is_missing() {
    let db = Arc::new(Db::new("unfenced").await);
    db.write(&generated(1500, 401)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..4).map(|writer| tokio::spawn(write(Arc::clone(&db), writer, Arc::clone(&stop)))).collect();
    let mut flips = Vec::new();
    for verb in ["rebuild", "rebuild", "rollback", "rollback"] {
        let settings = db.settings(no_waiting());
        let report = match verb {
            "rebuild" => statefold::rebuild(&settings, &squidex(), Rebuild::of(["Assets"])).await,
            _ => statefold::rollback(&settings, &squidex(), Rebuild::of(["Assets"])).await,
        };
        let cut_over = report.unwrap().cut_over[0];
        assert_eq!((cut_over.fence, cut_over.reason), (Fencing::None, FencingReason::ReadsEventually));
        assert!(!cut_over.fenced && cut_over.fence_ms == 0.0 && cut_over.drain_ms > 0.0, "{cut_over:?}");
        let pointer = db.pointer("Assets").await.unwrap();
        assert!(!pointer.contains_key("Undrained"), "{pointer}");
        let collection = pointer.get_str("Collection").unwrap().to_owned();
        flips.push((db.read(&collection).await, pointer.get_timestamp("Since").unwrap()));
    }
    stop.store(true, Ordering::Relaxed);
    let mut stored = Vec::new();
    for writer in writers {
        stored.extend(writer.await.unwrap());
    }
    for (built, since) in &flips {
        has_all_until(built, &stored, *since);
    }
    let (_, last) = flips.pop().unwrap();
    assert!(stored.iter().filter(|(_, at)| *at <= last).count() > 20);
}

/// Lets the application write the snapshot of a stream while a refold of it waits for this command on that
/// collection: nobody may read anything older from then on.
async fn never_older(test: &str, command: &str, collection: &str) {
    let server = OwnServer::start(test);
    let db = Db::at(&server.uri, test).await;
    let mut commits = generated(300, 402);
    commits.extend(good_asset("shared"));
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let follower = start(&db, &squidex());
    works(&follower).await;
    let stream = asset_stream("shared");
    let id = stream.strip_prefix("asset-").unwrap().to_owned();

    // A refold is at work, and waits ...
    let data = doc! {
        "failCommands": [command], "blockConnection": true, "blockTimeMS": 1500,
        "namespace": format!("{}.{collection}", db.name),
    };
    let before = stop_failing(&server.uri).await;
    fail_command(&server.uri, &db.app, doc! { "times": 1 }, data).await;
    renames(&db, &mut commits, &stream, "first.png").await;
    command_was_hit(&server.uri, before).await;
    // ... while the application appends the next one, and writes the snapshot itself.
    renames(&db, &mut commits, &stream, "second.png").await;
    let newest = oracle::assets(&commits).remove(&id).unwrap();
    let assets = db.collection("States_Assets3");
    let version = newest.get_i64("vs").unwrap();
    let mut changes = assets.watch().await.unwrap();
    assets.replace_one(doc! { "_id": &id }, &newest).await.unwrap();

    tokio::time::timeout(Duration::from_secs(30), async {
        // Every state that anybody could read from then on, until the follower has seen both events.
        let last = asset_stream("last");
        let event = asset_created("last");
        db.append(&[commit(&last, -1, &[("AssetCreatedEventV2", &event)])]).await;
        loop {
            let change = changes.next_if_any().await.unwrap();
            let Some(document) = change.and_then(|change| change.full_document) else { continue };
            match document.get_str("_id").unwrap() {
                changed if changed == id => {
                    let seen = document.get_i64("vs").unwrap();
                    assert!(seen >= version, "{seen} after {version}");
                }
                changed if last.ends_with(changed) => break,
                _ => {}
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(assets.find_one(doc! { "_id": &id }).await.unwrap(), Some(newest));
    end(follower).await;
}

#[tokio::test]
async fn what_the_application_wrote_meanwhile_is_never_replaced_by_something_older() {
    // The events are read and folded, the transaction isn't begun.
    never_older("unfenced_older", "update", "Statefold_Checkpoints").await;
}

#[tokio::test]
async fn what_the_application_wrote_before_a_late_look_is_never_replaced_by_something_older() {
    // What is stored isn't read yet.
    never_older("unfenced_late", "find", "States_Assets3").await;
}

#[tokio::test]
async fn a_snapshot_too_large_to_be_sent_along_with_its_successor_is_replaced_too() {
    let db = Db::new("unfenced_large").await;
    let mut commits = generated(200, 404);
    commits.extend(good_asset("large"));
    let stream = asset_stream("large");
    // The replacement has to say what it replaces, and both together are larger than a command.
    let mut event: serde_json::Value = serde_json::from_str(&asset_renamed("large", "large.png")).unwrap();
    event["metadata"] = serde_json::json!({ "text": "x".repeat(9 << 20) });
    let offset = next_offset(&commits, &stream);
    commits.push(commit(&stream, offset, &[("AssetAnnotatedEvent", &event.to_string())]));
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let follower = start(&db, &squidex());
    works(&follower).await;
    renames(&db, &mut commits, &stream, "renamed.png").await;
    comes_to(&db, "States_Assets3", &commits).await;
    end(follower).await;
}

#[tokio::test]
async fn where_readers_must_never_see_the_past_there_is_a_fence_and_none_is_refused() {
    let db = Db::new("unfenced_latest").await;
    db.write(&generated(300, 403)).await;
    let without = Tuning { fence: Some(Fencing::None), ..no_waiting() };
    let refused = db.rebuild(&assets_read_latest(1), &["Assets"], without).await.unwrap_err();
    let Error::Unsupported(reason) = &refused else { panic!("{refused:?}") };
    assert!(reason.starts_with("Assets declares") && reason.contains("fence = none"), "{reason}");
    db.assert_nothing_published().await;

    let report = db.rebuild(&assets_read_latest(1), &["Assets"], no_waiting()).await.unwrap();
    let cut_over = report.cut_over[0];
    assert_eq!((cut_over.fence, cut_over.reason), (Fencing::Short, FencingReason::ReadsLatest));
    assert!(cut_over.fenced && cut_over.fence_ms > 0.0, "{cut_over:?}");
    let told = Tuning { fence: Some(Fencing::Short), ..no_waiting() };
    let report = db.rebuild(&assets_of(1), &["Assets"], told).await.unwrap();
    assert_eq!(report.cut_over[0].reason, FencingReason::Asked);
}
