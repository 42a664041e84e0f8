//! Proves that collections hold what the event store gives: every stream is folded once more, independently of
//! what was written, and compared. Reads only; the application may go on writing.

mod again;
mod comparison;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use statefold_projections::{Lookup, NoLookup, Registered, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::generation::of_active;
use crate::lifecycle::Share;
use crate::observe::{Phase, Progress, Recorder};
use crate::pipeline::{Governor, Workers};
use crate::plan::{Estimate, Partition, StreamRange, divide};
use crate::rebuild::preflight;
use crate::running::Running;
use crate::store::{ActiveGeneration, SnapshotLookup, Store};
use crate::survey::{FEW_COMMITS, Survey};

pub(crate) use again::Judged;
pub use again::{Difference, Kind};
pub(crate) use comparison::{Comparison, Outcome, Subject};

/// How often streams that differ are looked at: the application may be about to write them.
const ROUNDS: u32 = 6;
/// Pause before the second look; each further one is longer by as much.
const PAUSE: Duration = Duration::from_millis(100);
/// Differences that are shown.
const SHOWN: usize = 20;

/// What to verify.
#[derive(Debug, Clone)]
pub struct Verification {
    /// Names of the projections, without case; if empty, all that have an active generation.
    pub projections: Vec<String>,
    /// Existing collections, one for each target of the one projection that is named, instead of its active
    /// generation. They need not be built by statefold.
    pub collections: Vec<String>,
    /// How many of the streams.
    pub share: Share,
}

impl Default for Verification {
    fn default() -> Self {
        Self { projections: Vec::new(), collections: Vec::new(), share: Share::ALL }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifyReport {
    /// The verified projections; empty if there is no event store.
    pub projections: Vec<Verified>,
    /// If there is no event store: the databases that have one, as far as they can be listed.
    pub databases_with_events: Vec<String>,
    /// Time it took, in seconds.
    pub seconds: f64,
}

/// What was found about one projection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verified {
    /// Name of the projection.
    pub projection: String,
    /// The active generation, if that was verified.
    pub generation: Option<u32>,
    /// The collections.
    pub collections: Vec<String>,
    /// How many of the streams were compared.
    pub share: Share,
    /// Streams folded.
    pub streams: u64,
    /// Events folded.
    pub events: u64,
    /// Snapshots in the collections.
    pub snapshots: u64,
    /// Streams that could not be folded: what should be stored of them is not known.
    pub dead_letters: u64,
    /// Snapshots that the events give, but that aren't stored.
    pub missing: u64,
    /// Snapshots that are stored, but that the events don't give.
    pub extra: u64,
    /// Snapshots that differ.
    pub differing: u64,
    /// Documents whose `_id` isn't a text: no stream gives them.
    pub foreign: u64,
    /// Streams that are suspected to differ, but weren't looked at once more because too many others do.
    pub suspected: u64,
    /// Streams that changed whenever they were looked at.
    pub moving: u64,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// Digest of all snapshots; absent if only a share was compared, if some changed meanwhile, or if
    /// documents are there that can't be compared.
    pub digest: Option<String>,
}

impl VerifyReport {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.projections.iter().all(Verified::is_equal)
    }
}

impl Verified {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.missing + self.extra + self.differing + self.foreign + self.suspected == 0
    }

    pub(crate) fn of(subject: &Subject, share: Share, outcome: &Outcome, judged: Judged) -> Self {
        let count = |kind| judged.differences.iter().filter(|one| one.kind == kind).count() as u64;
        let suspects = outcome.suspects.streams.len() as u64 + outcome.suspects.more;
        let undisturbed = share.is_all() && suspects == 0 && outcome.foreign == 0;
        Self {
            projection: subject.projection.spec().name().to_owned(),
            generation: None,
            collections: subject.collections.clone(),
            share,
            streams: outcome.counts.streams,
            events: outcome.counts.events,
            snapshots: outcome.stored,
            dead_letters: outcome.dead_letters.len() as u64,
            missing: count(Kind::Missing),
            extra: count(Kind::Extra),
            differing: count(Kind::Differing),
            foreign: outcome.foreign,
            suspected: judged.left + outcome.suspects.more,
            moving: judged.moving.len() as u64,
            digest: undisturbed.then(|| outcome.found.to_string()),
            differences: judged.differences.into_iter().take(SHOWN).collect(),
        }
    }
}

