//! Seeded faults, and which extent of verification catches which.

use std::collections::HashSet;
use std::sync::Mutex;

use bson::{Document, doc};
use mongodb::Collection;
use statefold::projections::squidex::Assets;
use statefold::projections::{
    Event, FoldError, Lookup, Projection, Registry, Sink, Spec, StreamFilter, StreamKey, Target,
};
use statefold::{Error, Rebuild, Share, Tuning, Verify};

use crate::support::commits::{APP, generated, good_asset, last_asset_stream};
use crate::support::database::assert_same;
use crate::support::gate::stopped_late;
use crate::support::{Db, OwnServer, no_waiting, oracle, squidex};

const FAULTS: [&str; 5] = ["flipped", "missing", "too many", "foreign", "swapped"];

/// Does to the staged documents what a fault would.
async fn seed(fault: &str, staging: &Collection<Document>, ids: &[String]) {
    match fault {
        "flipped" => {
            let flipped = doc! { "$bit": { "vs": { "xor": 1_i64 } } };
            staging.update_one(doc! { "_id": &ids[0] }, flipped).await.map(|_| ())
        }
        "missing" => staging.delete_one(doc! { "_id": &ids[1] }).await.map(|_| ()),
        "too many" => staging.insert_one(doc! { "_id": "nobody--knows" }).await.map(|_| ()),
        "foreign" => staging.insert_one(doc! { "_id": 7 }).await.map(|_| ()),
        _ => {
            let (mut one, mut other) = (stored(staging, &ids[2]).await, stored(staging, &ids[3]).await);
            one.insert("_id", &ids[3]);
            other.insert("_id", &ids[2]);
            staging.replace_one(doc! { "_id": &ids[3] }, one).await.unwrap();
            staging.replace_one(doc! { "_id": &ids[2] }, other).await.map(|_| ())
        }
    }
    .unwrap();
}

async fn stored(staging: &Collection<Document>, id: &str) -> Document {
    staging.find_one(doc! { "_id": id }).await.unwrap().unwrap()
}

