//! Appending with the library: concurrency, fences, read-only mode, lost answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use futures::TryStreamExt;
use statefold::projections::Registry;
use statefold::{
    Class, Error, EventWriter, Expected, NewEvent, Payload, Settings, read_only_off, read_only_on,
};

use crate::support::commits::{asset_created, asset_renamed, asset_stream, good_asset};
use crate::support::database::{assert_same, behind_a_fence};
use crate::support::server::stop_failing;
use crate::support::{Db, OwnServer, fail_command, no_waiting, oracle, squidex};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

fn settings(db: &Db) -> Settings {
    db.settings(no_waiting())
}

async fn writer(db: &Db) -> EventWriter {
    EventWriter::connect(&settings(db), &squidex()).await.unwrap()
}

fn created(id: &str) -> NewEvent {
    NewEvent::json("AssetCreatedEventV2", asset_created(id))
}

fn renamed(id: &str, name: &str) -> NewEvent {
    NewEvent::json("AssetAnnotatedEvent", asset_renamed(id, name))
}

async fn stored(db: &Db) -> Vec<Document> {
    let events = db.collection("Events2");
    let all = events.find(doc! {}).sort(doc! { "EventStream": 1, "EventStreamOffset": 1 });
    all.await.unwrap().try_collect().await.unwrap()
}

/// Asserts that the events of each stream have the numbers from 0 on, each once.
async fn assert_no_holes(db: &Db) {
    let mut heads = BTreeMap::new();
    for commit in stored(db).await {
        let head = heads.entry(commit.get_str("EventStream").unwrap().to_owned()).or_insert(-1);
        assert_eq!(commit.get_i64("EventStreamOffset").unwrap(), *head, "{commit}");
        *head += commit.get_i64("EventsCount").unwrap();
    }
}

