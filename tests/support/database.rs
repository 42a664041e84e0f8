//! A database for each test, and what tests do with it.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::{Client, Collection, Database, IndexModel, options::IndexOptions};
use statefold::{
    Fencing, LeaseSettings, Rebuild, RebuildReport, Result, Settings, Tuning, projections::Registry,
};

use super::server;

/// Documents of a collection by their ids, in the order of the ids.
pub(crate) type Documents = BTreeMap<String, Document>;

/// A database that is dropped at the end.
pub(crate) struct Db {
    pub(crate) db: Database,
    pub(crate) name: String,
    /// `appName` of the engine under test, so that fail points hit nobody else.
    pub(crate) app: String,
    /// How the engine leads and waits.
    pub(crate) lease: LeaseSettings,
    /// How long the engine looks for its server.
    pub(crate) selection_ms: u32,
    uri: String,
}

/// Two projections of Squidex, which most tests build.
pub(crate) fn squidex() -> Registry {
    let names = ["Assets", "AssetFolders"].map(str::to_owned);
    statefold::squidex::registry().only(&names).unwrap()
}

/// Tuning with small batches, so that small stores have several.
pub(crate) fn no_waiting() -> Tuning {
    Tuning { threads: 2, readers: 2, batch_commits: 50, batch_docs: 20, ..Tuning::default() }
}

/// The same, with a fence at the cut-over.
pub(crate) fn behind_a_fence() -> Tuning {
    Tuning { fence: Some(Fencing::Short), ..no_waiting() }
}

/// A lease that is looked at often, and a lock that is waited for only for a moment.
fn lease() -> LeaseSettings {
    let short = Duration::from_millis(200);
    LeaseSettings { poll: short / 2, wait_limit: Some(short), ..LeaseSettings::default() }
}

impl Db {
    /// A database of the shared server.
    pub(crate) async fn new(test: &str) -> Self {
        Self::at(&server::shared(), test).await
    }

    /// A database of a server.
    pub(crate) async fn at(uri: &str, test: &str) -> Self {
        let name = format!("it_{test}_{}", bson::oid::ObjectId::new().to_hex());
        let db = Client::with_uri_str(uri).await.unwrap().database(&name);
        Self {
            db,
            app: format!("engine-{name}"),
            name,
            lease: lease(),
            selection_ms: 5000,
            uri: uri.to_owned(),
        }
    }

    /// Where the engine finds this database.
    pub(crate) fn engine_uri(&self) -> String {
        let separator = if self.uri.contains('?') { '&' } else { '?' };
        let options = format!("appName={}&serverSelectionTimeoutMS={}", self.app, self.selection_ms);
        format!("{}{separator}{options}", self.uri)
    }

    /// Settings of the engine for this database.
    pub(crate) fn settings(&self, tuning: Tuning) -> Settings {
        let settings = Settings::new(self.engine_uri(), &self.name).unwrap().with_tuning(tuning).unwrap();
        settings.with_lease(self.lease.clone()).unwrap()
    }

    pub(crate) fn collection(&self, name: &str) -> Collection<Document> {
        self.db.collection(name)
    }

    /// Writes commits into an event store with the indexes of Squidex.
    pub(crate) async fn write(&self, commits: &[Document]) {
        let index = |keys: Document, unique: bool| {
            let options = IndexOptions::builder().unique(unique.then_some(true)).build();
            IndexModel::builder().keys(keys).options(options).build()
        };
        let indexes = [
            index(doc! { "EventStream": 1, "EventStreamOffset": -1 }, true),
            index(doc! { "EventStream": 1, "Timestamp": 1 }, false),
            index(doc! { "Timestamp": -1, "EventStream": 1 }, false),
        ];
        self.collection("Events2").create_indexes(indexes).await.unwrap();
        self.append(commits).await;
    }

    /// Writes more commits.
    pub(crate) async fn append(&self, commits: &[Document]) {
        if !commits.is_empty() {
            self.collection("Events2").insert_many(commits).await.unwrap();
        }
    }

