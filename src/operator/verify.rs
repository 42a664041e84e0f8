//! Proves that collections hold what the event store gives: every stream is folded once more, independently
//! of what was written, and compared. Reads only; the application may continue to write.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;
use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::pass::{FEW_COMMITS, Survey};
use crate::engine::preflight::{Chosen, named_collections, of_active, partitions, preflight};
use crate::engine::required::active_required;
use crate::engine::running::Running;
use crate::engine::verify::{Comparison, Subject, Verified};
use crate::error::{Error, Result};
use crate::lifecycle::Share;
use crate::next_step::NextStep;
use crate::observe::{Phase, Progress, Recorder};
use crate::pipeline::{Governor, Workers};
use crate::store::{ActiveGeneration, BuildStore, Deed, Store, What};

/// Request for a verification.
#[derive(Debug, Clone)]
pub struct Verification {
    /// Names of the projections, without case; if empty, all that have an active generation.
    pub projections: Vec<String>,
    /// Existing collections, one for each target of the one projection that is named, instead of its active
    /// generation. They need not be built by statefold.
    pub collections: Vec<String>,
    /// Share of the streams to verify.
    pub share: Share,
    /// Fold every stream once more, also where a proof would do: by the digest that was kept, the heads of
    /// all streams, and a sample.
    pub full: bool,
}

impl Default for Verification {
    fn default() -> Self {
        Self { projections: Vec::new(), collections: Vec::new(), share: Share::ALL, full: false }
    }
}

/// Result of a verification.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The verified projections; empty if there is no event store.
    pub projections: Vec<Verified>,
    /// If there is no event store: the databases that have one, as far as they can be listed.
    pub databases_with_events: Vec<String>,
    /// Time it took, in seconds.
    pub seconds: f64,
}

impl VerifyReport {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.projections.iter().all(Verified::is_equal)
    }

    /// Whether something differs that isn't only stale.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.projections.iter().any(Verified::differs)
    }

    /// Whether snapshots are stale: what they say of other projections is out of date.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.projections.iter().any(|verified| verified.stale > 0)
    }
}

