//! Contents of Squidex that are also in databases of single apps, a collection for each schema.

use std::path::Path;

use bson::doc;
use mongodb::Database;
use statefold::projections::Registry;
use statefold::squidex::{SquidexOptions, registry_with};
use statefold::{Adopt, Cleanup, CleanupSettings, CutOverMode, Rebuild, Settings, Verification};

use crate::squidex_sets::{comparable, documents, restore, restore_as};
use crate::support::database::no_waiting;
use crate::support::squidex_data::{OfApp, of_apps};
use crate::support::{Db, OwnServer, squidex_data};

const THEIRS: [&str; 2] = ["States_Contents_All3", "States_Contents_Published3"];

/// Squidex with such databases.
struct Squidex {
    _server: OwnServer,
    db: Db,
    of_apps: Vec<OfApp>,
}

impl Squidex {
    async fn restored(test: &str, directory: &Path) -> Self {
        let server = OwnServer::start(test);
        let mut db = Db::at(&server.uri, test).await;
        // With the id of an app behind it, the usual name is too long.
        db.name = "squidex".to_owned();
        db.db = db.db.client().database(&db.name);
        db.write(&[]).await;
        restore(&db.db, directory, "dedicated", "Events2").await;
        Self { _server: server, db, of_apps: of_apps(directory) }
    }

    fn settings(&self) -> Settings {
        self.db.settings(no_waiting())
    }

    async fn registry(&self) -> Registry {
        let dedicated = statefold::dedicated_contents(&self.settings(), None).await.unwrap();
        registry_with(SquidexOptions { dedicated, ..SquidexOptions::default() })
    }

    fn database(&self, file: &OfApp) -> Database {
        self.db.db.client().database(&format!("squidex{}", file.suffix))
    }

    /// Compares what single apps have with what Squidex wrote, in the collections of this generation.
    async fn assert_as_written(&self, generation: char) {
        assert_eq!(self.of_apps.len(), 32);
        for file in &self.of_apps {
            let name = file.collection.replacen('3', &generation.to_string(), 1);
            let found = documents(&self.database(file), &name).await;
            let expected = squidex_data::documents(&file.path);
            assert_eq!(found.len(), expected.len(), "{name}");
            for document in expected {
                let id = document.get_str("_id").unwrap();
                assert!(comparable(&found[id]) == comparable(&document), "{name}: {id}");
            }
        }
    }