    /// Rebuilds these projections, all if none is named.
    pub(crate) async fn rebuild(
        &self,
        registry: &Registry,
        names: &[&str],
        tuning: Tuning,
    ) -> Result<RebuildReport> {
        statefold::rebuild(&self.settings(tuning), registry, Rebuild::of(names.iter().copied())).await
    }

    /// All documents of a collection.
    pub(crate) async fn read(&self, collection: &str) -> Documents {
        let all: Vec<Document> =
            self.collection(collection).find(doc! {}).await.unwrap().try_collect().await.unwrap();
        all.into_iter().map(|document| (document.get_str("_id").unwrap().to_owned(), document)).collect()
    }

    /// One document.
    pub(crate) async fn one(&self, collection: &str, id: &str) -> Option<Document> {
        self.collection(collection).find_one(doc! { "_id": id }).await.unwrap()
    }

    /// Names of all collections, in order.
    pub(crate) async fn collections(&self) -> Vec<String> {
        let mut names = self.db.list_collection_names().await.unwrap();
        names.sort();
        names
    }

    /// The staging collection of a target, if there is exactly one.
    pub(crate) async fn staging(&self, target: &str) -> Option<String> {
        let names = self.collections().await;
        let mut staging = names.into_iter().filter(|name| name.starts_with(target) && name.contains("__t"));
        staging.next().filter(|_| staging.next().is_none())
    }

    /// Hash over all documents of a collection, by the server.
    pub(crate) async fn hash(&self, collection: &str) -> String {
        let reply = self.db.run_command(doc! { "dbHash": 1, "collections": [collection] }).await.unwrap();
        reply.get_document("collections").unwrap().get_str(collection).unwrap().to_owned()
    }

    /// The pointer of a projection in the control document.
    pub(crate) async fn pointer(&self, projection: &str) -> Option<Document> {
        let control = self.one("Migration", "Statefold").await?;
        control.get_document("Generations").ok()?.get_document(projection).ok().cloned()
    }

    /// Asserts that nothing was published and the lock is free.
    pub(crate) async fn assert_nothing_published(&self) {
        for (projection, collection) in
            [("Assets", "States_Assets3"), ("AssetFolders", "States_AssetFolders3")]
        {
            assert_eq!(self.pointer(projection).await, None);
            assert!(!self.collections().await.iter().any(|name| name == collection), "{collection}");
        }
        self.assert_unlocked().await;
    }

    /// Asserts that nobody leads, and that the version document, if there is one, is unlocked and
    /// unsigned.
    pub(crate) async fn assert_unlocked(&self) {
        let control = self.one("Migration", "Statefold").await;
        assert!(control.is_none_or(|control| !control.contains_key("Lease")));
        let Some(version) = self.one("Migration", "Default").await else { return };
        assert_eq!(version.get_bool("IsLocked").ok(), Some(false), "{version}");
        assert!(!version.contains_key("LockedBy"), "{version}");
    }
}

/// Asserts that two sets of documents are equal, elements in the same order, and shows the first
/// that is not.
pub(crate) fn assert_same(found: &Documents, expected: &Documents) {
    let ids = expected.keys().chain(found.keys());
    for id in ids {
        let (found, expected) = (found.get(id), expected.get(id));
        // Equality of documents leaves the order of elements out; their text doesn't.
        let text = |document: Option<&Document>| document.map(|document| format!("{document:?}"));
        assert_eq!(text(found), text(expected), "{id}");
    }
}

/// Waits until a condition holds, for at most a minute.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        let (uri, name) = (self.uri.clone(), self.name.clone());
        // Best effort, on a runtime of its own: this one may be about to end.
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let separator = if uri.contains('?') { '&' } else { '?' };
            let uri = format!("{uri}{separator}serverSelectionTimeoutMS=1000");
            runtime.block_on(async { Client::with_uri_str(uri).await?.database(&name).drop().await })
        });
        drop(cleaner.join());
    }
}
