//! Names that a new generation is to take: what has them must be plain, or ours.

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use statefold::{Adopt, CutOverMode, Error, Rebuild};

use crate::support::commits::generated;
use crate::support::database::assert_same;
use crate::support::{Db, no_waiting, oracle, squidex};

/// An application with the snapshots of its event store, adopted.
async fn adopted(test: &str) -> (Db, Vec<Document>) {
    let commits = generated(600, 36);
    let db = Db::new(test).await;
    db.write(&commits).await;
    insert_snapshots(&db, &commits).await;
    let request = Adopt {
        projection: "assets".into(),
        collections: vec!["States_Assets2".into()],
        dry_run: false,
        ..Adopt::default()
    };
    assert!(statefold::adopt(&db.settings(no_waiting()), &squidex(), request).await.unwrap().adopted);
    (db, commits)
}

async fn insert_snapshots(db: &Db, commits: &[Document]) {
    db.collection("States_Assets2").insert_many(oracle::assets(commits).into_values()).await.unwrap();
}

fn index(name: &str, keys: Document) -> IndexModel {
    let options = IndexOptions::builder().name(name.to_owned()).build();
    IndexModel::builder().keys(keys).options(options).build()
}

fn by(mode: CutOverMode) -> Rebuild {
    Rebuild { mode: Some(mode), ..Rebuild::of(["Assets"]) }
}

