//! Records an existing collection, built by an application, as the active generation: a rebuilt one can then
//! take its name, and it can be rolled back to. Nothing in it is changed.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::leader::{Leadership, lead_watched};
use crate::engine::pass::{FEW_COMMITS, Survey};
use crate::engine::preflight::{named_collections, partitions, preflight};
use crate::engine::required::active_required;
use crate::engine::running::Running;
use crate::engine::verify::{Comparison, Subject, Verified};
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, CutOverMode, Share};
use crate::observe::{Phase, Progress, Recorder};
use crate::pipeline::ports::{PartitionRecord, SnapshotSink};
use crate::pipeline::{Governor, Workers};
use crate::plan::{Estimate, Partition};
use crate::store::{BuildOrigin, BuildStore, Deed, Flip, RecordsOnly, Store, StreamIndex, What};

/// Request to adopt a collection.
#[derive(Debug, Clone)]
pub struct Adopt {
    /// Name of the projection, without case.
    pub projection: String,
    /// Its existing collections, one for each target.
    pub collections: Vec<String>,
    /// Number of the generation; by default the one at the end of the first collection's name, else 1.
    pub generation: Option<u32>,
    /// Adopt although some snapshots differ from the event store: a roll back then refolds all of them.
    pub force: bool,
    /// Record nothing, only verify. On by default.
    pub dry_run: bool,
}

impl Default for Adopt {
    fn default() -> Self {
        Self {
            projection: String::new(),
            collections: Vec::new(),
            generation: None,
            force: false,
            dry_run: true,
        }
    }
}

/// Result of an adoption.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AdoptReport {
    /// Whether the adoption is recorded now.
    pub adopted: bool,
    /// Number of the generation.
    pub generation: u32,
    /// How it compares with the event store; absent if there is none.
    pub verified: Option<Verified>,
}

/// Begins to adopt a collection. Must be called on a tokio runtime. Differences from the event store are in
/// the report; unless forced, nothing is recorded then.
///
/// # Errors
/// Awaiting the result gives [`Error::Registry`], [`Error::Config`], [`Error::Unsupported`] if the projection
/// has an active generation already or there is no event store, [`Error::LeaseHeld`], or what the server
/// said.
pub fn adopt(settings: &Settings, registry: &Registry, request: Adopt) -> Running<AdoptReport> {
    let (settings, registry) = (settings.clone(), registry.clone());
    Running::begin(move |progress, cancel| async move {
        run(&settings, &registry, request, progress, cancel).await
    })
}

/// State that all steps of an adoption share.
struct Adoption<'a> {
    store: &'a Store,
    settings: &'a Settings,
    stream_index: StreamIndex,
    request: &'a Adopt,
    projection: Registered,
    generation: u32,
    progress: &'a watch::Sender<Progress>,
    cancel: &'a CancellationToken,
}

async fn run(
    settings: &Settings,
    registry: &Registry,
    request: Adopt,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
) -> Result<AdoptReport> {
    let selected = registry.select(std::slice::from_ref(&request.projection))?;
    let store = Store::connect(settings, registry).await?;
    let Some(stream_index) = preflight(&store, &selected).await? else {
        let name = store.database();
        return Err(Error::Unsupported(format!(
            "{name} has no event store that a generation could be compared with"
        )));
    };
    let chosen = named_collections(&store, selected, &request.collections).await?;
    let request = Adopt { collections: chosen.collections, ..request };
    let generation =
        request.generation.unwrap_or_else(|| number_of(&chosen.projection, &request.collections));
    let work = Adoption {
        store: &store,
        settings,
        stream_index,
        request: &request,
        projection: chosen.projection,
        generation,
        progress: &progress,
        cancel: &cancel,
    };
    work.refuse_second().await?;
    if request.dry_run {
        let looked = work.look().await?;
        return work.compared(&looked, None, None).await;
    }
    let leadership = Arc::new(lead_watched(&store, settings, &progress, &cancel).await?);
    let result = work.recorded(&leadership).await;
    let report = leadership.end(result).await?;
    if report.adopted {
        let differing = report.verified.as_ref().is_some_and(Verified::differs);
        let details = json!({
            "collections": request.collections, "differs": differing, "forced": request.force.then_some(true),
        });
        let deed = Deed::new(What::Adopted, details).of(work.name(), Some(report.generation));
        store.control().record([deed]).await;
    }
    Ok(report)
}

/// The number at the end of a collection's name: 2 for `States_Assets2`, 1 for `States_Assets`.
fn number_of(projection: &Registered, collections: &[String]) -> u32 {
    let target = projection.spec().targets().first();
    target.zip(collections.first()).and_then(|(target, name)| target.number_of(name)).unwrap_or(1)
}

/// Survey of the event store, before anything is compared.
struct Looked {
    workers: Arc<Workers>,
    survey: Survey,
    estimate: Estimate,
}

