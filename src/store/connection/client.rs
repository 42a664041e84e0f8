//! The connection to a database: one client, with a deadline for each call.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bson::{Document, Timestamp, doc};
use futures::TryStreamExt;
use mongodb::options::{
    Acknowledgment, ClientOptions, ReadPreference, ReadPreferenceOptions, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Collection, Database};
use statefold_projections::{Layout, Registry, Target};

use crate::config::{ReadFrom, Settings, without_foreign, without_secrets};
use crate::error::{Error, Result};
use crate::plan::{ServerFacts, Topology};
use crate::store::connection::call::call;
use crate::store::connection::error::{classify, classify_code};
use crate::store::connection::places::Places;
use crate::store::connection::{diagnosis, facts};

/// Time limit of server selection, unless the URI sets one.
const SELECTION: Duration = Duration::from_secs(10);
/// Time after which it is said that a server doesn't answer.
const SLOW: Duration = Duration::from_secs(3);

/// A connected database.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(super) client: Client,
    pub(in crate::store) db: Database,
    places: Places,
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
    /// Members that the event store is read from, if not from the primary.
    pub(in crate::store) read_from: Option<SelectionCriteria>,
    /// Whether something could not be recorded in the history, which is said once.
    pub(in crate::store) unrecorded: Arc<AtomicBool>,
}

/// Collection and ids of the version document and the control document.
#[derive(Debug, Clone)]
pub(in crate::store) struct ControlNames {
    pub(in crate::store) collection: String,
    pub(in crate::store) version_id: String,
    pub(in crate::store) control_id: String,
}

