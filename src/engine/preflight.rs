//! Checks that have to pass before anything is read or written, and the choice of what to work on.

use statefold_projections::{Registered, Registry};

use crate::config::Settings;
use crate::engine::pass::Survey;
use crate::error::{Error, Result};
use crate::plan::{Estimate, Partition, StreamRange, divide, sharded_siblings};
use crate::store::{ActiveGeneration, Store, StreamIndex};

/// Checks the event store and the collections before anything is written. Returns the event store's index on
/// streams; `None` if there is no event store.
pub(crate) async fn preflight(store: &Store, selected: &[Registered]) -> Result<Option<StreamIndex>> {
    let collections = store.collection_names().await?;
    if !collections.contains(&store.layout.collection) {
        return Ok(None);
    }
    for projection in selected {
        let shards = sharded_siblings(projection.spec(), &collections);
        if let Some(shard) = shards.first() {
            return Err(Error::Unsupported(format!(
                "{shard} shows that this application divides the snapshots of {} into shards \
                 (assetShardCount or contentShardCount of Squidex), which statefold can't build",
                projection.spec().name()
            )));
        }
    }
    store.events().stream_index().await.map(Some)
}

/// The one selected projection, with collections that exist and are given by name.
pub(crate) async fn named_collections(
    store: &Store,
    selected: Vec<Registered>,
    collections: &[String],
) -> Result<Chosen> {
    let [projection] = <[Registered; 1]>::try_from(selected).map_err(|all| {
        Error::Config(vec![format!(
            "collections belong to one projection, which has to be named; registered are {}",
            all.iter().map(|projection| projection.spec().name()).collect::<Vec<_>>().join(", ")
        )])
    })?;
    let spec = projection.spec();
    if spec.targets().len() != collections.len() {
        let targets: Vec<&str> = spec.targets().iter().map(|target| target.collection()).collect();
        return Err(Error::Config(vec![format!(
            "{} has {} collection(s) ({}): name one for each, in this order",
            spec.name(),
            targets.len(),
            targets.join(", ")
        )]));
    }
    let existing = store.collection_names().await?;
    if let Some(missing) = collections.iter().find(|name| !existing.contains(name)) {
        return Err(Error::Unsupported(format!("{} has no collection {missing}", store.database())));
    }
    Ok(Chosen { projection, generation: None, collections: collections.to_vec() })
}

/// A projection and the collections of it to verify.
pub(crate) struct Chosen {
    pub(crate) projection: Registered,
    pub(crate) generation: Option<u32>,
    pub(crate) collections: Vec<String>,
}

/// Partitions that a projection is folded in, from the samples of a survey.
pub(crate) fn partitions(
    projection: &Registered,
    survey: &Survey,
    estimate: &Estimate,
    settings: &Settings,
) -> Vec<Partition> {
    let range = StreamRange::of(projection.spec().stream_filter());
    divide(&range, &survey.store.cuts(&range, survey.partitions(estimate, settings.tuning())))
}

/// Finds the projection in the version that the active generation was built with. `None` if that is an older
/// version that this program doesn't have.
///
/// # Errors
/// [`Error::Newer`] if the active generation was built with a newer version.
pub(crate) fn of_active(
    registry: &Registry,
    projection: &Registered,
    active: &ActiveGeneration,
) -> Result<Option<Registered>> {
    let (name, known) = (projection.spec().name(), projection.spec().version());
    if active.projection_version > known {
        let what = format!("the active generation of {name}");
        return Err(Error::Newer { what, found: active.projection_version, known });
    }
    Ok(registry.of_version(name, active.projection_version).cloned())
}
