//! Servers: the one that all tests share, and private ones for tests that harm theirs.

use std::path::Path;
use std::process::{Command, Stdio};

use bson::{Document, doc};
use mongodb::Client;

/// Runs `scripts/mongod` and returns what it prints.
fn script(arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/mongod");
    let output = Command::new(path).args(arguments).stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "scripts/mongod {arguments:?}: {err}");
    out.trim().to_owned()
}

/// URI of the shared server; it is started for the test runner and ends with it, unless
/// `MONGODB_URI` names another one.
pub(crate) fn shared() -> String {
    std::env::var("MONGODB_URI").unwrap_or_else(|_| {
        let runner = std::os::unix::process::parent_id().to_string();
        script(&["start", "--name", "tests", "--with-parent", &runner])
    })
}

/// A server of one test, gone with its data when this is dropped.
pub(crate) struct OwnServer {
    name: String,
    start: Vec<String>,
    pub(crate) uri: String,
}

impl OwnServer {
    /// Starts a replica set of one node.
    pub(crate) fn start(test: &str) -> Self {
        Self::start_with(test, &[])
    }

    /// Starts a server with more arguments.
    pub(crate) fn start_with(test: &str, more: &[&str]) -> Self {
        let name = format!("own-{test}-{}", std::process::id());
        let me = std::process::id().to_string();
        let fixed = ["start", "--name", &name, "--cache-gb", "0.25", "--with-parent", &me];
        let start: Vec<String> = fixed.iter().chain(more).map(|text| (*text).to_owned()).collect();
        let arguments: Vec<&str> = start.iter().map(String::as_str).collect();
        let uri = script(&arguments);
        Self { name, start, uri }
    }

    /// Ends the server with SIGKILL and waits until it is gone.
    pub(crate) async fn kill(&self) {
        let client = Client::with_uri_str(&self.uri).await.unwrap();
        let status = client.database("admin").run_command(doc! { "serverStatus": 1 }).await.unwrap();
        let pid = status.get_i64("pid").unwrap();
        let running = format!("/proc/{pid}/exe");
        assert!(std::fs::read_link(&running).unwrap().ends_with("mongod"));
        assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
        super::database::eventually("the server's end", || async { std::fs::read_link(&running).is_err() })
            .await;
    }

    /// Starts the killed server again on its data.
    pub(crate) fn restart(&self) {
        let arguments: Vec<&str> = self.start.iter().map(String::as_str).collect();
        assert_eq!(script(&arguments), self.uri);
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        script(&["stop", "--name", &self.name, "--purge"]);
    }
}

/// Makes commands of the clients with this `appName` fail, as `failCommand` of the server does.
pub(crate) async fn fail_command(uri: &str, app: &str, mode: Document, mut data: Document) {
    let client = Client::with_uri_str(uri).await.unwrap();
    data.insert("appName", app);
    let command = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
    client.database("admin").run_command(command).await.unwrap();
}

/// Waits until a command was stopped or failed since then, which [`stop_failing`] returned.
pub(crate) async fn command_was_hit(uri: &str, since: i64) {
    let client = Client::with_uri_str(uri).await.unwrap();
    let command = doc! { "waitForFailPoint": "failCommand", "timesEntered": since + 1, "maxTimeMS": 60_000 };
    client.database("admin").run_command(command).await.unwrap();
}

/// Lets all commands pass again; returns how often the fail point was hit.
pub(crate) async fn stop_failing(uri: &str) -> i64 {
    let client = Client::with_uri_str(uri).await.unwrap();
    let command = doc! { "configureFailPoint": "failCommand", "mode": "off" };
    let reply = client.database("admin").run_command(command).await.unwrap();
    let count = reply.get("count").unwrap();
    count.as_i64().or_else(|| count.as_i32().map(i64::from)).unwrap()
}

/// Makes inserts into a collection wait in the server, but for the first few. (The server divides
/// large ones, and counts each part.)
pub(crate) async fn hold_inserts(uri: &str, namespace: &str, but: i32) {
    let client = Client::with_uri_str(uri).await.unwrap();
    let command = doc! {
        "configureFailPoint": "hangDuringBatchInsert", "mode": { "skip": but }, "data": { "nss": namespace },
    };
    client.database("admin").run_command(command).await.unwrap();
}

/// Waits until an insert waits in the server.
pub(crate) async fn insert_is_held(uri: &str) {
    let admin = Client::with_uri_str(uri).await.unwrap().database("admin");
    super::database::eventually("an insert that waits", || async {
        let command = doc! { "currentOp": 1, "failpointMsg": "hangDuringBatchInsert" };
        let reply = admin.run_command(command).await.unwrap();
        !reply.get_array("inprog").unwrap().is_empty()
    })
    .await;
}

/// Lets them go on.
pub(crate) async fn let_inserts_go(uri: &str) {
    let client = Client::with_uri_str(uri).await.unwrap();
    let command = doc! { "configureFailPoint": "hangDuringBatchInsert", "mode": "off" };
    client.database("admin").run_command(command).await.unwrap();
}