/// The members to read from, if not the primary.
fn members(read_from: &ReadFrom) -> Option<SelectionCriteria> {
    let options = |tag_sets| Some(ReadPreferenceOptions::builder().tag_sets(tag_sets).build());
    let preference = match read_from {
        ReadFrom::Primary => return None,
        ReadFrom::Secondary => ReadPreference::Secondary { options: None },
        ReadFrom::Nearest => ReadPreference::Nearest { options: None },
        ReadFrom::Tagged(tags) => {
            let tags = tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            ReadPreference::Secondary { options: options(vec![tags]) }
        }
    };
    Some(SelectionCriteria::ReadPreference(preference))
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

/// Says what is being tried while the server doesn't answer.
async fn said_if_slow<T>(options: &ClientOptions, answer: impl Future<Output = T>) -> T {
    tokio::pin!(answer);
    if let Ok(answer) = tokio::time::timeout(SLOW, &mut answer).await {
        return answer;
    }
    let servers: Vec<String> = options.hosts.iter().map(ToString::to_string).collect();
    let limit = options.server_selection_timeout.unwrap_or(SELECTION);
    tracing::warn!(servers = servers.join(", "), ?limit, "no server answers yet; trying on");
    answer.await
}

impl Store {
    /// Connects and asks the server for its facts. All writes of this client are acknowledged by a majority.
    ///
    /// # Errors
    /// [`Error::Config`] for a malformed URI, [`Error::Unreachable`], [`Error::Permission`],
    /// [`Error::Unsupported`].
    pub(in crate::store) async fn dial(settings: &Settings, registry: &Registry) -> Result<Self> {
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
        let facts = match said_if_slow(&options, facts::facts(&db)).await {
            Ok(facts) => facts,
            Err(error) => return Err(diagnosis::no_primary(&options, error).await),
        };
        match facts.refusal(settings.sharing().sharded_cluster) {
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
                let read_from = if direct { None } else { members(settings.read_from()) };
                if let Some(from) = read_from.clone() {
                    // Said at once: a scan would try for minutes.
                    let doing = format!("looking for members to read from ({})", settings.read_from());
                    let asked = db.clone();
                    let hello = doc! { "hello": 1 };
                    let ask = async move { asked.run_command(hello).selection_criteria(from).await };
                    call(&doing, ask).await?;
                }
                Ok(Self {
                    places: Places::of(registry, &db),
                    layout: registry.layout().clone(),
                    leads: true,
                    client,
                    db,
                    facts,
                    names,
                    deployment,
                    direct,
                    read_from,
                    unrecorded: Arc::default(),
                })
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

    /// Checks that readers can be moved so on this server: by the pointer or not, behind a fence or not.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub(crate) fn check_cut_over(&self, by_pointer: bool, fenced: bool) -> Result<()> {
        let refused = self.facts.refuses_cut_over(by_pointer, fenced);
        refused.map_or(Ok(()), |reason| Err(Error::Unsupported(reason.into())))
    }

    /// The same store with the control document of `follow`, which has a lease of its own. The holder of
    /// that lease never touches a fence.
    pub(crate) fn follow_control(&self) -> Self {
        let mut store = self.clone();
        store.names.control_id.push_str(".Follow");
        store.leads = false;
        store
    }

    /// The same store with further places of collections, each as what stands before the number, what stands
    /// behind it, and the database.
    pub(in crate::store) fn with_places<'a>(
        self,
        more: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Self {
        Self { places: self.places.with(more, &self.db), ..self }
    }

    /// A collection of the store's own database: events, records, control document.
    pub(in crate::store) fn collection(&self, name: &str) -> Collection<Document> {
        self.db.collection(name)
    }

    /// The database of a collection of snapshots.
    pub(in crate::store) fn database_of(&self, snapshots: &str) -> &Database {
        self.places.of_collection(snapshots).unwrap_or(&self.db)
    }

    /// The database that a target asks for.
    fn database_for(&self, target: &Target) -> Database {
        target.database().map_or_else(|| self.db.clone(), |name| self.client.database(name))
    }

    /// A collection of snapshots with its database, as `Squidex.States_Assets2`.
    pub(in crate::store) fn namespace(&self, snapshots: &str) -> String {
        format!("{}.{snapshots}", self.database_of(snapshots).name())
    }

    /// The database of a collection of snapshots as a shell in the store's own database addresses it.
    pub(in crate::store) fn in_shell(&self, snapshots: &str) -> String {
        let other = self.places.of_collection(snapshots);
        other.map_or_else(|| "db".to_owned(), |other| format!("db.getSiblingDB(\"{}\")", other.name()))
    }

    /// The name of the database of a collection of snapshots.
    pub(crate) fn name_of_database(&self, snapshots: &str) -> String {
        self.database_of(snapshots).name().to_owned()
    }

    /// The name of a collection of snapshots without its database, if it was given with that.
    pub(crate) fn plain_name<'a>(&self, given: &'a str) -> &'a str {
        let parts = given.split_once('.');
        parts
            .filter(|(database, name)| self.database_of(name).name() == *database)
            .map_or(given, |(_, name)| name)
    }

    /// The databases of snapshots other than the store's own.
    pub(crate) fn other_databases(&self) -> Vec<String> {
        self.places.others().into_iter().map(|database| database.name().to_owned()).collect()
    }

    /// The name of the database.
    pub(crate) fn database(&self) -> &str {
        self.db.name()
    }

    /// Runs a command on the database. A write that a majority didn't confirm in time is an error.
    pub(in crate::store) async fn command(&self, doing: &str, command: Document) -> Result<Document> {
        Self::command_on(&self.db, doing, command).await
    }

    /// As [`command`](Self::command), on the database of a collection of snapshots.
    pub(in crate::store) async fn command_for(
        &self,
        snapshots: &str,
        doing: &str,
        command: Document,
    ) -> Result<Document> {
        Self::command_on(self.database_of(snapshots), doing, command).await
    }

    async fn command_on(db: &Database, doing: &str, command: Document) -> Result<Document> {
        let db = db.clone();
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

    /// The server's listing of all collections and views: those of snapshots from their own databases, all
    /// others from the store's.
    pub(in crate::store) async fn list(&self, doing: &str) -> Result<Vec<Document>> {
        let mut all = Vec::new();
        for db in std::iter::once(&self.db).chain(self.places.others()) {
            let found = listed(db, doing, doc! {}).await?;
            let is_here = |listed: &Document| {
                listed.get_str("name").is_ok_and(|name| self.database_of(name).name() == db.name())
            };
            all.extend(found.into_iter().filter(is_here));
        }
        Ok(all)
    }

    /// The server's listing of the collection or view of snapshots with a name.
    pub(in crate::store) async fn list_one(&self, doing: &str, name: &str) -> Result<Option<Document>> {
        Ok(listed(self.database_of(name), doing, doc! { "name": name }).await?.pop())
    }

    /// Whether there is an event store.
    pub(crate) async fn has_events(&self) -> Result<bool> {
        let filter = doc! { "name": &self.layout.collection };
        Ok(!listed(&self.db, "looking for the event store", filter).await?.is_empty())
    }

    /// Names of all collections, in alphabetical order: those of snapshots in their own databases.
    pub(crate) async fn collection_names(&self) -> Result<Vec<String>> {
        Ok(names_in(&self.list("listing the collections").await?))
    }

    /// Names of all collections in the database of a target, whatever they belong to, in alphabetical order.
    pub(crate) async fn names_beside(&self, target: &Target) -> Result<Vec<String>> {
        Ok(names_in(&listed(&self.database_for(target), "listing the collections", doc! {}).await?))
    }

    /// Number of documents of a collection in the database of a target, from the server's statistics.
    pub(crate) async fn count_beside(&self, target: &Target, name: &str) -> Result<u64> {
        let collection = self.database_for(target).collection::<Document>(name);
        call("counting snapshots", async move { collection.estimated_document_count().await }).await
    }

    /// Number of documents of a collection, from the server's statistics.
    pub(crate) async fn estimated_count(&self, name: &str) -> Result<u64> {
        let collection = self.database_of(name).collection::<Document>(name);
        call("counting snapshots", async move { collection.estimated_document_count().await }).await
    }
}

/// The server's listing of the collections and views of a database that match.
async fn listed(db: &Database, doing: &str, filter: Document) -> Result<Vec<Document>> {
    let (db, command) = (db.clone(), doc! { "listCollections": 1, "filter": filter });
    let list = async move { db.run_cursor_command(command).await?.try_collect::<Vec<Document>>().await };
    call(doing, list).await
}

fn names_in(listed: &[Document]) -> Vec<String> {
    let name = |listed: &Document| Some(listed.get_str("name").ok()?.to_owned());
    let mut names: Vec<String> = listed.iter().filter_map(name).collect();
    names.sort_unstable();
    names
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
