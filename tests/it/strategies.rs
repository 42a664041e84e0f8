//! However the event store is read, the result is the same, also for stores with every peculiarity.

use bson::{Document, doc};
use statefold::{Built, NaturalBy, Strategy, Tuning};

use crate::support::commits::{asset_created, asset_renamed, asset_stream, commit_at, generated};
use crate::support::database::assert_same;
use crate::support::{Db, commit, no_waiting, oracle, squidex};

/// Deterministic disorder.
fn shuffle(commits: &mut [Document], seed: u64) {
    let mut state = seed;
    for at in (1..commits.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        commits.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
    }
}

/// A stream of so many commits, each with two events.
fn giant(id: &str, commits: i64) -> Vec<Document> {
    let (stream, created) = (asset_stream(id), asset_created(id));
    let mut all = vec![commit(&stream, -1, &[("AssetCreatedEventV2", &created)])];
    for number in 0..commits {
        let (first, second) =
            (asset_renamed(id, &format!("{number}.png")), asset_renamed(id, &format!("{number}-b.png")));
        let events = [("AssetAnnotatedEvent", first.as_str()), ("AssetAnnotatedEvent", second.as_str())];
        let at = format!("2024-05-01T10:{:02}:{:02}Z", number / 60 % 60, number % 60);
        all.push(commit_at(&stream, number * 2, &at, &events));
    }
    all
}

/// Good streams of every kind, and what the fold has to make of them.
fn good() -> Vec<Document> {
    let mut commits = generated(2500, 41);
    commits.extend(giant("giant", 1200));
    // Created by several events of one commit; then a commit without events.
    let (created, renamed) = (asset_created("multi"), asset_renamed("multi", "multi.png"));
    let events = [("AssetCreatedEventV2", created.as_str()), ("AssetAnnotatedEvent", renamed.as_str())];
    commits.push(commit(&asset_stream("multi"), -1, &events));
    commits.push(commit(&asset_stream("multi"), 1, &[]));
    commits.push(commit(&asset_stream("empty"), -1, &[]));
    commits
}

/// Streams that can't be folded: a hole, overlapping commits, a broken commit, a broken payload.
fn bad() -> Vec<Document> {
    let renamed = asset_renamed("x", "y.png");
    let rename = [("AssetAnnotatedEvent", renamed.as_str())];
    let created = asset_created("x");
    let create = [("AssetCreatedEventV2", created.as_str())];
    let twice = [create[0], rename[0]];
    let mut broken = commit(&asset_stream("broken"), 0, &rename);
    broken.insert("EventsCount", 7_i64);
    vec![
        commit(&asset_stream("hole"), -1, &create),
        commit(&asset_stream("hole"), 3, &rename),
        commit(&asset_stream("headless"), 2, &rename),
        commit(&asset_stream("overlap"), -1, &twice),
        commit(&asset_stream("overlap"), 0, &rename),
        commit(&asset_stream("broken"), -1, &create),
        broken,
        commit(&asset_stream("payload"), -1, &[("AssetCreatedEventV2", "{")]),
        commit(&asset_stream("payload"), 0, &rename),
    ]
}

fn tunings() -> Vec<(&'static str, Tuning)> {
    let usual = Tuning { partitions: Some(5), part_commits: 300, ..no_waiting() };
    let natural = Tuning { strategy: Some(Strategy::Natural), ..usual };
    let spill = Tuning { strategy: Some(Strategy::Spill), ..usual };
    let small = 1 << 20;
    vec![
        ("chosen", usual),
        ("stream", Tuning { strategy: Some(Strategy::Stream), ..usual }),
        ("natural", natural),
        ("natural, one cursor", Tuning { natural_by: Some(NaturalBy::OneCursor), ..natural }),
        ("natural, timestamps", Tuning { natural_by: Some(NaturalBy::Timestamps), ..natural }),
        ("natural, record ids", Tuning { natural_by: Some(NaturalBy::RecordIds), readers: 4, ..natural }),
        ("natural, one thread", Tuning { threads: 1, readers: 1, partitions: Some(1), ..natural }),
        ("natural, three shards", Tuning { threads: 3, batch_commits: 7, batch_bytes: 1, ..natural }),
        ("spill", spill),
        ("spill, one partition", Tuning { partitions: Some(1), readers: 1, ..spill }),
        ("spill, little memory", Tuning { memory_bytes: small, ..spill }),
        ("spill, timestamps", Tuning { natural_by: Some(NaturalBy::Timestamps), threads: 3, ..spill }),
        ("natural that turns to spill", Tuning { memory_bytes: small, strategy: None, ..usual }),
    ]
}

