//! Writes a fixture of another shape than Squidex's.

use bson::{DateTime, Document, doc};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use statefold_projections::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::fixture::{FIXTURE_FORMAT, Shape, ShapedCommits};
use crate::store::connection::{LONG_CALL_SECONDS, Store, call, call_within};
use crate::store::events::fixture::FIXTURE_MARKER;

/// Request for a fixture of another shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeRequest {
    /// What it is of.
    pub shape: Shape,
    /// Commits to write.
    pub commits: u64,
    /// Seed of names and chances.
    pub seed: u64,
    /// Whether a fixture that is there already is left as it is, instead of being an error.
    pub if_missing: bool,
}

/// Whether it may be written here: `false` if that fixture is there already.
///
/// # Errors
/// [`Error::Unsupported`] for another event store, or an interrupted fixture.
async fn is_free(store: &Store, request: ShapeRequest) -> Result<bool> {
    let shape = request.shape;
    let (database, collection) = (store.database().to_owned(), store.layout.collection.clone());
    let markers = store.collection(FIXTURE_MARKER);
    let id = collection.clone();
    let find = async move { markers.find_one(doc! { "_id": id }).await };
    let marker = call("reading the fixture's marker", find).await?;
    let events = store.collection(&collection);
    let full = call("looking into the event store", async move { events.find_one(doc! {}).await }).await?;
    match (marker, full) {
        (None, None) => Ok(true),
        (None, Some(_)) => Err(Error::Unsupported(format!(
            "{database} has a collection {collection} that no fixture made; it is left alone. Choose another \
             database"
        ))),
        (Some(marker), _) if marker.get_str("Shape").ok() != Some(shape.to_string().as_str()) => Err(
            Error::Unsupported(format!("{database} has another fixture already: choose another database")),
        ),
        (Some(marker), _) if is_complete(&marker) && request.if_missing => Ok(false),
        (Some(marker), _) if is_complete(&marker) => {
            Err(Error::Unsupported(format!("{database} has this fixture already: choose another database")))
        }
        _ => Err(Error::Unsupported(format!(
            "the fixture in {database} is incomplete, because writing it was interrupted: drop the database \
             and write it again"
        ))),
    }
}

fn is_complete(marker: &Document) -> bool {
    marker.get_bool("Complete").unwrap_or(false)
}

/// Number of commits that [`write_shape`] would write; changes nothing.
///
/// # Errors
/// Those with which it would begin.
#[cfg(feature = "cli")]
pub(crate) async fn check_shape(settings: &Settings, request: ShapeRequest) -> Result<u64> {
    let store = Store::dial(settings, &Registry::new(request.shape.layout())).await?;
    Ok(if is_free(&store, request).await? { request.commits } else { 0 })
}

/// Writes an event store of this shape, with the index that streams are read by, and returns the number of
/// commits: 0 if it is there already. `written` counts the commits so far.
///
/// # Errors
/// [`Error::Unsupported`] if the collection has other commits, what the server said.
pub async fn write_shape(
    settings: &Settings,
    request: ShapeRequest,
    written: watch::Sender<u64>,
    cancel: CancellationToken,
) -> Result<u64> {
    let ShapeRequest { shape, commits, seed, .. } = request;
    let store = Store::dial(settings, &Registry::new(shape.layout())).await?;
    if !is_free(&store, request).await? {
        return Ok(0);
    }
    let (layout, collection) = (store.layout.clone(), store.layout.collection.clone());
    let options = IndexOptions::builder().unique(true).build();
    let keys = doc! { &layout.stream: 1, &layout.offset: -1 };
    let index = IndexModel::builder().keys(keys).options(options).build();
    let events = store.collection(&collection);
    let create = async move { events.create_index(index).await };
    call_within(LONG_CALL_SECONDS, "creating the event store's index", create).await?;
    let number = i64::try_from(commits).unwrap_or(i64::MAX);
    let marker = doc! {
        "_id": &collection, "Format": FIXTURE_FORMAT, "Shape": shape.to_string(),
        "Seed": seed.cast_signed(), "Commits": number, "Complete": false, "At": DateTime::now(),
    };
    let markers = store.collection(FIXTURE_MARKER);
    call("writing the fixture's marker", async move { markers.insert_one(marker).await }).await?;
    let generator = ShapedCommits::new(shape, commits, seed);
    store.events().write_commits(generator, &collection, written, cancel).await
}
