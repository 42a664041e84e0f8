//! Writes a fixture into an event store that has no other commits.

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc};
use mongodb::options::{Acknowledgment, InsertManyOptions, WriteConcern};
use mongodb::{Collection, IndexModel};
use statefold_projections::Registry;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::fixture::{FIXTURE_FORMAT, FixtureSpec, Generator, Kinds, Run, Share, Shares};
#[cfg(feature = "cli")]
use crate::store::connection::refused_writes;
use crate::store::connection::{Events, LONG_CALL_SECONDS, Store, call, call_within};

/// Collection of the marker that distinguishes a fixture from a real event store. It belongs to the events.
pub(crate) const FIXTURE_MARKER: &str = "Statefold_Fixture";
const MARKER_ID: &str = "Events2";
/// Commits of one insert: about a megabyte.
const COMMITS_PER_INSERT: usize = 1000;
const WRITERS: usize = 2;

/// Request for a fixture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FixtureRequest {
    /// Commits to write.
    pub commits: u64,
    /// Streams to open; one for every five commits by default.
    pub streams: Option<u64>,
    /// Seed of ids, names and chances; ignored when appending.
    pub seed: u64,
    /// Whether to append to an existing fixture.
    pub append: bool,
    /// Whether a fixture that is there already is left as it is, instead of being an error.
    pub if_missing: bool,
    /// What it is of; ignored when appending.
    pub kinds: Kinds,
    /// How much there is of what years leave behind; ignored when appending.
    pub shares: Shares,
}

/// Report of a written fixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FixtureReport {
    /// Commits written.
    pub commits: u64,
    /// Commits now in the event store.
    pub commits_total: u64,
    /// Seed of the fixture.
    pub seed: u64,
}

/// What a request for a fixture comes to.
enum Due {
    /// It is there already.
    Nothing(FixtureReport),
    /// Commits of this fixture, behind those of its earlier runs.
    Commits(FixtureSpec, Vec<Run>, Option<Run>),
}

/// Decides what a request comes to in this database.
async fn due(store: &Store, request: FixtureRequest) -> Result<Due> {
    let marker = store.events().fixture_marker().await?;
    let events = store.collection(&store.layout.collection);
    let full =
        call("looking into the event store", async move { events.find_one(doc! {}).await }).await?.is_some();
    let database = store.database().to_owned();
    let (spec, before, more) = match (marker, full, request.append) {
        (None, true, _) => {
            return Err(Error::Unsupported(format!(
                "{database} has an event store that no fixture made; it is left alone. \
                 Choose another database"
            )));
        }
        (Some((spec, runs)), _, false) if request.if_missing => {
            let commits_total = spec.commits + runs.iter().map(|run| run.commits).sum::<u64>();
            return Ok(Due::Nothing(FixtureReport { commits: 0, commits_total, seed: spec.seed }));
        }
        (Some(_), _, false) => {
            return Err(Error::Unsupported(format!(
                "{database} has a fixture already: append to it, or \
                 choose another database"
            )));
        }
        (None, false, true) => {
            return Err(Error::Unsupported(format!("{database} has no fixture to append to")));
        }
        (Some((spec, runs)), _, true) => {
            let more = Run::new(request.commits, request.streams).map_err(invalid)?;
            (spec, runs, Some(more))
        }
        (None, false, false) => {
            let spec = FixtureSpec::new(request.commits, request.streams, request.seed).map_err(invalid)?;
            (spec.with_kinds(request.kinds).with_shares(request.shares), Vec::new(), None)
        }
    };
    Ok(Due::Commits(spec, before, more))
}

/// The number of commits that [`write_fixture`] would write; changes nothing.
///
/// # Errors
/// Those with which it would begin.
#[cfg(feature = "cli")]
pub(crate) async fn check_fixture(settings: &Settings, request: FixtureRequest) -> Result<u64> {
    let store = Store::dial(settings, &Registry::default()).await?;
    Ok(match due(&store, request).await? {
        Due::Nothing(_) => 0,
        Due::Commits(..) => request.commits,
    })
}

