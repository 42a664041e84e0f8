//! A whole run: connect, lead, and for each projection plan, build, index, check; then lock and publish.
//!
//! This file is the table of contents; each step lives in the room that knows how.

mod catch_up;
mod cut_over;
mod finish;
pub(crate) mod gate;
mod open;
mod pass;
mod polite;
mod publish;
mod recover;
mod report;
mod roll_back;
mod steps;
mod verify;

use std::sync::Arc;

use backon::Retryable;
use futures::FutureExt;
use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cleanup;
use crate::config::Settings;
use crate::error::{Class, Error, Result};
use crate::leader::{Claimant, Leadership, Patience, Waiting};
use crate::lifecycle::{BuildState, CutOverMode, fingerprint};
use crate::observe::Progress;
use crate::pipeline::{Governor, Workers, pauses};
use crate::plan::sharded_siblings;
use crate::store::{BuildRecord, Direction, Feed, Mandate, Store};
use crate::survey::{FEW_COMMITS, Survey};
use recover::Finished;

pub use cut_over::CutOver;
pub(crate) use polite::govern;
pub use report::{Built, PassReport, RebuildReport};

pub(crate) use crate::running::Running;

/// What to rebuild.
#[derive(Debug, Clone, Default)]
pub struct Rebuild {
    /// Names of the projections, without case; all registered ones if empty.
    pub projections: Vec<String>,
    /// Begin anew even if an unfinished build could be resumed; that one is aborted.
    pub fresh: bool,
    /// How readers find the new generation; as they find the active one, if nothing is said.
    pub mode: Option<CutOverMode>,
    /// Stop when everything is built and verified; [`cutover`] goes on.
    pub postpone: bool,
    /// Cut over although servers run that can't read the new version.
    pub force: bool,
}

impl Rebuild {
    /// Rebuilds these projections.
    #[must_use]
    pub fn of<S: Into<String>>(projections: impl IntoIterator<Item = S>) -> Self {
        Self { projections: projections.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// Begins to rebuild projections into their next generations. Must be called on a tokio runtime.
///
/// All of them are built and checked before the first is published; then the pointers of all move in
/// one update. An unfinished build is resumed: what is done and still agrees with the event store is
/// kept.
///
/// # Errors
/// Awaiting the result gives [`Error::Registry`] for unknown names, [`Error::LeaseHeld`],
/// [`Error::LeaseLost`], [`Error::LockHeld`] if the application's lock isn't free for the cut-over,
/// [`Error::Unsupported`], [`Error::Mismatch`] if events arrived meanwhile, [`Error::DeadLetters`],
/// [`Error::Interrupted`], or what the server said.
pub fn rebuild(settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    let (settings, registry) = (settings.clone(), registry.clone());
    Running::begin(move |progress, cancel| run(settings, registry, request, Task::Rebuild, progress, cancel))
}

/// Begins to cut over to generations that are complete: built and verified before, as by
/// [`Rebuild::postpone`]. What happened since is caught up with, and everything is verified again. Must be
/// called on a tokio runtime.
///
/// # Errors
/// Awaiting the result gives [`Error::Unsupported`] if there is no complete build; else as [`rebuild`].
pub fn cutover(settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    let (settings, registry) = (settings.clone(), registry.clone());
    Running::begin(move |progress, cancel| run(settings, registry, request, Task::Complete, progress, cancel))
}

/// Begins to go back to the generations that were active before, all in one update: they are caught up, verified,
/// and cut over to as new ones are. Rolling back once more leads forward again. Must be called on a tokio runtime.
///
/// # Errors
/// Awaiting the result gives [`Error::Unsupported`] with the reason if there is nothing to go back to, or this
/// program doesn't have the version it was built with; else as [`rebuild`].
pub fn rollback(settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    let (settings, registry) = (settings.clone(), registry.clone());
    Running::begin(move |progress, cancel| run(settings, registry, request, Task::RollBack, progress, cancel))
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Rebuild,
    /// A server starts: whatever is behind.
    Start,
    /// Go on with what is complete.
    Complete,
    RollBack,
}

/// What all steps of a run share.
pub(crate) struct Run {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) settings: Settings,
    pub(crate) direction: Direction,
    /// Whether there is an event store.
    pub(crate) has_events: bool,
    pub(crate) leadership: Arc<Leadership>,
    pub(crate) mandate: Mandate,
    pub(crate) lock: LockFor,
    pub(crate) publishing: Publishing,
    /// What was asked for.
    pub(crate) request: Rebuild,
    pub(crate) task: Task,
    pub(crate) workers: Arc<Workers>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) cancel: CancellationToken,
    pub(crate) governor: Governor,
}

/// What the lock of the version document is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockFor {
    /// Only for the cut-over: servers of the application may start meanwhile.
    CutOver,
    /// For the whole run; whoever began it holds it already.
    Run,
}

