//! The connection to a database: one client, with a deadline for each call.

use std::time::Duration;

use bson::{Document, Timestamp, doc};
use futures::TryStreamExt;
use mongodb::options::{Acknowledgment, ClientOptions, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Client, Collection, Database};
use statefold_projections::Layout;

use crate::config::{Settings, without_foreign, without_secrets};
use crate::error::{Error, Result};
use crate::plan::{ServerFacts, Topology};
use crate::store::connection::call::call;
use crate::store::connection::error::{classify, classify_code};
use crate::store::connection::{diagnosis, facts};

/// Time limit of server selection, unless the URI sets one.
const SELECTION: Duration = Duration::from_secs(10);

/// A connected database.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    client: Client,
    pub(in crate::store) db: Database,
    /// Version and topology of the server.
    pub(crate) facts: ServerFacts,
    /// Layout of the event store.
    pub(crate) layout: Layout,
    /// Collection and ids of the version document and the control document.
    pub(in crate::store) names: ControlNames,
    /// Name of this deployment, where it is configured or can be read.
    pub(in crate::store) deployment: Option<String>,
    /// Whether the lease of this store is the leader's; only a leader lifts fences that were left behind.
    pub(crate) leads: bool,
    /// Whether the connection is direct: all commands go to one server, whatever name it has in its replica
    /// set.
    pub(in crate::store) direct: bool,
}

/// Collection and ids of the version document and the control document.
#[derive(Debug, Clone)]
pub(in crate::store) struct ControlNames {
    pub(in crate::store) collection: String,
    pub(in crate::store) version_id: String,
    pub(in crate::store) control_id: String,
}

/// Reads a connection string. Options of other drivers are ignored; an error doesn't tell what is secret.
async fn parsed(uri: &str) -> Result<ClientOptions> {
    let (uri, ignored) = without_foreign(uri);
    if !ignored.is_empty() {
        tracing::warn!(options = ignored.join(", "), "options of the URI that statefold ignores");
    }
    ClientOptions::parse(&uri).await.map_err(|error| {
        let said = |source: &dyn std::fmt::Display| without_secrets(&source.to_string(), &uri);
        match classify("reading the URI", error) {
            Error::Unreachable { doing, source } => {
                Error::Unreachable { doing, source: said(&source).into() }
            }
            Error::Server { source, .. } => {
                Error::Config(vec![format!("the URI can't be read: {}", said(&source))])
            }
            other => Error::Config(vec![said(&other)]),
        }
    })
}