async fn refused(db: &Db, request: Rebuild) -> String {
    match statefold::cutover(&db.settings(no_waiting()), &squidex(), request).await {
        Err(Error::Unsupported(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_name_is_taken_only_from_a_plain_collection() {
    let (db, commits) = adopted("plain").await;
    let settings = db.settings(no_waiting());
    let postponed = Rebuild { postpone: true, ..by(CutOverMode::Rename) };
    statefold::rebuild(&settings, &squidex(), postponed).await.unwrap();
    let made = [
        (None, "isn't there"),
        (Some(doc! { "viewOn": "Events2", "pipeline": [] }), "is a view"),
        (Some(doc! { "timeseries": { "timeField": "t" } }), "is a time series"),
        (Some(doc! { "capped": true, "size": 1 << 20 }), "is capped"),
        (Some(doc! { "collation": { "locale": "de" } }), "has a collation"),
        (Some(doc! { "validator": { "_id": { "$type": "string" } } }), "has a validator"),
    ];
    for (options, said) in made {
        db.collection("States_Assets2").drop().await.unwrap();
        if let Some(options) = options {
            let mut command = doc! { "create": "States_Assets2" };
            command.extend(options);
            db.db.run_command(command).await.unwrap();
        }
        let reason = refused(&db, by(CutOverMode::Rename)).await;
        assert!(reason.contains("States_Assets2") && reason.contains(said), "{said}: {reason}");
        assert!(!db.collections().await.contains(&"States_Assets2__g2".to_owned()));
        db.assert_unlocked().await;
    }
    // The build is kept, and takes the name once it may.
    db.collection("States_Assets2").drop().await.unwrap();
    insert_snapshots(&db, &commits).await;
    let report = statefold::cutover(&settings, &squidex(), by(CutOverMode::Rename)).await.unwrap();
    assert_eq!(report.projections[0].collections, ["States_Assets2"]);
    assert_same(&db.read("States_Assets2").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn indexes_that_the_application_has_beyond_ours_are_there_afterwards() {
    let (db, commits) = adopted("carried").await;
    let snapshots = db.collection("States_Assets2");
    let partial = IndexOptions::builder()
        .name("by_hand".to_owned())
        .unique(true)
        .partial_filter_expression(doc! { "slug": { "$exists": true } })
        .build();
    let unique = IndexModel::builder().keys(doc! { "_id": 1, "ai": -1 }).options(partial).build();
    snapshots.create_indexes([index("app", doc! { "fn": 1, "ai": 1 }), unique]).await.unwrap();
    let settings = db.settings(no_waiting());
    statefold::rebuild(&settings, &squidex(), by(CutOverMode::Rename)).await.unwrap();
    let indexes = async || -> Vec<IndexModel> {
        db.collection("States_Assets2").list_indexes().await.unwrap().try_collect().await.unwrap()
    };
    let found = indexes().await;
    let named = |name: &str| {
        found.iter().find(|one| one.options.as_ref().unwrap().name.as_deref() == Some(name)).unwrap()
    };
    assert_eq!(named("app").keys, doc! { "fn": 1, "ai": 1 });
    let by_hand = named("by_hand").options.clone().unwrap();
    assert!(by_hand.unique == Some(true) && by_hand.partial_filter_expression.is_some());
    // Those of the projection as well.
    assert!(found.len() > 3, "{found:?}");
    assert_same(&db.read("States_Assets2").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn an_old_copy_with_other_indexes_goes_only_if_it_is_ours() {
    let (db, commits) = adopted("old_copy").await;
    let settings = db.settings(no_waiting());
    // Under the same name another index: a copy could not have both.
    db.collection("States_Assets2").create_index(index("app", doc! { "ai": 1 })).await.unwrap();
    db.collection("States_Assets2__g2").create_index(index("app", doc! { "fn": 1 })).await.unwrap();
    db.collection("States_Assets2__g2").insert_one(doc! { "_id": "old" }).await.unwrap();
    let postponed = Rebuild { postpone: true, ..by(CutOverMode::Rename) };
    statefold::rebuild(&settings, &squidex(), postponed).await.unwrap();
    let reason = refused(&db, by(CutOverMode::Rename)).await;
    assert!(reason.contains("db.States_Assets2__g2.drop()"), "{reason}");
    assert!(db.one("States_Assets2__g2", "old").await.is_some());

    let former = doc! { "Generation": 1, "Collections": ["States_Assets2__g2"], "ProjectionVersion": 1 };
    let named = doc! { "$push": { "Generations.Assets.Previous": former } };
    db.collection("Migration").update_one(doc! { "_id": "Statefold" }, named).await.unwrap();
    statefold::cutover(&settings, &squidex(), by(CutOverMode::Rename)).await.unwrap();
    let copy = db.collection("States_Assets2__g2");
    assert_eq!(copy.list_index_names().await.unwrap(), ["_id_", "app"]);
    assert_same(&db.read("States_Assets2__g2").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn a_collection_that_has_the_name_of_the_copy_is_left_alone() {
    let (db, _) = adopted("foreign_copy").await;
    let settings = db.settings(no_waiting());
    db.collection("States_Assets2__g2").insert_one(doc! { "_id": "mine" }).await.unwrap();
    // Said before anything is built.
    let error = statefold::rebuild(&settings, &squidex(), by(CutOverMode::Rename)).await.unwrap_err();
    assert!(error.to_string().contains("db.States_Assets2__g2.drop()"), "{error}");
    assert_eq!(db.read("Statefold_Builds").await.len(), 1);
    let postponed = Rebuild { postpone: true, ..by(CutOverMode::Rename) };
    statefold::rebuild(&settings, &squidex(), postponed).await.unwrap();
    let reason = refused(&db, by(CutOverMode::Rename)).await;
    assert!(reason.contains("statefold didn't make"), "{reason}");
    assert_eq!(db.read("States_Assets2__g2").await.len(), 1);
    assert_eq!(db.pointer("Assets").await.unwrap().get_str("Collection").unwrap(), "States_Assets2");
}

#[tokio::test]
async fn pre_images_go_along_and_an_index_that_would_be_lost_is_named() {
    let (db, commits) = adopted("pre_images").await;
    let images = doc! { "collMod": "States_Assets2", "changeStreamPreAndPostImages": { "enabled": true } };
    db.db.run_command(images).await.unwrap();
    let unique = IndexOptions::builder().name("_ai_1_fh_1".to_owned()).unique(true).build();
    let unique = IndexModel::builder().keys(doc! { "_ai": 1, "fh": 1, "_id": 1 }).options(unique).build();
    db.collection("States_Assets2").create_index(unique).await.unwrap();
    let settings = db.settings(no_waiting());
    let before = db.db.list_collection_names().await.unwrap().len();
    let early = statefold::rebuild(&settings, &squidex(), by(CutOverMode::Rename)).await.unwrap_err();
    assert!(early.to_string().contains("dropIndex(\"_ai_1_fh_1\")"), "{early}");
    assert_eq!(db.db.list_collection_names().await.unwrap().len(), before, "something was built first");
    let postponed = Rebuild { postpone: true, ..by(CutOverMode::Rename) };
    statefold::rebuild(&settings, &squidex(), postponed).await.unwrap();
    let reason = refused(&db, by(CutOverMode::Rename)).await;
    assert!(reason.contains("dropIndex(\"_ai_1_fh_1\")"), "{reason}");

    db.collection("States_Assets2").drop_index("_ai_1_fh_1").await.unwrap();
    statefold::cutover(&settings, &squidex(), by(CutOverMode::Rename)).await.unwrap();
    assert_same(&db.read("States_Assets2").await, &oracle::assets(&commits));
    for name in ["States_Assets2", "States_Assets2__g2"] {
        let listed = doc! { "listCollections": 1, "filter": { "name": name } };
        let reply = db.db.run_command(listed).await.unwrap();
        let batch = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
        let options = batch[0].as_document().unwrap().get_document("options").unwrap();
        let images = options.get_document("changeStreamPreAndPostImages").unwrap();
        assert!(images.get_bool("enabled").unwrap(), "{name}: {options}");
    }
}

#[tokio::test]
async fn a_view_of_something_else_is_not_pointed_elsewhere() {
    let db = Db::new("other_view").await;
    let commits = generated(600, 37);
    db.write(&commits).await;
    let view = |on: &str| doc! { "create": "States_Assets", "viewOn": on, "pipeline": [] };
    db.db.run_command(view("Reports")).await.unwrap();
    let settings = db.settings(no_waiting());
    let error = statefold::rebuild(&settings, &squidex(), by(CutOverMode::View)).await.unwrap_err();
    assert!(error.to_string().contains("a view that statefold didn't make"), "{error}");
    assert_eq!(db.pointer("Assets").await, None);
    let on = async || -> Option<String> {
        let filter = doc! { "name": "States_Assets" };
        let mut all: Vec<_> =
            db.db.list_collections().filter(filter).await.unwrap().try_collect().await.unwrap();
        all.pop().and_then(|view| view.options.view_on)
    };
    assert_eq!(on().await.as_deref(), Some("Reports"));

    // One of a generation that statefold built is as good as its own.
    db.collection("States_Assets").drop().await.unwrap();
    statefold::rebuild(&settings, &squidex(), by(CutOverMode::Pointer)).await.unwrap();
    db.db.run_command(view("States_Assets3")).await.unwrap();
    statefold::rebuild(&settings, &squidex(), by(CutOverMode::View)).await.unwrap();
    assert_eq!(on().await.as_deref(), Some("States_Assets4"));
    assert_same(&db.read("States_Assets").await, &oracle::assets(&commits));
}
