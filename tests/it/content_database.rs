//! Contents of Squidex in a database of their own, as its shipped settings have it.

use std::path::Path;

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Database;
use statefold::squidex::{SquidexOptions, registry_with};
use statefold::{Adopt, Cleanup, CleanupSettings, CutOverMode, Follow, Rebuild, Verification};

use crate::squidex_sets::{comparable, documents, restore};
use crate::support::commits::next_offset;
use crate::support::database::no_waiting;
use crate::support::follow::{end, works};
use crate::support::{Db, OwnServer, squidex_data};

const THEIRS: [&str; 2] = ["States_Contents_All3", "States_Contents_Published3"];

/// Squidex with its contents elsewhere.
struct Squidex {
    _server: OwnServer,
    db: Db,
    contents: Database,
    options: SquidexOptions,
}

impl Squidex {
    async fn restored(test: &str, directory: &Path) -> Self {
        let server = OwnServer::start(test);
        let db = Db::at(&server.uri, test).await;
        db.write(&[]).await;
        for name in ["Events2", "States_Apps", "States_Schemas"] {
            restore(&db.db, directory, "plain", name).await;
        }
        let content_database = format!("{}Content", db.name);
        let contents = db.db.client().database(&content_database);
        for name in THEIRS {
            restore(&contents, directory, "plain", name).await;
        }
        let options =
            SquidexOptions { content_database: Some(content_database), ..SquidexOptions::default() };
        Self { _server: server, db, contents, options }
    }

    async fn adopt(&self, projection: &str, collections: &[String]) {
        let (projection, collections) = (projection.to_owned(), collections.to_vec());
        let request = Adopt { projection, collections, dry_run: false, ..Adopt::default() };
        let (settings, registry) = (self.db.settings(no_waiting()), registry_with(self.options.clone()));
        let adopted = statefold::adopt(&settings, &registry, request).await.unwrap();
        assert!(adopted.adopted, "{adopted:?}");
    }

    /// Compares what has Squidex's names with what it wrote.
    async fn assert_as_written(&self, directory: &Path) {
        for name in THEIRS {
            let found = documents(&self.contents, name).await;
            let expected = squidex_data::collection(directory, "plain", name);
            assert_eq!(found.len(), expected.len(), "{name}");
            for document in expected {
                let id = document.get_str("_id").unwrap();
                assert!(comparable(&found[id]) == comparable(&document), "{name}: {id}");
            }
        }
    }
}

#[tokio::test]
async fn they_are_adopted_rebuilt_switched_by_name_and_cleaned_up_where_they_are() {
    let Some(directory) = squidex_data::directory() else { return };
    let squidex = Squidex::restored("content_database", &directory).await;
    let (db, registry) = (&squidex.db, registry_with(squidex.options.clone()));
    let settings = db.settings(no_waiting());
    squidex.adopt("Apps", &["States_Apps".into()]).await;
    squidex.adopt("Schemas", &["States_Schemas".into()]).await;
    // One with its database, as users may give it.
    let all = format!("{}.{}", squidex.contents.name(), THEIRS[0]);
    squidex.adopt("Contents", &[all, THEIRS[1].into()]).await;
    let rename = Rebuild { mode: Some(CutOverMode::Rename), ..Rebuild::of(["Contents"]) };
    let report = statefold::rebuild(&settings, &registry, rename).await.unwrap();
    assert_eq!((report.projections[0].generation, report.projections[0].failed_streams), (4, 0));
    squidex.assert_as_written(&directory).await;
    let equal = statefold::verify(
        &settings,
        &registry,
        Verification { projections: vec!["Contents".to_owned()], ..Verification::default() },
    )
    .await
    .unwrap();
    assert!(equal.is_equal(), "{equal:?}");

    let back = Rebuild::of(["Contents"]);
    statefold::rollback(&settings, &registry, back).await.unwrap();
    squidex.assert_as_written(&directory).await;
    let mut there = squidex.contents.list_collection_names().await.unwrap();
    there.sort_unstable();
    assert_eq!(there, [THEIRS[0], "States_Contents_All3__g4", THEIRS[1], "States_Contents_Published3__g4"]);
    let now = CleanupSettings { keep: 0, ..CleanupSettings::default() };
    let request = Cleanup { dry_run: false, ..Cleanup::default() };
    statefold::cleanup(&settings.with_cleanup(now), &registry, request).await.unwrap();
    let mut there = squidex.contents.list_collection_names().await.unwrap();
    there.sort_unstable();
    assert_eq!(there, THEIRS);
    assert!(!db.collections().await.iter().any(|name| name.contains("Contents")));
}