/// Begins to verify collections. Must be called on a tokio runtime.
///
/// A difference that may come from the application being at work is looked at again, several times; what
/// is reported differed while its stream stood still. The order of fields doesn't count.
///
/// # Errors
/// Awaiting the result gives [`Error::Registry`], [`Error::Unsupported`] if there is nothing to verify or this
/// program doesn't have the version it was built with, [`Error::Newer`], [`Error::Interrupted`], or what the server said. Differences are no error, but in the report.
pub fn verify(settings: &Settings, registry: &Registry, request: Verification) -> Running<VerifyReport> {
    let (settings, registry) = (settings.clone(), registry.clone());
    Running::begin(move |progress, cancel| async move {
        run(&settings, &registry, request, progress, cancel).await
    })
}

async fn run(
    settings: &Settings,
    registry: &Registry,
    request: Verification,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
) -> Result<VerifyReport> {
    let began = Instant::now();
    let selected = registry.select(&request.projections)?;
    let store = Store::connect(settings, registry.layout()).await?;
    let Some(direction) = preflight(&store, &selected).await? else {
        let databases_with_events = store.databases_with_events().await;
        return Ok(VerifyReport { projections: Vec::new(), databases_with_events, seconds: 0.0 });
    };
    let named = !request.projections.is_empty();
    let chosen = choose(&store, registry, selected, &request.collections, named).await?;
    let workers = Arc::new(Workers::new(settings.tuning().threads)?);
    let projections: Vec<Registered> = chosen.iter().map(|one| one.projection.clone()).collect();
    let tuning = settings.tuning();
    let events = store.events().source(direction, store.operation_time().await?, tuning.batch_commits);
    let many = events.estimated_count().await? > FEW_COMMITS;
    let survey = Survey::of(&events, &projections, tuning, many.then_some(&*workers)).await?;
    let mut subjects = Vec::new();
    for (one, estimate) in chosen.iter().zip(&survey.estimates) {
        let partitions = partitions(&one.projection, &survey, estimate, settings);
        subjects.push(Subject {
            projection: one.projection.clone(),
            collections: one.collections.clone(),
            others: others(&store, &one.projection, settings).await?,
            partitions,
            estimate: *estimate,
            records: None,
        });
    }
    let comparison = Comparison {
        store: &store,
        settings,
        direction,
        workers: &workers,
        progress: &progress,
        cancel: &cancel,
        governor: Governor::free(),
        share: request.share,
    };
    let outcomes = comparison.run(&subjects, &survey).await?;
    let mut verified = Vec::new();
    for ((subject, outcome), chosen) in subjects.iter().zip(outcomes).zip(chosen) {
        let judged = comparison.settled(subject, &outcome).await?;
        let found = Verified::of(subject, request.share, &outcome, judged);
        verified.push(Verified { generation: chosen.generation, ..found });
        Recorder::new(subject.projection.spec().name(), &progress).enter(Phase::Done, 0);
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(VerifyReport { projections: verified, databases_with_events: Vec::new(), seconds })
}

impl Comparison<'_> {
    /// Looks at what may differ until it is settled, or for the last time. The application may be at work.
    pub(crate) async fn settled(&self, subject: &Subject, outcome: &Outcome) -> Result<Judged> {
        let mut names: Vec<String> = outcome.suspects.streams.iter().cloned().collect();
        let mut judged = Judged::default();
        for round in 0..ROUNDS {
            if names.is_empty() {
                return Ok(Judged::default());
            }
            if round > 0 {
                tokio::time::sleep(PAUSE * round).await;
            }
            judged = self.look_again(subject, &names, false, None).await?;
            if judged.left > 0 {
                break;
            }
            names = judged.streams();
        }
        Ok(judged)
    }
}

