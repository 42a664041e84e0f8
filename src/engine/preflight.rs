//! Checks that have to pass before anything is read or written, and the choice of what to work on.

use statefold_projections::{Registered, Registry, Spec, Target};

use crate::config::Settings;
use crate::engine::pass::Survey;
use crate::error::{Error, Result};
use crate::plan::{Estimate, Partition, StreamRange, divide, is_of_target, shards_seen, shards_wanted};
use crate::store::{ActiveGeneration, Beside, Store, StreamIndex};

/// Checks the event store and the collections before anything is written. Returns the event store's index on
/// streams; `None` if there is no event store.
pub(crate) async fn preflight(store: &Store, selected: &[Registered]) -> Result<Option<StreamIndex>> {
    refuse_older(store).await?;
    let collections = store.collection_names().await?;
    if !collections.contains(&store.layout.collection) {
        return Ok(None);
    }
    for projection in selected {
        check_places(store, projection.spec()).await?;
        refuse_other_database(store, projection.spec(), &collections).await?;
        refuse_other_shards(store, projection.spec()).await?;
        if let Some(beside) = kept_beside(store, projection.spec()).await {
            tracing::warn!("{beside}: those stay as they are");
        }
    }
    store.events().stream_index().await.map(Some)
}

/// Refuses a database of an application that is older than the layout of its event store.
async fn refuse_older(store: &Store) -> Result<()> {
    let Some(since) = &store.layout.since else { return Ok(()) };
    let version = store.control().application_version().await?;
    if version == 0 || version >= since.version {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "{} is of version {version} of its application, whose events are stored in another way: it can be \
         read from version {} on. Nothing was changed; {}",
        store.database(),
        since.version,
        since.remedy
    )))
}

/// Refuses other databases than those of the generations there are.
///
/// # Errors
/// [`Error::Unsupported`] with both.
async fn check_places(store: &Store, spec: &Spec) -> Result<()> {
    let records = store.builds().records(Some(spec.name())).await?;
    for record in records.iter().filter(|record| !record.state.is_over()) {
        for recorded in &record.targets {
            let Some(target) = spec.targets().iter().find(|target| target.collection() == recorded.target)
            else {
                continue;
            };
            let there = recorded.place.as_ref().map_or(store.database(), |place| &place.database);
            let wanted = target.database().unwrap_or(store.database());
            if there != wanted {
                return Err(Error::Unsupported(format!(
                    "{} is in the database {there}, but by the settings of this program it would be in \
                     {wanted}: use those that it was built with (of Squidex: content_database), or remove it \
                     first",
                    record.id
                )));
            }
        }
    }
    Ok(())
}

/// Refuses a number of shards that isn't the one the application has.
async fn refuse_other_shards(store: &Store, spec: &Spec) -> Result<()> {
    let Some(first) = spec.targets().first() else { return Ok(()) };
    let collections = store.names_beside(first).await?;
    let wanted = shards_wanted(spec);
    if wanted == 0 && shards_seen(spec, &collections).is_none() {
        return Ok(());
    }
    // Of a build of ours some shards may be renamed already, and others not yet.
    let records = store.builds().records(Some(spec.name())).await?;
    let is_ours = |name: &&String| {
        let mut targets = records.iter().flat_map(|record| &record.targets);
        targets.any(|target| target.collection == **name)
    };
    let theirs: Vec<String> = collections.iter().filter(|name| !is_ours(name)).cloned().collect();
    let seen = match shards_seen(spec, &theirs) {
        None if wanted > 0 => undivided(store, first, &theirs).await?.map(|name| (0, name)),
        seen => seen,
    };
    let Some((seen, shown_by)) = seen.filter(|(seen, _)| *seen != wanted) else { return Ok(()) };
    let described =
        |count: u32| if count == 0 { "undivided".to_owned() } else { format!("in {count} shards") };
    Err(Error::Unsupported(format!(
        "the snapshots of {} would be {}, but {shown_by} shows that the application has them {}: \
         set asset_shards and content_shards as it has them (assetShardCount and contentShardCount of \
         Squidex)",
        spec.name(),
        described(wanted),
        described(seen)
    )))
}