/// When what is finished is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publishing {
    /// All projections at once, or none.
    Together,
    /// Each as soon as it is finished.
    Each,
}

async fn run(
    settings: Settings,
    registry: Registry,
    request: Rebuild,
    task: Task,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
) -> Result<RebuildReport> {
    let mut selected = registry.select(&request.projections)?;
    if selected.is_empty() {
        return Err(Error::Config(vec!["no projection is registered".into()]));
    }
    let store = Store::connect(&settings, registry.layout()).await?;
    let Some(direction) = preflight(&store, &selected).await? else {
        return Ok(RebuildReport::nothing_to_do(store.databases_with_events().await));
    };
    let named = !request.projections.is_empty();
    match task {
        Task::Rebuild | Task::Start => {}
        Task::Complete => selected = complete(&store, selected, named).await?,
        // What is refused is refused before anybody is waited for.
        Task::RollBack => _ = roll_back::formers(&store, &registry, selected.clone(), named).await?,
    }
    let workers = Arc::new(Workers::new(settings.tuning().threads)?);
    let lease = settings.lease();
    let waiting = Waiting { lease, limit: lease.wait_limit, progress: &progress };
    let claimant = Claimant { store: &store, waiting, patience: Patience::UntilAlive, cancel: &cancel };
    let leadership = Arc::new(claimant.claim_anyway().await?);
    let run = Run {
        store: store.clone(),
        registry: registry.clone(),
        direction,
        has_events: true,
        mandate: leadership.mandate.clone(),
        cancel: leadership.cancel.clone(),
        leadership: Arc::clone(&leadership),
        lock: LockFor::CutOver,
        publishing: Publishing::Together,
        request,
        task,
        workers,
        governor: govern(&store, &settings, &leadership, &progress),
        progress: progress.clone(),
        settings: settings.clone(),
    };
    let result = match task {
        Task::Rebuild | Task::Start | Task::Complete => run.rebuilt(&selected).await,
        // Looked at again: before the lease somebody else may have been at work.
        Task::RollBack => {
            let back = async {
                run.settle_all(&selected).await?;
                let formers = roll_back::formers(&store, &registry, selected.clone(), named).await?;
                run.roll_back(formers).await
            };
            guarded(back).await
        }
    };
    if result.is_ok() && task != Task::RollBack {
        cleanup::automatic(&store, &settings, &registry, &leadership.mandate).await;
    }
    leadership.end(result).await
}

/// The projections with a complete build of this version; all of them, if they were named.
async fn complete(store: &Store, selected: Vec<Registered>, named: bool) -> Result<Vec<Registered>> {
    let mut complete = Vec::new();
    for projection in selected {
        let name = projection.spec().name();
        let records = store.builds().records(Some(name)).await?;
        let is_complete = |record: &&BuildRecord| {
            let state = record.state;
            matches!(state, BuildState::Verified | BuildState::Published) && !record.adopted
        };
        let found: Vec<&BuildRecord> = records.iter().filter(is_complete).collect();
        let print = fingerprint(projection.spec(), &store.layout);
        if let Some(other) = found.iter().find(|one| is_new(one, &records) && one.fingerprint != print) {
            return Err(of_another_version(other, projection.spec().version()));
        }
        if !found.is_empty() {
            complete.push(projection);
        } else if named {
            return Err(Error::Unsupported(format!(
                "{name} has no complete build to cut over to: statefold rebuild {name} --yes builds one"
            )));
        }
    }
    if complete.is_empty() {
        let how = "statefold rebuild --yes --postpone builds them";
        return Err(Error::Unsupported(format!("no projection has a complete build to cut over to: {how}")));
    }
    Ok(complete)
}

/// Whether nobody has read a generation yet: not one that is being rolled back to, or has its name already.
fn is_new(record: &BuildRecord, all: &[BuildRecord]) -> bool {
    let later = |one: &BuildRecord| one.state == BuildState::Active && one.generation > record.generation;
    record.state == BuildState::Verified || record.swap.is_none() && !all.iter().any(later)
}