impl Adoption<'_> {
    fn name(&self) -> &str {
        self.projection.spec().name()
    }

    /// Refuses to adopt a second generation, or under a number that a build has.
    async fn refuse_second(&self) -> Result<()> {
        if let Some(active) = self.store.control().active(self.name()).await? {
            let (name, number) = (self.name(), active.active);
            return Err(Error::Unsupported(format!(
                "{name} has an active generation already ({number}, {}): a second one can't be adopted",
                active.collections.join(", ")
            )));
        }
        let records = self.store.builds().records(Some(self.name())).await?;
        let taken = records.iter().find(|record| record.generation == self.generation && !record.adopted);
        match taken {
            Some(taken) => Err(Error::State {
                build: taken.id.clone(),
                expected: "a number that no build has".into(),
                actual: taken.state.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// Compares the collections with the event store. The heads go to `records`, in the partitions of the
    /// build.
    async fn compared(
        &self,
        looked: &Looked,
        records: Option<Arc<dyn SnapshotSink>>,
        recorded: Option<Vec<Partition>>,
    ) -> Result<AdoptReport> {
        let Looked { workers, survey, estimate } = looked;
        let comparison = Comparison {
            store: self.store,
            settings: self.settings,
            stream_index: self.stream_index.clone(),
            workers,
            progress: self.progress,
            cancel: self.cancel,
            governor: Governor::free(),
            share: Share::ALL,
        };
        let subject = Subject {
            projection: self.projection.clone(),
            collections: self.request.collections.clone(),
            required: active_required(self.store, &self.projection, self.settings).await?,
            partitions: recorded
                .unwrap_or_else(|| partitions(&self.projection, survey, estimate, self.settings)),
            estimate: *estimate,
            records,
        };
        let outcome = comparison.run(std::slice::from_ref(&subject), survey).await?.pop();
        let outcome = outcome.ok_or_else(|| Error::Bug("nothing was compared".into()))?;
        let recheck = comparison.settled(&subject, &outcome).await?;
        let verified = Verified::of(&subject, Share::ALL, &outcome, recheck);
        Recorder::new(self.name(), self.progress).enter(Phase::Done, 0);
        Ok(AdoptReport { adopted: false, generation: self.generation, verified: Some(verified) })
    }

    /// Surveys the event store.
    async fn look(&self) -> Result<Looked> {
        let tuning = self.settings.tuning();
        let workers = Arc::new(Workers::new(tuning.threads)?);
        let now = self.store.operation_time().await?;
        let events = self.store.events().source(self.stream_index.clone(), now, tuning.batch_commits);
        let many = events.estimated_count().await? > FEW_COMMITS;
        let projections = std::slice::from_ref(&self.projection);
        let survey = Survey::of(&events, projections, tuning, many.then_some(&*workers)).await?;
        let estimate = survey.estimates.first().copied().unwrap_or_default();
        Ok(Looked { workers, survey, estimate })
    }

    /// Records the adoption, compares, and makes the generation active if it may be.
    async fn recorded(&self, leadership: &Leadership) -> Result<AdoptReport> {
        self.refuse_second().await?;
        let looked = self.look().await?;
        let ranges = partitions(&self.projection, &looked.survey, &looked.estimate, self.settings);
        let (spec, layout) = (self.projection.spec(), &self.store.layout);
        let record = crate::store::BuildRecord::adopted(
            spec,
            self.generation,
            &self.request.collections,
            ranges.iter().map(|partition| partition.range.clone()).collect(),
            BuildOrigin {
                fingerprint: crate::lifecycle::fingerprint(spec, layout),
                token: leadership.mandate.token,
            },
            self.store.database(),
        );
        self.store.snapshots().forget_adopted(&record.id, &leadership.mandate).await?;
        let build =
            self.store.builds().create(record, spec.stream_filter().first(), &leadership.mandate).await?;
        let records: Arc<dyn SnapshotSink> = Arc::new(RecordsOnly(build.clone()));
        let compared = self.compared(&looked, Some(records), Some(build.partitions())).await;
        let id = build.record.id.clone();
        let report = match compared {
            Ok(report) if report.verified.as_ref().is_some_and(|verified| !verified.differs()) => report,
            Ok(report) if self.request.force => {
                // Not all differences are known, so no stream counts as folded.
                without_heads(&build).await?;
                report
            }
            Ok(report) => {
                self.store.snapshots().forget_adopted(&id, &leadership.mandate).await?;
                return Ok(report);
            }
            Err(error) => {
                if let Err(second) = self.store.snapshots().forget_adopted(&id, &leadership.mandate).await {
                    tracing::debug!(error = %second.with_sources(), "the next run removes what is recorded");
                }
                return Err(error);
            }
        };
        self.activate(build, leadership).await?;
        Ok(AdoptReport { adopted: true, ..report })
    }

    /// Flips the pointer to the adopted generation.
    async fn activate(&self, mut build: BuildStore, leadership: &Leadership) -> Result<()> {
        build.advance(BuildState::Published, |_| {}).await?;
        // The application that built it reads it by its name.
        let flip = Flip { record: build.record.clone(), mode: CutOverMode::Rename, undrained: None };
        let now = self.store.control().flip_time().await?;
        self.store.control().flip(&[flip], &leadership.mandate, now, None).await?;
        build.advance(BuildState::Active, |_| {}).await
    }
}

/// Clears all recorded heads, so that a roll back refolds every stream.
async fn without_heads(build: &BuildStore) -> Result<()> {
    let records = RecordsOnly(build.clone());
    for partition in build.partitions() {
        records.clear(&partition).await?;
        records.finish(&partition, &PartitionRecord::default(), &[]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use statefold_projections::squidex;

    use super::*;

    #[test]
    fn a_generation_has_the_number_at_the_end_of_its_name() {
        let registry = squidex::registry();
        for (name, number) in [("States_Assets2", 2), ("States_Assets", 1), ("Other", 1)] {
            let assets = registry.get("Assets").ok().map(|assets| number_of(assets, &[name.to_owned()]));
            assert_eq!(assets, Some(number), "{name}");
        }
    }
}