/// Writes a fixture. `written` counts the commits so far.
///
/// # Errors
/// [`Error::Unsupported`] if the event store has commits of no fixture, or has a fixture and `append` isn't
/// set; [`Error::Config`] if the numbers don't fit.
pub async fn write_fixture(
    settings: &Settings,
    request: FixtureRequest,
    written: watch::Sender<u64>,
    cancel: CancellationToken,
) -> Result<FixtureReport> {
    let store = Store::dial(settings, &Registry::default()).await?;
    let (spec, before, more) = match due(&store, request).await? {
        Due::Nothing(report) => return Ok(report),
        Due::Commits(spec, before, more) => (spec, before, more),
    };
    store.events().create_indexes().await?;
    // The marker first: commits without it could never be appended to.
    store.events().write_marker(&spec, &before, more).await?;
    let generator = match more {
        Some(more) => Generator::resume(spec, &before, more),
        None => Generator::new(spec),
    };
    let commits = store.events().write_commits(generator, MARKER_ID, written, cancel).await?;
    let earlier: u64 =
        if more.is_some() { spec.commits + before.iter().map(|run| run.commits).sum::<u64>() } else { 0 };
    Ok(FixtureReport { commits, commits_total: earlier + commits, seed: spec.seed })
}

/// Gives collections of a fixture's snapshots other names, which must be free.
///
/// # Errors
/// What the server said.
#[cfg(feature = "cli")]
pub(crate) async fn rename_snapshots(
    settings: &Settings,
    registry: &Registry,
    names: Vec<(String, String)>,
) -> Result<()> {
    let store = Store::dial(settings, registry).await?;
    let admin = store.db.client().database("admin");
    for (from, to) in names {
        let doing = format!("renaming {from} to {to}");
        let (from, to) = (store.namespace(&from), store.namespace(&to));
        let command = doc! { "renameCollection": from, "to": to, "writeConcern": { "w": "majority" } };
        let admin = admin.clone();
        refused_writes(&doing, &call(&doing, async move { admin.run_command(command).await }).await?)?;
    }
    Ok(())
}

fn invalid(error: crate::fixture::FixtureError) -> Error {
    Error::Config(vec![error.to_string()])
}