    async fn collections_of_apps(&self) -> Vec<String> {
        let mut all = Vec::new();
        for file in &self.of_apps {
            if file.collection.starts_with(THEIRS[0]) {
                all.extend(self.database(file).list_collection_names().await.unwrap());
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[tokio::test]
async fn they_are_built_from_the_events_alone() {
    let Some(directory) = squidex_data::directory() else { return };
    let squidex = Squidex::restored("dedicated", &directory).await;
    let registry = squidex.registry().await;
    let report = squidex.db.rebuild(&registry, &[], no_waiting()).await.unwrap();
    let contents = report.projections.iter().find(|built| built.projection == "Contents").unwrap();
    assert_eq!((contents.collections.len(), contents.failed_streams), (34, 0));
    squidex.assert_as_written('4').await;
    let file = &squidex.of_apps[0];
    let collection =
        squidex.database(file).collection::<bson::Document>(&file.collection.replacen('3', "4", 1));
    let mut indexes = collection.list_index_names().await.unwrap();
    indexes.sort_unstable();
    assert_eq!(indexes, ["_id_", "_si_1_dl_1_mt_-1", "mt_-1_id_1_dl_1_rf_1"]);
    let equal = statefold::verify(&squidex.settings(), &registry, Verification::default()).await.unwrap();
    assert!(equal.is_equal(), "{equal:?}");
    // The next registry has the same collections in the same order.
    let (now, then) = (squidex.registry().await, registry);
    assert_eq!(now.get("Contents").unwrap().spec(), then.get("Contents").unwrap().spec());
}

#[tokio::test]
async fn they_are_switched_by_name_together_and_back() {
    let Some(directory) = squidex_data::directory() else { return };
    let squidex = Squidex::restored("dedicated_rename", &directory).await;
    for name in ["States_Apps", "States_Schemas"].iter().chain(&THEIRS) {
        restore(&squidex.db.db, &directory, "dedicated", name).await;
    }
    for file in &squidex.of_apps {
        restore_as(&squidex.database(file), squidex_data::documents(&file.path), &file.collection).await;
    }
    let before = squidex.collections_of_apps().await;
    let (settings, registry) = (squidex.settings(), squidex.registry().await);
    for (projection, collections) in
        [("Apps", &["States_Apps"][..]), ("Schemas", &["States_Schemas"]), ("Contents", &THEIRS)]
    {
        let collections = collections.iter().map(|name| (*name).to_owned()).collect();
        let request =
            Adopt { projection: projection.to_owned(), collections, dry_run: false, ..Adopt::default() };
        let adopted = statefold::adopt(&settings, &registry, request).await.unwrap();
        assert!(adopted.adopted, "{adopted:?}");
    }
    // Of a schema that was added since, Squidex writes the collection itself.
    let of_app = squidex.database(&squidex.of_apps[0]);
    of_app.create_collection("States_Contents_All3_new").await.unwrap();
    let rename = Rebuild { mode: Some(CutOverMode::Rename), ..Rebuild::of(["Contents"]) };
    let registry = squidex.registry().await;
    let report = statefold::rebuild(&settings, &registry, rename).await.unwrap();
    assert_eq!((report.projections[0].generation, report.projections[0].collections.len()), (4, 34));
    squidex.assert_as_written('3').await;
    let contents = || Verification { projections: vec!["Contents".to_owned()], ..Verification::default() };
    assert!(statefold::verify(&settings, &registry, contents()).await.unwrap().is_equal());

    // An app is deleted for good: the generation has its collections still.
    let file = &squidex.of_apps[0];
    let app = file.suffix.trim_start_matches('_').to_owned();
    let of_it = doc! { "EventStream": { "$regex": format!("^[a-zA-Z]+-{app}") } };
    squidex.db.collection("Events2").delete_many(of_it).await.unwrap();
    let deleted = squidex.registry().await;
    assert_eq!(deleted.get("Contents").unwrap().spec(), registry.get("Contents").unwrap().spec());
    let events = squidex_data::collection(&directory, "dedicated", "Events2");
    let events = events.into_iter().filter(|commit| {
        let stream = commit.get_str("EventStream").unwrap();
        stream.split_once('-').is_some_and(|(_, key)| key.starts_with(&app))
    });
    let events: Vec<_> = events.collect();
    squidex.db.db.collection::<bson::RawDocumentBuf>("Events2").insert_many(events).await.unwrap();

    let copies = |names: &[String], copy: &str| names.iter().filter(|name| name.ends_with(copy)).count();
    assert_eq!(copies(&squidex.collections_of_apps().await, "__g3"), 32);
    statefold::rollback(&settings, &registry, Rebuild::of(["Contents"])).await.unwrap();
    squidex.assert_as_written('3').await;
    assert_eq!(copies(&squidex.collections_of_apps().await, "__g4"), 32);
    let now = CleanupSettings { keep: 0, ..CleanupSettings::default() };
    let request = Cleanup { dry_run: false, ..Cleanup::default() };
    // It finds them without the setting, too.
    let default = statefold::squidex::registry();
    statefold::cleanup(&settings.clone().with_cleanup(now), &default, request).await.unwrap();
    let mut with_new = before.clone();
    with_new.push("States_Contents_All3_new".to_owned());
    with_new.sort_unstable();
    assert_eq!(squidex.collections_of_apps().await, with_new);
    squidex.assert_as_written('3').await;
}
