//! A database per test, and the program under test on it.

use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use assert_cmd::Command;
use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::{Client, Collection, Database, IndexModel};
use serde_json::Value;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The server of this test run: `$MONGODB_URI`, else a shared throw-away one.
pub(crate) fn uri() -> String {
    if let Ok(uri) = std::env::var("MONGODB_URI") {
        return uri;
    }
    let parent = std::os::unix::process::parent_id().to_string();
    script(&["start", "--name", "tests", "--with-parent", &parent])
}

/// A server of one test, gone with its data when this is dropped.
pub(crate) struct OwnServer {
    name: String,
    pub(crate) uri: String,
}

impl OwnServer {
    /// Starts a replica set of one node, with more arguments.
    pub(crate) fn start(test: &str, more: &[&str]) -> Self {
        let pid = std::process::id().to_string();
        let name = format!("own-{test}-{pid}");
        let fixed = ["start", "--name", &name, "--cache-gb", "0.25", "--with-parent", &pid];
        Self { uri: script(&[&fixed, more].concat()), name }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        script(&["stop", "--name", &self.name, "--purge"]);
    }
}

fn script(arguments: &[&str]) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/mongod");
    let output =
        std::process::Command::new(path).args(arguments).stdin(std::process::Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A database of its own for one test; dropped at the end.
pub(crate) struct Db {
    pub(crate) uri: String,
    pub(crate) name: String,
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Db {
    pub(crate) fn new() -> Self {
        Self::at(uri())
    }

    pub(crate) fn at(uri: String) -> Self {
        let name = format!("cli_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let client = runtime.block_on(Client::with_uri_str(&uri)).unwrap();
        Self { uri, name, runtime, client }
    }

    /// With an event store of these commits.
    pub(crate) fn with(commits: &[Document]) -> Self {
        let db = Self::new();
        db.make_event_store(commits);
        db
    }

    /// With the events and the snapshots of another one, but nothing of statefold's.
    pub(crate) fn copy_of(other: &Self) -> Self {
        let db = Self::with(&other.read("Events2"));
        for name in other.collections().into_iter().filter(|name| name.starts_with("States_")) {
            let documents = other.read(&name);
            db.wait(async { db.collection(&name).insert_many(documents).await }).unwrap();
        }
        db
    }

    pub(crate) fn make_event_store(&self, commits: &[Document]) {
        let events = self.db().collection::<Document>("Events2");
        let keys = doc! { "EventStream": 1, "EventStreamOffset": -1 };
        self.wait(async { events.create_index(IndexModel::builder().keys(keys).build()).await }).unwrap();
        if !commits.is_empty() {
            self.wait(async { events.insert_many(commits).await }).unwrap();
        }
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Begins something that goes on beside the test.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn db(&self) -> Database {
        self.client.database(&self.name)
    }

    pub(crate) fn collection(&self, name: &str) -> Collection<Document> {
        self.db().collection(name)
    }

    /// All documents, in the order of their ids.
    pub(crate) fn read(&self, collection: &str) -> Vec<Document> {
        let all = self.collection(collection);
        self.wait(async { all.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap().try_collect().await })
            .unwrap()
    }

    pub(crate) fn collections(&self) -> Vec<String> {
        let db = self.db();
        let mut names = self.wait(async { db.list_collection_names().await }).unwrap();
        names.sort_unstable();
        names
    }

    /// The program with these arguments, on this database, in a folder without settings file.
    pub(crate) fn statefold(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.args(args).args(["--uri", &self.uri, "--database", &self.name]);
        command
    }

    /// Runs the program and checks its exit code.
    pub(crate) fn run(&self, args: &[&str], code: i32) -> Done {
        done(&mut self.statefold(args), code)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        let db = self.db();
        let _ = self.runtime.block_on(async { db.drop().await });
    }
}

/// The program without a database or any settings from outside.
pub(crate) fn program() -> Command {
    let mut command = Command::cargo_bin("statefold").unwrap();
    command.current_dir(std::env::temp_dir()).timeout(std::time::Duration::from_secs(120));
    for name in
        ["MONGODB_URI", "STATEFOLD_DATABASE", "STATEFOLD_CONFIG", "STATEFOLD_LISTEN", "STATEFOLD_MAX_ERRORS"]
    {
        command.env_remove(name);
    }
    command
}

/// What a program printed.
pub(crate) struct Done {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

pub(crate) fn done(command: &mut Command, code: i32) -> Done {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let done = Done { stdout: text(stdout), stderr: text(stderr) };
    assert_eq!(status.code(), Some(code), "stdout: {}\nstderr: {}", done.stdout, done.stderr);
    done
}

/// A commit of one asset stream.
pub(crate) fn commit(stream: &str, offset: i64, events: &[(&str, &str)]) -> Document {
    let events: Vec<Document> = events
        .iter()
        .map(|(name, payload)| {
            doc! { "Type": *name, "Payload": *payload, "Metadata": { "Timestamp": "2024-05-01T10:00:00Z" } }
        })
        .collect();
    let count = i64::try_from(events.len()).unwrap();
    doc! {
        "_id": format!("{stream}/{offset}"),
        "Timestamp": bson::Timestamp { time: 1_700_000_000, increment: 1 },
        "Events": events, "EventStreamOffset": offset, "EventsCount": count, "EventStream": stream,
    }
}

/// An asset that was created, and nothing else.
pub(crate) fn asset(id: &str) -> Document {
    let payload = format!(
        "{{\"fileName\":\"{id}.png\",\"fileHash\":\"h\",\"mimeType\":\"image/png\",\"fileSize\":10,\
         \"type\":\"Image\",\"assetId\":\"{id}\",\"appId\":\"app,name\",\"actor\":\"subject:1\"}}"
    );
    commit(&format!("asset-app--{id}"), -1, &[("AssetCreatedEventV2", &payload)])
}

/// An asset whose second event is no JSON.
pub(crate) fn broken(id: &str) -> [Document; 2] {
    [asset(id), commit(&format!("asset-app--{id}"), 0, &[("AssetMovedEvent", "{")])]
}