impl Events<'_> {
    async fn create_indexes(self) -> Result<()> {
        let index = |keys: Document, unique: bool| {
            let options = mongodb::options::IndexOptions::builder().unique(unique.then_some(true)).build();
            IndexModel::builder().keys(keys).options(options).build()
        };
        let indexes = [
            index(doc! { "EventStream": 1, "EventStreamOffset": -1 }, true),
            index(doc! { "EventStream": 1, "Timestamp": 1 }, false),
            index(doc! { "Timestamp": -1, "EventStream": 1 }, false),
        ];
        let events = self.store.collection(&self.store.layout.collection);
        let create = async move { events.create_indexes(indexes).await };
        call_within(LONG_CALL_SECONDS, "creating the event store's indexes", create).await?;
        Ok(())
    }

    async fn fixture_marker(self) -> Result<Option<(FixtureSpec, Vec<Run>)>> {
        let markers = self.store.collection(FIXTURE_MARKER);
        let find = async move { markers.find_one(doc! { "_id": MARKER_ID }).await };
        let Some(marker) = call("reading the fixture's marker", find).await? else { return Ok(None) };
        let broken = || {
            Error::Unsupported(format!(
                "{FIXTURE_MARKER}/{MARKER_ID} is not a marker this version understands"
            ))
        };
        if marker.get_i32("Format").ok() != Some(FIXTURE_FORMAT) {
            return Err(broken());
        }
        let number = |document: &Document, name: &str| {
            document.get_i64(name).ok().and_then(|number| u64::try_from(number).ok()).ok_or_else(broken)
        };
        // The seed is any 64 bits, kept in a signed number.
        let seed = marker.get_i64("Seed").map(i64::cast_unsigned).map_err(|_| broken())?;
        let kinds: Kinds =
            marker.get_str("Kinds").ok().and_then(|kinds| kinds.parse().ok()).ok_or_else(broken)?;
        let share = |name: &str| {
            let per_mille = marker.get_i32(name).ok().and_then(|share| u16::try_from(share).ok());
            per_mille.and_then(|per_mille| Share::of_mille(per_mille).ok()).ok_or_else(broken)
        };
        let shares = Shares {
            deleted: share("DeletedPerMille")?,
            legacy: share("LegacyPerMille")?,
            multi: share("MultiPerMille")?,
        };
        let runs = marker.get_array("Runs").map_err(|_| broken())?;
        let mut runs = runs
            .iter()
            .filter_map(Bson::as_document)
            .map(|run| Ok(Run { commits: number(run, "Commits")?, streams: number(run, "Streams")? }));
        let first = runs.next().ok_or_else(broken)??;
        let appended: Vec<Run> = runs.collect::<Result<_>>()?;
        if !marker.get_bool("Complete").unwrap_or(false) {
            return Err(Error::Unsupported(format!(
                "the fixture in {} is incomplete, because writing it was interrupted: drop the database \
                 and write it again",
                self.store.database()
            )));
        }
        let Run { commits, streams } = first;
        Ok(Some((FixtureSpec { commits, streams, seed, kinds, shares }, appended)))
    }

    async fn write_marker(self, spec: &FixtureSpec, appended: &[Run], more: Option<Run>) -> Result<()> {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let runs = std::iter::once(spec.run()).chain(appended.iter().copied()).chain(more);
        let runs: Vec<Document> =
            runs.map(|run| doc! { "Commits": signed(run.commits), "Streams": signed(run.streams) }).collect();
        let Shares { deleted, legacy, multi } = spec.shares;
        let marker = doc! {
            "Format": FIXTURE_FORMAT, "Seed": spec.seed.cast_signed(), "Kinds": spec.kinds.to_string(),
            "DeletedPerMille": i32::from(deleted.per_mille()),
            "LegacyPerMille": i32::from(legacy.per_mille()),
            "MultiPerMille": i32::from(multi.per_mille()), "Runs": runs, "Complete": false,
            "At": DateTime::now(),
        };
        let markers = self.store.collection(FIXTURE_MARKER);
        let write = async move { markers.replace_one(doc! { "_id": MARKER_ID }, marker).upsert(true).await };
        call("writing the fixture's marker", write).await?;
        Ok(())
    }

    /// Writes commits, then completes the marker.
    pub(super) async fn write_commits(
        self,
        mut generator: impl Iterator<Item = RawDocumentBuf> + Send + 'static,
        marker: &str,
        written: watch::Sender<u64>,
        cancel: CancellationToken,
    ) -> Result<u64> {
        let (batches, receiver) = mpsc::channel::<Vec<RawDocumentBuf>>(WRITERS);
        let stop = cancel.clone();
        // Generating computes for minutes, so it runs on a thread of its own.
        let producer = tokio::task::spawn_blocking(move || {
            loop {
                let batch: Vec<RawDocumentBuf> = generator.by_ref().take(COMMITS_PER_INSERT).collect();
                if batch.is_empty() || stop.is_cancelled() || batches.blocking_send(batch).is_err() {
                    break;
                }
            }
        });
        let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(receiver));
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                tokio::spawn(insert_all(
                    self.store.clone(),
                    std::sync::Arc::clone(&receiver),
                    written.clone(),
                ))
            })
            .collect();
        drop(receiver);
        let mut failure = None;
        for writer in writers {
            if let Err(error) = writer.await.map_err(|error| Error::Bug(error.to_string())).flatten() {
                failure.get_or_insert(error);
            }
        }
        producer.await.map_err(|error| Error::Bug(error.to_string()))?;
        if let Some(error) = failure {
            return Err(error);
        }
        if cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let markers = self.store.collection(FIXTURE_MARKER);
        // Acknowledged by a majority, as all writes of this client are; so are all earlier writes then.
        let complete = doc! { "$set": { "Complete": true } };
        let marker = marker.to_owned();
        let mark = async move { markers.update_one(doc! { "_id": marker }, complete).await };
        call("completing the fixture", mark).await?;
        Ok(*written.borrow())
    }
}

async fn insert_all(
    store: Store,
    batches: std::sync::Arc<tokio::sync::Mutex<mpsc::Receiver<Vec<RawDocumentBuf>>>>,
    written: watch::Sender<u64>,
) -> Result<()> {
    loop {
        let batch = batches.lock().await.recv().await;
        let Some(batch) = batch else { return Ok(()) };
        let count = batch.len() as u64;
        let events: Collection<RawDocumentBuf> = store.db.collection(&store.layout.collection);
        let concern = WriteConcern::builder().w(Acknowledgment::Nodes(1)).build();
        let options = InsertManyOptions::builder().ordered(false).write_concern(concern).build();
        let insert = async move { events.insert_many(batch).with_options(options).await };
        call("writing the fixture", insert).await?;
        written.send_modify(|written| *written += count);
    }
}