/// What must not depend on the strategy.
fn result(built: &Built) -> (String, u64, u64, u64, u64, u64) {
    let Built { digest, commits, events, streams, snapshots, failed_streams, .. } = built;
    (digest.clone(), *commits, *events, *streams, *snapshots, *failed_streams)
}

async fn letters(db: &Db, build: &str) -> Vec<String> {
    let all = db.read("Statefold_DeadLetters").await;
    let of_build = all.values().filter(|one| one.get_str("Build").unwrap() == build);
    let mut letters: Vec<String> = of_build
        .map(|one| {
            let mut one = one.clone();
            for name in ["_id", "Build", "Partition", "Token", "Claims", "At"] {
                one.remove(name);
            }
            format!("{one:?}")
        })
        .collect();
    letters.sort();
    letters
}

async fn all_agree(test: &str, commits: &[Document], expected: Option<&[Document]>) {
    let db = Db::new(test).await;
    db.write(commits).await;
    let mut first: Option<(_, Vec<String>)> = None;
    for ((name, tuning), generation) in tunings().into_iter().zip(3..) {
        let tuning = Tuning { max_errors: "10".parse().unwrap(), ..tuning };
        let report = db.rebuild(&squidex(), &["Assets", "AssetFolders"], tuning).await.unwrap();
        let both: Vec<_> = report.projections.iter().map(result).collect();
        let letters = letters(&db, &format!("Assets{generation}")).await;
        let pass = report.pass.unwrap();
        if let Some(forced) = tuning.strategy {
            assert_eq!(pass.strategy, forced, "{name}");
        }
        if let (Some(by), Strategy::Natural | Strategy::Spill) = (tuning.natural_by, pass.strategy) {
            assert_eq!(pass.divided_by, Some(by.to_string()), "{name}");
        }
        match &first {
            None => first = Some((both, letters)),
            Some(first) => assert_eq!(&(both, letters), first, "{name}"),
        }
        if let Some(expected) = expected {
            let found = db.read(&format!("States_Assets{generation}")).await;
            assert_same(&found, &oracle::assets(expected));
        }
    }
}

#[tokio::test]
async fn all_strategies_give_the_documents_of_the_oracle() {
    let commits = good();
    all_agree("strategies", &commits, Some(&commits)).await;
}

#[tokio::test]
async fn the_order_in_which_commits_were_written_does_not_matter() {
    let commits = good();
    let mut shuffled = commits.clone();
    shuffle(&mut shuffled, 7);
    all_agree("shuffled", &shuffled, Some(&commits)).await;
    let reversed: Vec<Document> = commits.iter().rev().cloned().collect();
    all_agree("reversed", &reversed, None).await;
}

#[tokio::test]
async fn bad_streams_are_the_same_failed_streams_with_every_strategy() {
    let mut commits = generated(1500, 43);
    commits.extend(bad());
    shuffle(&mut commits, 9);
    all_agree("bad_streams", &commits, None).await;
    let db = Db::new("bad_streams_reasons").await;
    db.write(&commits).await;
    let tuning =
        Tuning { strategy: Some(Strategy::Natural), max_errors: "5".parse().unwrap(), ..no_waiting() };
    let report = db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
    assert_eq!(report.projections[0].failed_streams, 5);
    let mut found: Vec<(String, String)> = Vec::new();
    for letter in db.read("Statefold_DeadLetters").await.into_values() {
        let text = |name: &str| letter.get_str(name).unwrap().to_owned();
        found.push((text("Stream").rsplit("--").next().unwrap().to_owned(), text("Reason")));
    }
    found.sort();
    let expected = [
        ("broken", "commit"),
        ("headless", "hole"),
        ("hole", "hole"),
        ("overlap", "hole"),
        ("payload", "payload"),
    ];
    assert_eq!(found, expected.map(|(stream, reason)| (stream.to_owned(), reason.to_owned())));
}

#[tokio::test]
async fn commits_without_a_timestamp_are_read_too() {
    let mut commits = generated(1500, 44);
    let db = Db::new("no_timestamp").await;
    for (at, commit) in commits.iter_mut().enumerate() {
        match at % 3 {
            0 => _ = commit.remove("Timestamp"),
            1 => _ = commit.insert("Timestamp", "yesterday"),
            _ => {}
        }
    }
    db.write(&commits).await;
    let by = Some(NaturalBy::Timestamps);
    let tuning =
        Tuning { strategy: Some(Strategy::Natural), natural_by: by, part_commits: 100, ..no_waiting() };
    db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
    assert!(db.collection("Events2").count_documents(doc! { "Timestamp": null }).await.unwrap() > 0);
}