#[tokio::test]
async fn without_the_setting_nothing_is_built_and_it_is_named() {
    let Some(directory) = squidex_data::directory() else { return };
    let squidex = Squidex::restored("content_elsewhere", &directory).await;
    let (db, before) = (&squidex.db, squidex.db.collections().await);
    let default = registry_with(SquidexOptions::default());
    let refused = db.rebuild(&default, &[], no_waiting()).await.unwrap_err().to_string();
    assert!(refused.contains("contentDatabase of Squidex"), "{refused}");
    assert!(refused.contains(&format!("set content_database to {}", squidex.contents.name())), "{refused}");
    assert_eq!(db.collections().await, before);
    // Those of another Squidex.
    let here = SquidexOptions { content_database: Some(db.name.clone()), ..SquidexOptions::default() };
    db.rebuild(&registry_with(here), &[], no_waiting()).await.unwrap();
    assert!(db.collections().await.contains(&THEIRS[0].replace('3', "4")));
}

#[tokio::test]
async fn they_are_followed_where_they_are() {
    let Some(directory) = squidex_data::directory() else { return };
    let squidex = Squidex::restored("content_follow", &directory).await;
    let (db, registry) = (&squidex.db, registry_with(squidex.options.clone()));
    db.rebuild(&registry, &["Apps", "Schemas", "Contents"], no_waiting()).await.unwrap();
    let following = statefold::follow(&db.settings(no_waiting()), &registry, Follow::default());
    works(&following).await;
    let commits = db.collection("Events2").find(doc! {}).await.unwrap();
    let commits: Vec<Document> = commits.try_collect().await.unwrap();
    let stream = commits.iter().find_map(|commit| {
        let stream = commit.get_str("EventStream").unwrap();
        (stream.starts_with("content-") && !stream.ends_with("--deleted")).then_some(stream)
    });
    let stream = stream.unwrap();
    let id = stream.strip_prefix("content-").unwrap();
    let found = squidex.contents.collection::<Document>("States_Contents_All4");
    let before = found.find_one(doc! { "_id": id }).await.unwrap().unwrap();
    let payload = serde_json::json!({ "permanent": false, "actor": "subject:someone", "fromRule": false });
    let event = ("ContentDeletedEvent", payload.to_string());
    let offset = next_offset(&commits, stream);
    db.append(&[crate::support::commit(stream, offset, &[(event.0, &event.1)])]).await;
    crate::support::database::eventually("the deleted content", || async {
        let now = found.find_one(doc! { "_id": id }).await.unwrap().unwrap();
        now.get("vs") != before.get("vs")
    })
    .await;
    end(following).await;
    // It is found where it is whatever the settings say, and no second one is built elsewhere.
    for content_database in [None, Some(format!("{}Other", db.name))] {
        let other = registry_with(SquidexOptions { content_database, ..SquidexOptions::default() });
        let refused = db.rebuild(&other, &["Contents"], no_waiting()).await.unwrap_err().to_string();
        assert!(
            refused.contains("Contents4 is in the database") && refused.contains("content_database"),
            "{refused}"
        );
        let status = statefold::status(&db.settings(no_waiting()), &other).await.unwrap();
        let contents = status.projections.iter().find(|status| status.projection == "Contents").unwrap();
        assert_eq!(contents.state, statefold::Standing::UpToDate);
    }
}
