//! A stream that was deleted for good and created again may have the same head as before: equal offsets are
//! not the same history.

use bson::{Binary, Document, doc, spec::BinarySubtype};
use statefold::{Rebuild, Tuning};

use crate::support::commits::{asset_created, asset_renamed, asset_stream, generated, good_asset};
use crate::support::database::assert_same;
use crate::support::follow::{assets, comes_to, end, has_a_position, start, sums_are_right, works};
use crate::support::versions::{assets_of, assets_with_former};
use crate::support::{Db, Gate, OwnServer, commit, no_waiting, oracle, squidex};

/// Deletes a stream for good and writes another one under its name, with as many commits.
async fn made_again(db: &Db, commits: &mut Vec<Document>, id: &str) {
    let stream = asset_stream(id);
    let is_of = |one: &Document| one.get_str("EventStream").unwrap() == stream;
    let heads = commits.iter().filter(|one| is_of(one)).count();
    db.collection("Events2").delete_many(doc! { "EventStream": &stream }).await.unwrap();
    commits.retain(|one| !is_of(one));
    let mut new = vec![commit(&stream, -1, &[("AssetCreatedEventV2", &asset_created(id))])];
    for number in 1..heads {
        let renamed = asset_renamed(id, &format!("again-{number}.png"));
        new.push(commit(&stream, i64::try_from(number).unwrap() - 1, &[("AssetAnnotatedEvent", &renamed)]));
    }
    db.append(&new).await;
    commits.extend(new);
}

/// Some streams of two commits each.
fn some() -> Vec<Document> {
    (10..30).flat_map(|id| good_asset(&id.to_string())).collect()
}

async fn built(test: &str) -> (Db, Vec<Document>) {
    let (db, commits) = (Db::new(test).await, some());
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    (db, commits)
}

#[tokio::test]
async fn streams_made_again_one_after_the_other_are_refolded_while_followed() {
    let (db, mut commits) = built("again_followed").await;
    let following = start(&db, &squidex());
    works(&following).await;
    for id in ["11", "12", "13"] {
        made_again(&db, &mut commits, id).await;
    }
    comes_to(&db, "States_Assets3", &commits).await;
    end(following).await;
    sums_are_right(&db).await;
}

#[tokio::test]
async fn a_stream_made_again_while_nobody_followed_is_found_by_comparing() {
    let (db, mut commits) = built("again_unfollowed").await;
    made_again(&db, &mut commits, "11").await;
    // No position: nothing but the heads tells.
    let following = start(&db, &squidex());
    comes_to(&db, "States_Assets3", &commits).await;
    has_a_position(&db, "Assets3").await;
    let report = end(following).await;
    assert_eq!(report.followed[0].streams_refolded, 1, "{report:?}");
    sums_are_right(&db).await;
}

#[tokio::test]
async fn a_commit_taken_out_of_the_midst_is_found_by_comparing() {
    let (db, mut commits) = built("again_midst").await;
    let stream = asset_stream("11");
    let is_first = |one: &Document| {
        one.get_str("EventStream").unwrap() == stream && one.get_i64("EventStreamOffset").unwrap() == -1
    };
    let filter = doc! { "EventStream": &stream, "EventStreamOffset": -1_i64 };
    db.collection("Events2").delete_one(filter).await.unwrap();
    let following = start(&db, &squidex());
    // With a hole in it, it can't be folded any more.
    commits.retain(|one| !is_first(one) && one.get_str("EventStream").unwrap() != stream);
    comes_to(&db, "States_Assets3", &commits).await;
    end(following).await;
    assert_eq!(db.read("Statefold_DeadLetters").await.len(), 1);
}

#[tokio::test]
async fn a_stream_made_again_is_found_on_a_standalone_server() {
    let server = OwnServer::start_with("again_alone", &["--standalone"]);
    let db = Db::at(&server.uri, "again_alone").await;
    let mut commits = some();
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    let request = statefold::Follow { compare_every: std::time::Duration::from_millis(100), ..assets() };
    let following = statefold::follow(&db.settings(no_waiting()), &squidex(), request);
    works(&following).await;
    made_again(&db, &mut commits, "11").await;
    comes_to(&db, "States_Assets3", &commits).await;
    end(following).await;
}

#[tokio::test]
async fn a_stream_made_again_while_it_is_built_is_in_the_new_generation() {
    let (db, mut commits) = (Db::new("again_built").await, some());
    db.write(&commits).await;
    let (gated, gate) = Gate::asset_snapshots(|id| id.ends_with("--29"));
    let settings = db.settings(Tuning { partitions: Some(1), readers: 1, ..no_waiting() });
    let running = statefold::rebuild(&settings, &gated, Rebuild::of(["Assets"]));
    gate.reached().await;
    for id in ["11", "12", "13"] {
        made_again(&db, &mut commits, id).await;
    }
    gate.open();
    running.await.unwrap();
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn a_commit_replaced_since_a_generation_was_left_does_not_keep_it_from_being_rolled_back_to() {
    let mut commits = some();
    let db = Db::new("again_back").await;
    db.write(&commits).await;
    let new = assets_with_former(2, 1);
    db.rebuild(&assets_of(1), &["Assets"], no_waiting()).await.unwrap();
    db.rebuild(&new, &["Assets"], no_waiting()).await.unwrap();
    // In the midst of a stream: no head tells.
    let first =
        commits.iter_mut().find(|one| one.get_str("EventStream").unwrap() == asset_stream("11")).unwrap();
    let mut replaced = commit(
        &asset_stream("11"),
        -1,
        &[("AssetCreatedEventV2", &asset_created("11").replace("png", "gif"))],
    );
    replaced.insert("_id", first.get_str("_id").unwrap());
    let filter = doc! { "_id": first.get_str("_id").unwrap() };
    db.collection("Events2").replace_one(filter, &replaced).await.unwrap();
    *first = replaced;
    statefold::rollback(&db.settings(no_waiting()), &new, Rebuild::of(["Assets"])).await.unwrap();
    assert_eq!(db.pointer("Assets").await.unwrap().get_str("Collection").unwrap(), "States_Assets3");
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

/// As older versions recorded heads: hash and offset of each stream, 16 bytes.
async fn with_old_heads(db: &Db) {
    let heads = db.collection("Statefold_Heads");
    for (_, bucket) in db.read("Statefold_Heads").await {
        let packed = bucket.get_binary_generic("IdentifiedHeads").unwrap();
        let (entries, rest) = packed.as_chunks::<28>();
        assert!(rest.is_empty() && !entries.is_empty());
        let bytes = entries.iter().flat_map(|entry| entry.iter().copied().take(16)).collect();
        let old = Binary { subtype: BinarySubtype::Generic, bytes };
        let change = doc! { "$set": { "Heads": old }, "$unset": { "IdentifiedHeads": "" } };
        heads.update_one(doc! { "_id": bucket.get_str("_id").unwrap() }, change).await.unwrap();
    }
}

#[tokio::test]
async fn heads_of_older_versions_are_read_and_tell_what_they_can() {
    let mut commits = generated(600, 901);
    let db = Db::new("again_old").await;
    db.write(&commits).await;
    db.rebuild(&squidex(), &["Assets"], no_waiting()).await.unwrap();
    with_old_heads(&db).await;
    let new = good_asset("since-then");
    db.append(&new).await;
    commits.extend(new);
    let following = start(&db, &squidex());
    comes_to(&db, "States_Assets3", &commits).await;
    has_a_position(&db, "Assets3").await;
    let report = end(following).await;
    assert_eq!(report.followed[0].streams_refolded, 1, "{report:?}");
    sums_are_right(&db).await;
}