fn of_another_version(record: &BuildRecord, known: u32) -> Error {
    let BuildRecord { id, projection, projection_version: version, .. } = record;
    let what = if *version == known {
        "another definition of its projection, or another layout, than this program has".to_owned()
    } else {
        format!("version {version} of {projection}, and this program has version {known}")
    };
    Error::Unsupported(format!(
        "{id} is complete, but it was built with {what}: cut over with the program that built it, or give it up and \
         build anew: statefold rebuild {projection} --yes"
    ))
}

/// Looks at what has to be right before anything is written. `None`: there is no event store.
pub(crate) async fn preflight(store: &Store, selected: &[Registered]) -> Result<Option<Direction>> {
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

/// A panic is an error, so that lease and lock are not left behind.
async fn guarded(work: impl Future<Output = Result<RebuildReport>>) -> Result<RebuildReport> {
    let result = std::panic::AssertUnwindSafe(work).catch_unwind().await;
    result.unwrap_or_else(|_| Err(Error::Bug("the rebuild panicked".into())))
}

impl Run {
    /// Builds and publishes.
    pub(crate) async fn rebuilt(&self, selected: &[Registered]) -> Result<RebuildReport> {
        guarded(self.all(selected)).await
    }

    /// Builds all projections and publishes them.
    async fn all(&self, selected: &[Registered]) -> Result<RebuildReport> {
        for projection in selected {
            self.refuse_downgrade(projection).await?;
            self.refuse_nameless(projection).await?;
        }
        let survey = self.survey_with_retries(selected).await?;
        self.refuse_shortage(selected, &survey).await?;
        // Before the first read: whatever is written from now on shows in it.
        let feed = self.follow(selected).await?;
        let result = self.build_and_publish(selected, &survey, feed.as_ref()).await;
        if let Some(feed) = feed {
            feed.end().await;
        }
        result
    }

    async fn build_and_publish(
        &self,
        selected: &[Registered],
        survey: &Survey,
        feed: Option<&Feed>,
    ) -> Result<RebuildReport> {
        let mut builds = Vec::new();
        for (position, projection) in selected.iter().enumerate() {
            builds.push(match self.finished_before(projection, position).await? {
                Finished::Waiting(mut build) => {
                    let others = self.others(projection, &builds).await?;
                    build.job_mut()?.others = others;
                    *build
                }
                // Nothing more was wanted.
                Finished::Already if self.task != Task::Rebuild => continue,
                Finished::Already | Finished::No => self.open(projection, survey, position).await?,
            });
        }
        let folded = self.fold(&mut builds, survey, selected).await;
        if let Some(feed) = feed {
            feed.begin();
        }
        if let Err(error) = &folded {
            // Those that are complete stay what they are.
            for build in builds.iter_mut().filter(|build| build.record().state == BuildState::Building) {
                self.record_failure(build, error).await;
                self.drop_leftovers(build, error).await;
            }
        }
        let pass = match (folded, self.publishing) {
            (Ok(pass), _) => pass,
            (Err(error), Publishing::Together) => return Err(error),
            (Err(error), Publishing::Each) if self.cancel.is_cancelled() => return Err(error),
            (Err(error), Publishing::Each) => {
                builds.retain(|build| {
                    !matches!(build.record().state, BuildState::Building | BuildState::Failed)
                });
                self.finish_each(builds, feed, survey).await?;
                return Err(error);
            }
        };
        let (projections, cut_over) = match self.publishing {
            Publishing::Together => self.finish_together(builds, feed, survey).await?,
            Publishing::Each => self.finish_each(builds, feed, survey).await?,
        };
        let weakness = self.store.facts.weakness().map(str::to_owned);
        let (postponed, databases_with_events) = (self.request.postpone, Vec::new());
        Ok(RebuildReport { projections, pass, postponed, cut_over, databases_with_events, weakness })
    }

    async fn survey_with_retries(&self, selected: &[Registered]) -> Result<Survey> {
        let survey = || self.survey(selected);
        let transient = |error: &Error| error.class() == Class::Transient && !self.cancel.is_cancelled();
        survey.retry(pauses()).when(transient).await
    }

    /// Looks at the event store before anything is decided.
    async fn survey(&self, selected: &[Registered]) -> Result<Survey> {
        let tuning = self.settings.tuning();
        let events = self.store.events().source(self.direction, None, tuning.batch_commits);
        let many = events.estimated_count().await? > FEW_COMMITS;
        Survey::of(&events, selected, tuning, many.then_some(&*self.workers)).await
    }
}
