//! Failed streams that are folded once more.

use bson::{Document, doc};
use statefold::projections::{
    Event, FoldError, Lookup, Projection, Registry, Sink, Spec, StreamKey, squidex::Assets,
};
use statefold::{Error, Tuning, Verification};

use crate::support::commits::{asset_created, asset_renamed, asset_stream, good_asset};
use crate::support::database::assert_same;
use crate::support::{Db, commit, no_waiting, oracle, squidex};

/// Twenty good streams, and three that can't be folded.
fn commits() -> Vec<Document> {
    let mut commits: Vec<Document> = (10..30).flat_map(|id| good_asset(&format!("good-{id}"))).collect();
    let (broken, hole, no_app) = (asset_stream("broken"), asset_stream("hole"), asset_stream("no-app"));
    commits.extend([
        commit(&broken, -1, &[("AssetCreatedEventV2", &asset_created("broken"))]),
        commit(&broken, 0, &[("AssetAnnotatedEvent", "{\"fileName\":")]),
        commit(&hole, -1, &[("AssetCreatedEventV2", &asset_created("hole"))]),
        commit(&hole, 1, &[("AssetAnnotatedEvent", &asset_renamed("hole", "later.png"))]),
        commit(
            &no_app,
            -1,
            &[("AssetCreatedEventV2", &asset_created("no-app").replace("\"appId\"", "\"x\""))],
        ),
    ]);
    commits
}

fn tuning(max_errors: &str) -> Tuning {
    Tuning { max_errors: max_errors.parse().unwrap(), partitions: Some(4), ..no_waiting() }
}

/// Mends the payload of a commit's only event.
async fn mend(db: &Db, commits: &mut [Document], stream: &str, offset: i64, payload: &str) {
    let is_it = |one: &&mut Document| {
        one.get_str("EventStream").unwrap() == stream && one.get_i64("EventStreamOffset").unwrap() == offset
    };
    let one = commits.iter_mut().find(is_it).unwrap();
    let events = one.get_array_mut("Events").unwrap();
    events[0].as_document_mut().unwrap().insert("Payload", payload);
    let set = doc! { "$set": { "Events.0.Payload": payload } };
    let filter = doc! { "_id": one.get_str("_id").unwrap() };
    db.collection("Events2").update_one(filter, set).await.unwrap();
}

/// Asserts that snapshots, digest and counts are those of an independent fold.
async fn is_right(db: &Db, commits: &[Document], failed_streams: u64) {
    assert_same(&db.read("States_Assets3").await, &oracle::assets(commits));
    let request = Verification { projections: vec!["Assets".into()], ..Verification::default() };
    let report = statefold::verify(&db.settings(no_waiting()), &squidex(), request).await.unwrap();
    let verified = &report.projections[0];
    assert!(report.is_equal(), "{report:?}");
    let record = db.one("Statefold_Builds", "Assets3").await.unwrap();
    assert_eq!(record.get_str("Digest").ok(), verified.digest.as_deref());
    let counts = record.get_document("Counts").unwrap();
    let counted = |name: &str| counts.get_i64(name).unwrap().unsigned_abs();
    assert_eq!((counted("DeadLetters"), counted("Snapshots")), (failed_streams, verified.snapshots));
    let streams: std::collections::HashSet<&str> =
        commits.iter().map(|one| one.get_str("EventStream").unwrap()).collect();
    assert_eq!(counted("Streams"), streams.len() as u64);
}