/// Begins to verify collections. Must be called on a tokio runtime.
///
/// An active generation that nobody but statefold wrote is proven, as before a cut-over, unless the settings
/// say that every stream is to be folded; whatever isn't proven so is compared stream by stream.
///
/// Streams that differ are rechecked several times, because the application may be writing them; a reported
/// difference was found while its stream stood still. The order of fields doesn't count.
///
/// # Errors
/// Awaiting the result gives [`Error::Registry`], [`Error::Unsupported`] if there is nothing to verify or
/// this program doesn't have the version it was built with, [`Error::Newer`], [`Error::Interrupted`], or what
/// the server said. Differences are no error, but in the report.
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
    let store = Store::connect(settings, registry).await?;
    store.check_majority().await?;
    let Some(stream_index) = preflight(&store, &selected).await? else {
        let databases_with_events = store.databases_with_events().await;
        return Ok(VerifyReport { projections: Vec::new(), databases_with_events, seconds: 0.0 });
    };
    let named = !request.projections.is_empty();
    let chosen = choose(&store, registry, selected, &request.collections, named).await?;
    let workers = Arc::new(Workers::new(settings.tuning().threads)?);
    let projections: Vec<Registered> = chosen.iter().map(|chosen| chosen.projection.clone()).collect();
    let tuning = settings.tuning();
    let events =
        store.events().source(stream_index.clone(), store.operation_time().await?, tuning.batch_commits);
    let many = events.estimated_count().await? > FEW_COMMITS;
    let survey = Survey::of(&events, &projections, tuning, many.then_some(&*workers)).await?;
    let order: Vec<String> =
        projections.iter().map(|projection| projection.spec().name().to_owned()).collect();
    let mut subjects = Vec::new();
    for (chosen, estimate) in chosen.iter().zip(&survey.estimates) {
        let partitions = partitions(&chosen.projection, &survey, estimate, settings);
        subjects.push(Subject {
            projection: chosen.projection.clone(),
            collections: chosen.collections.clone(),
            required: active_required(&store, &chosen.projection, settings).await?,
            partitions,
            estimate: *estimate,
            records: None,
        });
    }
    let comparison = Comparison {
        store: &store,
        settings,
        stream_index,
        workers: &workers,
        progress: &progress,
        cancel: &cancel,
        governor: Governor::free(),
        share: request.share,
    };
    let mut proven = Vec::new();
    for (subject, chosen) in subjects.iter().zip(&chosen) {
        let may_be_proven = !request.full && request.share.is_all();
        let build = if may_be_proven { build_of(&store, chosen).await? } else { None };
        let found = match build {
            Some(build) => comparison.proven(subject, &build).await?,
            None => None,
        };
        proven.push(found.map(|proven| Verified::proven(subject, &proven)));
    }
    let (compared, others): (Vec<_>, Vec<_>) =
        subjects.into_iter().zip(proven).zip(chosen).partition(|((_, proven), _)| proven.is_none());
    let others = others.into_iter().filter_map(|((_, proven), chosen)| Some((proven?, chosen)));
    let mut verified: Vec<Verified> =
        others.map(|(proven, chosen)| Verified { generation: chosen.generation, ..proven }).collect();
    let (subjects, chosen): (Vec<Subject>, Vec<Chosen>) =
        compared.into_iter().map(|((subject, _), chosen)| (subject, chosen)).unzip();
    let outcomes = if subjects.is_empty() { Vec::new() } else { comparison.run(&subjects, &survey).await? };
    for ((subject, outcome), chosen) in subjects.iter().zip(outcomes).zip(chosen) {
        let recheck = comparison.settled(subject, &outcome).await?;
        let found = Verified::of(subject, request.share, &outcome, recheck);
        verified.push(Verified { generation: chosen.generation, ..found });
    }
    let order = |verified: &Verified| order.iter().position(|name| *name == verified.projection);
    verified.sort_by_key(order);
    for verified in &verified {
        Recorder::new(&verified.projection, &progress).enter(Phase::Done, 0);
    }
    let seconds = began.elapsed().as_secs_f64();
    store.control().record(verified.iter().map(|verified| deed(verified, seconds))).await;
    Ok(VerifyReport { projections: verified, databases_with_events: Vec::new(), seconds })
}

/// A verification, for the history.
fn deed(verified: &Verified, seconds: f64) -> Deed {
    let number = |number: u64| (number > 0).then_some(number);
    let verdict = match (verified.differs(), verified.is_equal()) {
        (true, _) => "differs",
        (_, true) => "equal",
        _ if verified.stale > 0 => "stale",
        _ => "moving",
    };
    let details = json!({
        "verdict": verdict,
        "collections": verified.generation.is_none().then_some(&verified.collections),
        "share": (!verified.share.is_all()).then(|| verified.share.to_string()),
        "proven_by": verified.proven_by,
        "streams": verified.streams,
        "snapshots": verified.snapshots,
        "missing": number(verified.missing),
        "extra": number(verified.extra),
        "differing": number(verified.differing),
        "stale": number(verified.stale),
        "foreign": number(verified.foreign),
        "suspected": number(verified.suspected),
        "moving": number(verified.moving),
        "seconds": seconds,
    });
    Deed::new(What::Verified, details).of(&verified.projection, verified.generation)
}

/// The build that made an active generation.
async fn build_of(store: &Store, chosen: &Chosen) -> Result<Option<BuildStore>> {
    let Some(generation) = chosen.generation else { return Ok(None) };
    let spec = chosen.projection.spec();
    let records = store.builds().records(Some(spec.name())).await?;
    let record = records.into_iter().find(|record| record.generation == generation);
    Ok(record.map(|record| store.builds().open(record, spec.stream_filter().first())))
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
        "the active generation {number} of {name} was built with version {version}, \
         which this program doesn't have (it has version {known}): \
         verify it with a program that has it, or register it with Registry::register_former"
    ))
}

fn nothing_active(what: &str) -> Error {
    let example =
        NextStep::Verify { projection: "Assets".to_owned(), collections: vec!["States_Assets2".to_owned()] };
    let reason =
        format!("{what}: to verify what an application has built, name its projection and collections");
    Error::not_ready(reason, example)
}