#[tokio::test]
async fn whatever_is_stored_wrongly_is_found_by_the_proof() {
    let commits = generated(1500, 61);
    let expected = oracle::assets(&commits);
    let ids: Vec<String> = expected.keys().take(4).cloned().collect();
    for fault in FAULTS {
        for verify in [Verify::default(), Verify::Full, Verify::Heads] {
            let db = Db::new("seeded").await;
            db.write(&commits).await;
            let (running, gate) = stopped_late(&db, &commits, verify).await;
            seed(fault, &db.collection("States_Assets3__t1"), &ids).await;
            gate.open();
            let result = running.await;
            let case = format!("{fault}, {verify}: {result:?}");
            match (fault, verify) {
                // No stream tells what it should be.
                ("foreign", Verify::Proof(_) | Verify::Full) => {
                    assert!(matches!(result, Err(Error::Mismatch(_))), "{case}");
                }
                // Of these the ids tell.
                ("missing" | "too many", Verify::Heads) => {
                    assert!(matches!(result, Err(Error::Mismatch(_))), "{case}");
                }
                (_, Verify::Heads) => {
                    assert_eq!(result.unwrap().projections[0].verified.as_deref(), Some("heads"), "{case}");
                }
                _ => {
                    let built = &result.unwrap().projections[0];
                    // The digest says that something differs, the comparison of every stream says what.
                    assert_eq!(built.verified.as_deref(), Some("full"), "{case}");
                    assert_same(&db.read("States_Assets3").await, &expected);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_outside_the_sample_is_found_by_its_digest() {
    // Far more streams than are folded once more.
    let commits: Vec<Document> = (10_000..14_000).flat_map(|id| good_asset(&id.to_string())).collect();
    let db = Db::new("outside").await;
    db.write(&commits).await;
    let (running, gate) = stopped_late(&db, &commits, Verify::Proof("0.1%".parse::<Share>().unwrap())).await;
    let ids = [format!("{APP}--12003"), format!("{APP}--13002"), String::new(), String::new()];
    seed("flipped", &db.collection("States_Assets3__t1"), &ids).await;
    gate.open();
    let report = running.await.unwrap();
    assert_eq!(report.projections[0].verified.as_deref(), Some("full"));
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

/// Assets whose snapshots of some streams are wrong the first time they are asked for, and right the second
/// time.
struct Twice {
    inner: Assets,
    wrong: fn(&str) -> bool,
    seen: Mutex<HashSet<String>>,
}

impl Projection for Twice {
    type State = <Assets as Projection>::State;

    fn spec(&self) -> &Spec {
        self.inner.spec()
    }

    fn apply(&self, state: &mut Self::State, event: &Event<'_>) -> Result<(), FoldError> {
        self.inner.apply(state, event)
    }

    fn snapshots(
        &self,
        key: &StreamKey<'_>,
        state: &Self::State,
        others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        if (self.wrong)(key.id()) && self.seen.lock().unwrap().insert(key.id().to_owned()) {
            return out.put_document(0, &doc! { "folded": "twice" });
        }
        self.inner.snapshots(key, state, others, out)
    }
}

fn registry(wrong: fn(&str) -> bool) -> Registry {
    let mut registry = Registry::default();
    registry.register(Twice { inner: Assets::new(), wrong, seen: Mutex::default() }).unwrap();
    registry
}

#[tokio::test]
async fn a_fold_that_went_wrong_everywhere_is_found_by_the_sample() {
    let commits = generated(1500, 62);
    let db = Db::new("proof_sample").await;
    db.write(&commits).await;
    let report = db.rebuild(&registry(|_| true), &["Assets"], no_waiting()).await.unwrap();
    assert_eq!(report.projections[0].verified.as_deref(), Some("full"));
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn a_sound_build_is_proven_and_every_stream_of_a_small_store_is_in_the_sample() {
    let commits = generated(1500, 63);
    let db = Db::new("proof_sound").await;
    db.write(&commits).await;
    let tuning = Tuning { verify: Verify::Proof("0.1%".parse::<Share>().unwrap()), ..no_waiting() };
    let report = db.rebuild(&registry(|_| false), &["Assets"], tuning).await.unwrap();
    let built = &report.projections[0];
    assert_eq!((built.verified.as_deref(), built.streams_sampled), (Some("proof"), built.streams));
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn a_postponed_build_is_proven_again_before_its_cut_over() {
    let commits = generated(400, 64);
    let db = Db::new("proof_postponed").await;
    db.write(&commits).await;
    let settings = db.settings(no_waiting());
    let postponed = Rebuild { postpone: true, ..Rebuild::of(["Assets"]) };
    statefold::rebuild(&settings, &registry(|_| false), postponed).await.unwrap();
    let report = statefold::cutover(&settings, &registry(|_| false), Rebuild::default()).await.unwrap();
    assert_eq!(report.projections[0].verified.as_deref(), Some("proof"));
}

/// The number of events of each stream, but what is folded first counts twice.
struct Doubled {
    spec: Spec,
    seen: Mutex<HashSet<(String, i64)>>,
}

impl Projection for Doubled {
    type State = i64;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn apply(&self, events: &mut i64, event: &Event<'_>) -> Result<(), FoldError> {
        let first = self.seen.lock().unwrap().insert((event.stream.to_owned(), event.number));
        *events += if first { 2 } else { 1 };
        Ok(())
    }

    fn snapshots(
        &self,
        _: &StreamKey<'_>,
        events: &i64,
        _: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        out.put_document(0, &doc! { "events": *events })
    }
}

#[tokio::test]
async fn commits_that_were_folded_twice_are_found_by_the_sample() {
    let commits = generated(900, 65);
    let db = Db::new("proof_doubled").await;
    db.write(&commits).await;
    let spec = Spec::new("Counts", 1).streams(StreamFilter::prefix("asset-")).target(Target::new("Counts"));
    let mut registry = Registry::default();
    registry.register(Doubled { spec, seen: Mutex::default() }).unwrap();
    let report = db.rebuild(&registry, &["Counts"], no_waiting()).await.unwrap();
    assert_eq!(report.projections[0].verified.as_deref(), Some("full"));
    let stored: i64 = db.read("Counts1").await.values().map(|one| one.get_i64("events").unwrap()).sum();
    let assets = commits.iter().filter(|one| one.get_str("EventStream").unwrap().starts_with("asset-"));
    let events: usize = assets.map(|one| one.get_array("Events").unwrap().len()).sum();
    assert_eq!(stored, i64::try_from(events).unwrap());
}

/// On a standalone server no change stream tells of commits that the pass didn't see.
#[tokio::test]
async fn a_batch_of_commits_that_the_pass_swallowed_is_found_by_the_heads() {
    let commits = generated(1500, 66);
    let expected = oracle::assets(&commits);
    let last = last_asset_stream(&commits);
    // Beginnings, midsts and ends of streams, and whole ones.
    let is_swallowed = |at: usize, commit: &Document| {
        (400..700).contains(&at) && commit.get_str("EventStream").unwrap() != last
    };
    let (mut swallowed, mut seen) = (Vec::new(), Vec::new());
    for (at, commit) in commits.iter().enumerate() {
        if is_swallowed(at, commit) { &mut swallowed } else { &mut seen }.push(commit.clone());
    }
    let server = OwnServer::start_with("swallowed", &["--standalone"]);
    for (number, verify) in [Verify::default(), Verify::Full, Verify::Heads].into_iter().enumerate() {
        let db = Db::at(&server.uri, &format!("swallowed_{number}")).await;
        db.write(&seen).await;
        let (running, gate) = stopped_late(&db, &seen, verify).await;
        db.append(&swallowed).await;
        gate.open();
        let report = running.await.unwrap();
        let built = &report.projections[0];
        assert!(built.streams_refolded > 0, "{verify}");
        assert_eq!(built.failed_streams, 0, "{verify}");
        assert_same(&db.read("States_Assets3").await, &expected);
    }
}

/// Of a stream that was deleted for good while a build was postponed, the snapshot stands there again.
#[tokio::test]
async fn a_snapshot_that_catching_up_forgot_is_found_by_its_digest() {
    let commits = generated(600, 67);
    let gone = last_asset_stream(&commits);
    let id = gone.strip_prefix("asset-").unwrap();
    let left: Vec<Document> =
        commits.iter().filter(|one| one.get_str("EventStream").unwrap() != gone).cloned().collect();
    let expected = oracle::assets(&left);
    for verify in [Verify::default(), Verify::Full, Verify::Heads] {
        let db = Db::new("forgot").await;
        db.write(&commits).await;
        let settings = db.settings(statefold::Tuning { verify, ..no_waiting() });
        let postponed = || Rebuild { postpone: true, ..Rebuild::of(["Assets"]) };
        statefold::rebuild(&settings, &squidex(), postponed()).await.unwrap();
        let staging = db.collection(&db.staging("States_Assets3").await.unwrap());
        let old = stored(&staging, id).await;
        db.collection("Events2").delete_many(doc! { "EventStream": &gone }).await.unwrap();
        statefold::rebuild(&settings, &squidex(), postponed()).await.unwrap();
        let staging = db.collection(&db.staging("States_Assets3").await.unwrap());
        assert_eq!(staging.find_one(doc! { "_id": id }).await.unwrap(), None);
        staging.insert_one(old).await.unwrap();
        let result = statefold::cutover(&settings, &squidex(), Rebuild::default()).await;
        if verify == Verify::Heads {
            assert!(matches!(result, Err(Error::Mismatch(_))), "{result:?}");
        } else {
            assert_eq!(result.unwrap().projections[0].verified.as_deref(), Some("full"));
            assert_same(&db.read("States_Assets3").await, &expected);
        }
    }
}