#[tokio::test]
async fn what_was_mended_in_the_event_store_is_folded_into_the_active_generation() {
    let mut commits = commits();
    let db = Db::new("retry").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], tuning("3")).await.unwrap();
    let settings = db.settings(no_waiting());
    mend(&db, &mut commits, &asset_stream("broken"), 0, &asset_renamed("broken", "mended.png")).await;

    let report = statefold::retry_failed_streams(&settings, &squidex(), &[]).await.unwrap();
    let healed: Vec<_> = report.healed.iter().map(|one| (one.build.as_str(), one.stream.clone())).collect();
    assert_eq!(healed, [("Assets3", asset_stream("broken"))]);
    let remaining: Vec<_> =
        report.remaining.iter().map(|one| (one.stream.clone(), one.reason.as_str())).collect();
    assert_eq!(remaining, [(asset_stream("hole"), "hole"), (asset_stream("no-app"), "missing_field")]);
    is_right(&db, &commits, 2).await;

    // One is mended, the other one is gone for ever.
    mend(&db, &mut commits, &asset_stream("no-app"), -1, &asset_created("no-app")).await;
    db.collection("Events2").delete_many(doc! { "EventStream": asset_stream("hole") }).await.unwrap();
    commits.retain(|one| one.get_str("EventStream").unwrap() != asset_stream("hole"));
    let report = statefold::retry_failed_streams(&settings, &squidex(), &["assets".into()]).await.unwrap();
    assert_eq!((report.healed.len(), report.remaining.len()), (2, 0), "{report:?}");
    is_right(&db, &commits, 0).await;
    assert!(statefold::failed_streams(&settings, &squidex(), None, 0).await.unwrap().is_empty());
    db.assert_unlocked().await;
}

#[tokio::test]
async fn failed_streams_of_a_refused_build_are_folded_before_it_is_published() {
    let mut commits = commits();
    let db = Db::new("retry_unfinished").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], tuning("0")).await.unwrap_err();
    mend(&db, &mut commits, &asset_stream("no-app"), -1, &asset_created("no-app")).await;
    let one = [asset_stream("no-app")];
    let report = statefold::retry_failed_streams(&db.settings(no_waiting()), &squidex(), &one).await.unwrap();
    assert_eq!((report.healed.len(), report.remaining.len()), (1, 0), "{report:?}");
    db.assert_nothing_published().await;

    db.rebuild(&squidex(), &["Assets"], tuning("1")).await.unwrap_err();
    let report = db.rebuild(&squidex(), &["Assets"], tuning("2")).await.unwrap();
    let built = &report.projections[0];
    assert_eq!((built.generation, built.failed_streams, built.snapshots), (3, 2, 21));
    assert_eq!(built.partitions_resumed, built.partitions);
    is_right(&db, &commits, 2).await;
}

/// Squidex's assets by a program that can't read some of them.
struct Picky(Assets);

impl Projection for Picky {
    type State = <Assets as Projection>::State;

    fn spec(&self) -> &Spec {
        self.0.spec()
    }

    fn apply(&self, state: &mut Self::State, event: &Event<'_>) -> Result<(), FoldError> {
        if event.stream.ends_with("good-17") {
            return Err(FoldError::Payload("not in this release".into()));
        }
        self.0.apply(state, event)
    }

    fn snapshots(
        &self,
        key: &StreamKey<'_>,
        state: &Self::State,
        others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        self.0.snapshots(key, state, others, out)
    }
}

#[tokio::test]
async fn a_program_that_can_read_them_folds_them() {
    let commits: Vec<Document> = (10..30).flat_map(|id| good_asset(&format!("good-{id}"))).collect();
    let db = Db::new("retry_program").await;
    db.write(&commits).await;
    let mut picky = Registry::default();
    picky.register(Picky(Assets::new())).unwrap();
    db.rebuild(&picky, &["Assets"], tuning("1")).await.unwrap();
    let settings = db.settings(no_waiting());
    let again = statefold::retry_failed_streams(&settings, &picky, &[]).await.unwrap();
    assert_eq!((again.healed.len(), again.remaining.len()), (0, 1), "{again:?}");
    let cured = statefold::retry_failed_streams(&settings, &squidex(), &[]).await.unwrap();
    assert_eq!((cured.healed.len(), cured.remaining.len()), (1, 0), "{cured:?}");
    is_right(&db, &commits, 0).await;
}

#[tokio::test]
async fn a_name_that_means_nothing_is_refused() {
    let db = Db::new("retry_unknown").await;
    db.write(&commits()).await;
    db.rebuild(&squidex(), &["Assets"], tuning("3")).await.unwrap();
    let names = ["Assets".into(), "asset-unheard-of".into()];
    let error =
        statefold::retry_failed_streams(&db.settings(no_waiting()), &squidex(), &names).await.unwrap_err();
    assert!(matches!(&error, Error::Config(problems) if problems.len() == 1), "{error:?}");
}