/// What to verify of one projection.
pub(crate) struct Chosen {
    pub(crate) projection: Registered,
    pub(crate) generation: Option<u32>,
    pub(crate) collections: Vec<String>,
}

/// The collections to verify: those that are named, else the active generations, each with the version of the
/// projection that it was built with.
async fn choose(
    store: &Store,
    registry: &Registry,
    selected: Vec<Registered>,
    collections: &[String],
    named: bool,
) -> Result<Vec<Chosen>> {
    if !collections.is_empty() {
        return named_collections(store, selected, collections).await.map(|chosen| vec![chosen]);
    }
    let mut chosen = Vec::new();
    for projection in selected {
        let name = projection.spec().name();
        match store.control().active(name).await? {
            Some(active) => {
                let built_with = of_active(registry, &projection, &active)?;
                let projection = built_with.ok_or_else(|| unknown_version(&projection, &active))?;
                let (generation, collections) = (Some(active.active), active.collections);
                chosen.push(Chosen { projection, generation, collections });
            }
            None if named => return Err(nothing_active(&format!("{name} has no active generation"))),
            None => tracing::info!(projection = name, "left out: it has no active generation"),
        }
    }
    if chosen.is_empty() { Err(nothing_active("no projection has an active generation")) } else { Ok(chosen) }
}

fn unknown_version(projection: &Registered, active: &ActiveGeneration) -> Error {
    let (name, known) = (projection.spec().name(), projection.spec().version());
    let (number, version) = (active.active, active.projection_version);
    Error::Unsupported(format!(
        "the active generation {number} of {name} was built with version {version}, which this program doesn't have \
         (it has version {known}): verify it with a program that has it, or register it with \
         Registry::register_former"
    ))
}

fn nothing_active(what: &str) -> Error {
    Error::Unsupported(format!(
        "{what}: to verify what an application has built, name projection and collection, as \
         `statefold verify Assets --collection States_Assets2`"
    ))
}

/// One projection and its existing collections.
pub(crate) async fn named_collections(
    store: &Store,
    selected: Vec<Registered>,
    collections: &[String],
) -> Result<Chosen> {
    let [projection] = <[Registered; 1]>::try_from(selected).map_err(|all| {
        Error::Config(vec![format!(
            "--collection needs the one projection it belongs to; registered are {}",
            all.iter().map(|one| one.spec().name()).collect::<Vec<_>>().join(", ")
        )])
    })?;
    let spec = projection.spec();
    if spec.targets().len() != collections.len() {
        let targets: Vec<&str> = spec.targets().iter().map(|target| target.collection()).collect();
        return Err(Error::Config(vec![format!(
            "{} has {} collection(s) ({}): give --collection for each, in this order",
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

/// The partitions to fold a projection in.
pub(crate) fn partitions(
    projection: &Registered,
    survey: &Survey,
    estimate: &Estimate,
    settings: &Settings,
) -> Vec<Partition> {
    let range = StreamRange::of(projection.spec().stream_filter());
    divide(&range, &survey.store.cuts(&range, survey.partitions(estimate, settings.tuning())))
}

/// Active snapshots of what a projection requires.
pub(crate) async fn others(
    store: &Store,
    projection: &Registered,
    settings: &Settings,
) -> Result<Arc<dyn Lookup>> {
    let spec = projection.spec();
    if spec.required().is_empty() {
        return Ok(Arc::new(NoLookup));
    }
    let (mut lookup, mut budget) = (SnapshotLookup::default(), settings.tuning().lookup_bytes_max);
    for required in spec.required() {
        for (target, collection) in store.snapshots().active_collections(spec.name(), required).await? {
            lookup.load(store, &target, &collection, &mut budget).await?;
        }
    }
    Ok(Arc::new(lookup))
}