/// Refuses to build beside the events what the application keeps in a database of its own.
async fn refuse_other_database(store: &Store, spec: &Spec, collections: &[String]) -> Result<()> {
    let target = spec.targets().first().filter(|target| spec.may_be_beside() && target.database().is_none());
    let is_here = collections.iter().any(|name| is_of_target(spec, name));
    let Some(target) = target.filter(|_| !is_here) else { return Ok(()) };
    let Some((database, found)) = store.generation_elsewhere(target).await else { return Ok(()) };
    let (name, own) = (spec.name(), store.database());
    Err(Error::Unsupported(format!(
        "{database} has {found}, and {own} has none: if the snapshots of {name} are in a database of \
         their own there (contentDatabase of Squidex), set content_database to {database}; if {database} \
         is of another application, set it to {own}"
    )))
}

/// Says where the application also keeps the snapshots of a projection, in databases beside its own. They
/// aren't built.
pub(crate) async fn kept_beside(store: &Store, spec: &Spec) -> Option<String> {
    if !spec.may_be_beside() {
        return None;
    }
    let targets = spec.targets();
    let base = targets.first().and_then(Target::database).unwrap_or(store.database());
    let beside = store.collections_beside(base, targets).await;
    let is_left_out = |beside: &&Beside| {
        !beside.may_be_shard() && store.name_of_database(&beside.collection) != beside.database
    };
    let Beside { database, collection, .. } = beside.iter().find(is_left_out)?;
    let reason = if has_further_databases(spec) {
        "of which the generation there is hasn't this one: to have it built, purge and adopt that again"
    } else {
        "which are built with dedicated_contents = true; if it is set, the generation there is was made \
         without it: purge and adopt that again"
    };
    Some(format!(
        "{database}.{collection} shows that the application also keeps the snapshots of {} in databases of \
         their own (contents:optimizeForSelfHosting of Squidex), {reason}",
        spec.name()
    ))
}

/// Whether a projection has targets in further databases than the one of its first target.
pub(crate) fn has_further_databases(spec: &Spec) -> bool {
    first_targets(spec) < spec.targets().len()
}

/// Number of targets in the database of the first one. They come before all others.
fn first_targets(spec: &Spec) -> usize {
    let database = spec.targets().first().and_then(Target::database);
    spec.targets().iter().take_while(|target| target.database() == database).count()
}

/// A collection of the application that isn't divided, and not empty: Squidex makes an empty one beside its
/// shards.
async fn undivided<'a>(store: &Store, target: &Target, collections: &'a [String]) -> Result<Option<&'a str>> {
    let whole = Target::new(target.parts().0);
    for name in collections.iter().filter(|name| whole.number_of(name).is_some()) {
        if store.count_beside(target, name).await? > 0 {
            return Ok(Some(name));
        }
    }
    Ok(None)
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
    let mut collections: Vec<String> =
        collections.iter().map(|given| store.plain_name(given).to_owned()).collect();
    // Those in further databases have the number of the first one.
    let (first, further) = spec.targets().split_at(first_targets(spec));
    if collections.len() == first.len()
        && let Some(number) =
            first.first().zip(collections.first()).and_then(|(one, name)| one.number_of(name))
    {
        collections.extend(further.iter().map(|target| target.generation(number)));
    }
    if spec.targets().len() != collections.len() {
        let targets: Vec<&str> = first.iter().map(Target::collection).collect();
        return Err(Error::Config(vec![format!(
            "{} has {} collection(s) ({}): name one for each, in this order",
            spec.name(),
            targets.len(),
            targets.join(", ")
        )]));
    }
    let existing = store.collection_names().await?;
    if let Some(missing) = collections.iter().find(|name| !existing.contains(name)) {
        return Err(Error::Unsupported(format!(
            "{} has no collection {missing}",
            store.name_of_database(missing)
        )));
    }
    Ok(Chosen { projection, generation: None, collections })
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
/// [`Error::Newer`] if the active generation was built with a newer version; [`Error::Unsupported`] if it has
/// another number of collections.
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
    let projection = registry.of_version(name, active.projection_version);
    if let Some(projection) = projection {
        check_number(projection.spec(), active.active, &active.collections)?;
    }
    Ok(projection.cloned())
}

/// Refuses a generation with another number of collections than the projection has targets: the settings that
/// it was built with were others.
///
/// # Errors
/// [`Error::Unsupported`].
pub(crate) fn check_number(spec: &Spec, generation: u32, collections: &[String]) -> Result<()> {
    let (name, targets, found) = (spec.name(), spec.targets().len(), collections.len());
    if targets == found {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "generation {generation} of {name} has {found} collections, but by the settings of this program it \
         would have {targets}: use those that it was built with (of Squidex: content_shards, asset_shards, \
         dedicated_contents), or rebuild it"
    )))
}