impl Store {
    /// Connects and asks the server for its facts. All writes of this client are acknowledged by a majority.
    ///
    /// # Errors
    /// [`Error::Config`] for a malformed URI, [`Error::Unreachable`], [`Error::Permission`],
    /// [`Error::Unsupported`].
    pub(crate) async fn connect(settings: &Settings, layout: &Layout) -> Result<Self> {
        let mut options = parsed(settings.uri()).await?;
        options.app_name.get_or_insert_with(|| "statefold".into());
        options.server_selection_timeout.get_or_insert(SELECTION);
        options.connect_timeout.get_or_insert(SELECTION);
        // The default of two at a time opens the connections of parallel scans too slowly.
        options.max_connecting.get_or_insert(8);
        options.max_pool_size.get_or_insert(64);
        options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).build());
        // Whatever the URI says: decisions must not rest on the stale data of a secondary.
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        options.read_concern = None;
        let direct = options.direct_connection == Some(true);
        let client =
            Client::with_options(options.clone()).map_err(|error| classify("reading the URI", error))?;
        let db = client.database(settings.database());
        let facts = match facts::facts(&db).await {
            Ok(facts) => facts,
            Err(error) => return Err(diagnosis::no_primary(&options, error).await),
        };
        match facts.refusal() {
            Some(reason) => Err(Error::Unsupported(reason)),
            None => {
                let lease = settings.lease();
                let names = ControlNames {
                    collection: lease.collection.clone(),
                    version_id: lease.version_id.clone(),
                    control_id: lease.control_id.clone(),
                };
                let deployment = match &lease.deployment {
                    Some(named) => Some(named.clone()),
                    None => facts::replica_set_id(&db).await,
                };
                Ok(Self { client, db, facts, layout: layout.clone(), names, deployment, leads: true, direct })
            }
        }
    }

    /// Checks that a majority of the members confirms writes: without one, every write of a run waits for
    /// ever.
    ///
    /// # Errors
    /// [`Error::NoMajority`] with the states of the members; the server's error.
    pub(crate) async fn check_majority(&self) -> Result<()> {
        diagnosis::check_majority(&self.db, &self.facts).await
    }

    /// The same store with the control document of `follow`, which has a lease of its own. The holder of
    /// that lease never touches a fence.
    pub(crate) fn follow_control(&self) -> Self {
        let mut store = self.clone();
        store.names.control_id.push_str(".Follow");
        store.leads = false;
        store
    }

    pub(in crate::store) fn collection(&self, name: &str) -> Collection<Document> {
        self.db.collection(name)
    }

    /// The name of the database.
    pub(crate) fn database(&self) -> &str {
        self.db.name()
    }

    /// Runs a command on the database. A write that a majority didn't confirm in time is an error.
    pub(in crate::store) async fn command(&self, doing: &str, command: Document) -> Result<Document> {
        let db = self.db.clone();
        let reply = call(doing, async move { db.run_command(command).await }).await?;
        match reply.get_document("writeConcernError") {
            Ok(error) => {
                let message = error.get_str("errmsg").unwrap_or("no reason given");
                Err(classify_code(doing, error.get_i32("code").unwrap_or(0), message))
            }
            Err(_) => Ok(reply),
        }
    }

    /// The time of the newest operation a majority may wait for; `None` on a standalone server.
    pub(crate) async fn operation_time(&self) -> Result<Option<Timestamp>> {
        let reply = self.command("asking for the operation time", doc! { "ping": 1 }).await?;
        match (self.facts.topology, reply.get_timestamp("operationTime")) {
            (Topology::Standalone, _) => Ok(None),
            (_, Ok(time)) => Ok(Some(time)),
            (_, Err(_)) => Err(Error::Unsupported("the server tells no operation time".into())),
        }
    }

    /// Names of all collections of the database, in alphabetical order.
    pub(crate) async fn collection_names(&self) -> Result<Vec<String>> {
        let db = self.db.clone();
        let mut names =
            call("listing the collections", async move { db.list_collection_names().await }).await?;
        names.sort_unstable();
        Ok(names)
    }

    /// Number of documents of a collection, from the server's statistics.
    pub(crate) async fn estimated_count(&self, name: &str) -> Result<u64> {
        let collection = self.collection(name);
        call("counting snapshots", async move { collection.estimated_document_count().await }).await
    }

    /// Names of the databases that have an event store of this layout; empty if they can't be listed.
    pub(crate) async fn databases_with_events(&self) -> Vec<String> {
        let client = self.client.clone();
        let collection = self.layout.collection.clone();
        let search = async move {
            let mut found = Vec::new();
            for name in client.list_database_names().await? {
                let filter = doc! { "name": &collection };
                let cursor = client.database(&name).list_collections().filter(filter).await?;
                if !cursor.try_collect::<Vec<_>>().await?.is_empty() {
                    found.push(name);
                }
            }
            Ok(found)
        };
        call("listing the databases", search).await.unwrap_or_else(|error| {
            tracing::debug!(error = %error.with_sources(), "the databases can't be listed");
            Vec::new()
        })
    }

    /// A collection whose name is one of these with a number and more behind it, as `States3_x`, in a
    /// database beside this one: `{database}_…`. Names of shards, staging collections and copies don't count.
    /// `None` if there is none, as far as they can be listed.
    pub(crate) async fn collection_beside(&self, stems: Vec<String>) -> Option<String> {
        let (client, ours) = (self.client.clone(), format!("{}_", self.database()));
        let search = async move {
            for name in client.list_database_names().await? {
                if !name.starts_with(&ours) {
                    continue;
                }
                let Ok(collections) = client.database(&name).list_collection_names().await else {
                    tracing::warn!(database = name, "it may have snapshots, too, but can't be looked into");
                    continue;
                };
                let is_part = |rest: &str| {
                    let (number, part) = rest.split_once('_').unwrap_or_default();
                    let is_shard = part.bytes().all(|byte| byte.is_ascii_digit());
                    number.parse::<u32>().is_ok() && !is_shard && !part.starts_with('_')
                };
                let found = |collection: &&String| {
                    stems.iter().filter_map(|stem| collection.strip_prefix(stem)).any(is_part)
                };
                if let Some(collection) = collections.iter().find(found) {
                    return Ok(Some(format!("{name}.{collection}")));
                }
            }
            Ok(None)
        };
        call("listing the databases", search).await.unwrap_or_else(|error| {
            tracing::warn!(error = %error.with_sources(), "databases beside this one can't be listed");
            None
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever slip there is in a password, and around it.
        #[test]
        fn no_message_repeats_a_password(
            before in "[:/?#@%&=,a-z]{0,4}", after in "[:/?#@%&=,0-9]{0,4}", at in "@?",
            rest in "[/?&=,:@a]{0,6}",
        ) {
            let uri = format!("mongodb://me:{before}hunter2{after}{at}127.0.0.1:1{rest}");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let said = match Settings::new(uri.clone(), "db") {
                Err(error) => error.to_string(),
                Ok(settings) => {
                    let error = runtime.block_on(parsed(settings.uri())).err();
                    format!("{} {settings:?}", error.map_or_else(String::new, |error| error.with_sources()))
                }
            };
            prop_assert!(!said.contains("hunter2"), "{}: {}", uri, said);
        }
    }
}