#[tokio::test]
async fn what_is_appended_is_folded_and_a_stale_expectation_is_a_conflict() {
    let db = Db::new("append").await;
    // It makes the event store.
    let writer = writer(&db).await;
    let stream = asset_stream("1");
    let append = async |expected, events: &[NewEvent]| writer.append(&stream, expected, events).await;
    assert_eq!(writer.head(&stream).await.unwrap(), None);
    let first = append(Expected::NoStream, &[created("1"), renamed("1", "a.png")]).await.unwrap();
    assert_eq!((first.first, first.head, first.fenced), (0, 1, Duration::ZERO));
    let more = append(Expected::Head(1), &[renamed("1", "b.png")]).await.unwrap();
    assert_eq!((more.first, more.head), (2, 2));
    assert_eq!(append(Expected::Any, &[renamed("1", "c.png"), renamed("1", "d.png")]).await.unwrap().head, 4);
    // Behind it, inside its last commit, ahead of it, and as if it weren't there.
    for (expected, number) in
        [(Expected::Head(2), 2), (Expected::Head(3), 3), (Expected::Head(9), 9), (Expected::NoStream, -1)]
    {
        let error = append(expected, &[renamed("1", "x.png")]).await.unwrap_err();
        let Error::Conflict { stream: of, expected, actual } = &error else { panic!("{error:?}") };
        assert_eq!((of, *expected, *actual), (&stream, number, 4));
        assert_eq!(error.class(), Class::Data);
    }
    assert_no_holes(&db).await;
    let commits = stored(&db).await;
    assert!(commits.iter().all(|one| one.get_timestamp("Timestamp").unwrap().time > 0), "{commits:?}");
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let built = db.read("States_Assets3").await;
    assert_eq!(built.len(), 1);
    assert_same(&built, &oracle::assets(&commits));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_writers_that_expect_the_same_one_wins_and_those_that_expect_nothing_all_do() {
    let db = Db::new("append_race").await;
    let writer = writer(&db).await.with_patience(LONG);
    let stream = asset_stream("1");
    writer.append(&stream, Expected::NoStream, &[created("1")]).await.unwrap();
    for round in 0..10 {
        let race = (0..8)
            .map(|_| async { writer.append(&stream, Expected::Head(round), &[renamed("1", "x.png")]).await });
        let results = futures::future::join_all(race).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        for error in results.into_iter().filter_map(Result::err) {
            assert!(matches!(error, Error::Conflict { actual, .. } if actual == round + 1), "{error:?}");
        }
    }
    let event = [renamed("1", "y.png")];
    let anywhere = (0..40).map(|_| writer.append(&stream, Expected::Any, &event));
    let mut firsts: Vec<i64> =
        futures::future::try_join_all(anywhere).await.unwrap().iter().map(|one| one.first).collect();
    firsts.sort_unstable();
    assert_eq!(firsts, (11..51).collect::<Vec<i64>>());
    assert_no_holes(&db).await;
}

/// Appends to its own streams until it is told to stop. Returns ids of commits, and how long it was fenced.
async fn keep_writing(writer: EventWriter, number: usize, stop: Arc<AtomicBool>) -> (Vec<String>, Duration) {
    let (mut written, mut fenced) = (Vec::new(), Duration::ZERO);
    for asset in 0.. {
        let id = format!("w{number}-{asset}");
        let mut expected = Expected::NoStream;
        for event in [created(&id), renamed(&id, "a.png"), renamed(&id, "b.png")] {
            if stop.load(Ordering::Relaxed) {
                return (written, fenced);
            }
            let appended = writer.append(&asset_stream(&id), expected, &[event]).await.unwrap();
            expected = Expected::Head(appended.head);
            fenced += appended.fenced;
            written.push(appended.commit);
        }
    }
    (written, fenced)
}

/// Lets four writers write while something is done to the event store; all that they wrote has to be there.
async fn while_writing(db: &Db, work: impl AsyncFnOnce()) -> Vec<Duration> {
    let stop = Arc::new(AtomicBool::new(false));
    let writer = writer(db).await.with_patience(LONG);
    let writers: Vec<_> =
        (0..4).map(|number| tokio::spawn(keep_writing(writer.clone(), number, Arc::clone(&stop)))).collect();
    work().await;
    stop.store(true, Ordering::Relaxed);
    let mut fenced = Vec::new();
    let mut acknowledged = Vec::new();
    for writer in writers {
        let (commits, waited) = writer.await.unwrap();
        acknowledged.extend(commits);
        fenced.push(waited);
    }
    let stored = stored(db).await;
    let mut ids: Vec<&str> = stored.iter().map(|one| one.get_str("_id").unwrap()).collect();
    ids.sort_unstable();
    acknowledged.sort_unstable();
    assert_eq!(ids, acknowledged);
    assert_no_holes(db).await;
    fenced
}

fn cut_over_fence() -> Document {
    let record = doc! { "Statefold": "fence", "Reason": "cut-over", "Host": "there", "FormerOptions": {} };
    let refuse = doc! { "$expr": { "$and": [false, { "$literal": record }] } };
    doc! { "collMod": "Events2", "validator": refuse }
}

#[tokio::test(flavor = "multi_thread")]
async fn fences_that_come_and_go_lose_nothing_and_are_not_seen() {
    let db = Db::new("append_fences").await;
    let impatient = writer(&db).await.with_patience(Duration::from_millis(50));
    let fenced = while_writing(&db, async || {
        for _ in 0..5 {
            db.db.run_command(cut_over_fence()).await.unwrap();
            let refused = impatient.append("asset-a--b", Expected::Any, &[created("b")]).await.unwrap_err();
            let Error::WritesFenced { fence, .. } = &refused else { panic!("{refused:?}") };
            assert!(fence.starts_with("cut-over, raised by there"), "{fence}");
            assert_eq!(refused.class(), Class::Transient);
            db.db.run_command(doc! { "collMod": "Events2", "validator": {} }).await.unwrap();
        }
    })
    .await;
    assert!(fenced.iter().all(|waited| !waited.is_zero()), "{fenced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_cut_overs_lose_nothing_and_are_not_seen() {
    let db = Db::new("append_cut_overs").await;
    while_writing(&db, async || {
        for _ in 0..3 {
            let report = db.rebuild(&squidex(), &["Assets"], behind_a_fence()).await.unwrap();
            assert!(report.cut_over[0].fenced && !report.cut_over[0].read_only, "{report:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn read_only_mode_and_the_setting_are_told_by_name() {
    let db = Db::new("append_read_only").await;
    let at_once = writer(&db).await.with_patience(LONG);
    read_only_on(&settings(&db), &squidex(), Some("moving house")).await.unwrap();
    let refused = at_once.append("asset-a--b", Expected::Any, &[created("b")]).await.unwrap_err();
    let Error::ReadOnly { reason, owner, since } = &refused else { panic!("{refused:?}") };
    assert_eq!(reason, "moving house");
    assert!(since.starts_with("20") && owner.contains("(pid "), "{since} {owner}");
    assert_eq!(refused.class(), Class::Operator);
    read_only_off(&settings(&db), &squidex()).await.unwrap();
    at_once.append("asset-a--b", Expected::NoStream, &[created("b")]).await.unwrap();

    let set = settings(&db).with_read_only(true);
    let never = EventWriter::connect(&set, &squidex()).await.unwrap();
    let refused = never.append("asset-a--b", Expected::Any, &[created("b")]).await.unwrap_err();
    assert!(matches!(refused, Error::ReadOnlyServer), "{refused:?}");
    assert_eq!(never.head("asset-a--b").await.unwrap(), Some(0));
    // It migrates all the same.
    let outcome = statefold::migrate(&set, &squidex(), statefold::Migrate::default()).await.unwrap();
    assert!(matches!(outcome, statefold::Outcome::ReadOnly { .. }), "{outcome:?}");
    assert_eq!(db.read("States_Assets3").await.len(), 1);
}

#[tokio::test]
async fn a_refusal_of_another_validator_is_an_error_at_once() {
    let db = Db::new("append_validator").await;
    let writer = writer(&db).await.with_patience(LONG);
    let validator = doc! { "collMod": "Events2", "validator": { "EventsCount": { "$lt": 2 } } };
    db.db.run_command(validator).await.unwrap();
    let two = [created("1"), renamed("1", "a.png")];
    let refused = writer.append(&asset_stream("1"), Expected::Any, &two).await.unwrap_err();
    assert!(matches!(refused, Error::Server { code: Some(121), transient: false, .. }), "{refused:?}");
    writer.append(&asset_stream("1"), Expected::Any, &two[..1]).await.unwrap();
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_written_once() {
    let server = OwnServer::start("append_lost");
    let db = Db::at(&server.uri, "append_lost").await;
    let writer = writer(&db).await.with_patience(LONG);
    for (expected, number) in [(Expected::NoStream, 0), (Expected::Head(0), 1), (Expected::Any, 2)] {
        // The command is carried out, but its acknowledgement by a majority is said to have timed out.
        let timed_out = doc! { "code": 64, "errmsg": "waiting for replication timed out" };
        let data = doc! { "failCommands": ["insert"], "writeConcernError": timed_out };
        let before = stop_failing(&server.uri).await;
        fail_command(&server.uri, &db.app, doc! { "times": 1 }, data).await;
        let appended = writer.append(&asset_stream("1"), expected, &[created("1")]).await.unwrap();
        assert_eq!(appended.head, number);
        assert_eq!(stop_failing(&server.uri).await, before + 1);
    }
    let commits = stored(&db).await;
    assert_eq!(commits.len(), 3);
    assert_no_holes(&db).await;
}

#[tokio::test]
async fn an_event_store_without_a_unique_index_is_refused() {
    let db = Db::new("append_index").await;
    db.append(&good_asset("1")).await;
    let keys = doc! { "EventStream": 1, "EventStreamOffset": -1 };
    db.collection("Events2").create_index(mongodb::IndexModel::builder().keys(keys).build()).await.unwrap();
    let refused = EventWriter::connect(&settings(&db), &squidex()).await.unwrap_err();
    assert!(matches!(&refused, Error::Unsupported(why) if why.contains("no unique index")), "{refused:?}");
}

#[tokio::test]
async fn a_layout_of_its_own_is_written_as_it_is_read() {
    let db = Db::new("append_layout").await;
    let layout = statefold::projections::Layout {
        collection: "commits".into(),
        stream: "s".into(),
        offset: "n".into(),
        offset_meaning: statefold::projections::OffsetMeaning::FirstEvent,
        count: None,
        timestamp: None,
        ..statefold::projections::Layout::default()
    };
    let writer = EventWriter::connect(&settings(&db), &Registry::new(layout)).await.unwrap();
    let event = || NewEvent::new("Happened", Payload::Document(doc! { "a": 1 }));
    assert_eq!(writer.append("x-1", Expected::NoStream, &[event(), event()]).await.unwrap().head, 1);
    assert_eq!(writer.append("x-1", Expected::Head(1), &[event()]).await.unwrap().first, 2);
    let found: Vec<Document> = db
        .collection("commits")
        .find(doc! {})
        .sort(doc! { "n": 1 })
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let offsets: Vec<i64> = found.iter().map(|one| one.get_i64("n").unwrap()).collect();
    assert_eq!(offsets, [0, 2]);
    assert_eq!(found[0].keys().collect::<Vec<_>>(), ["_id", "Events", "n", "s"]);
}
