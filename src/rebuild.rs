//! A whole run: connect, lead, and for each projection plan, build, index, check; then lock and publish.
//!
//! This file is the table of contents; each step lives in the room that knows how.

mod catch_up;
mod cut_over;
mod open;
mod pass;
mod publish;
mod report;
mod steps;
mod verify;

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use backon::Retryable;
use futures::FutureExt;
use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cleanup;
use crate::config::Settings;
use crate::error::{Class, Error, Result};
use crate::leader::{Claimant, Leadership, Patience, Waiting};
use crate::lifecycle::BuildState;
use crate::observe::{Phase, Progress, names};
use crate::pipeline::{Workers, pauses};
use crate::plan::sharded_siblings;
use crate::store::{Direction, Feed, Mandate, Store};
use crate::survey::{FEW_COMMITS, Survey};
use steps::Build;

pub use cut_over::CutOver;
pub use report::{Built, PassReport, RebuildReport};

/// What to rebuild.
#[derive(Debug, Clone, Default)]
pub struct Rebuild {
    /// Names of the projections, without case; all registered ones if empty.
    pub projections: Vec<String>,
    /// Begin anew even if an unfinished build could be resumed; that one is aborted.
    pub fresh: bool,
}

impl Rebuild {
    /// Rebuilds these projections.
    #[must_use]
    pub fn of<S: Into<String>>(projections: impl IntoIterator<Item = S>) -> Self {
        Self { projections: projections.into_iter().map(Into::into).collect(), fresh: false }
    }
}

/// A rebuild or migration at work on its own task. Await it for the result; dropping it cancels it, and
/// what was built so far is kept for the next one.
#[must_use = "what is dropped is cancelled"]
pub struct Running<T = RebuildReport> {
    progress: watch::Receiver<Progress>,
    cancel: CancellationToken,
    task: JoinHandle<Result<T>>,
    guard: DropGuard,
}

impl<T: Send + 'static> Running<T> {
    /// Begins work that shows its progress and can be cancelled.
    pub(crate) fn begin<F>(work: impl FnOnce(watch::Sender<Progress>, CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        names::describe();
        let (sender, progress) = watch::channel(Progress::default());
        let cancel = CancellationToken::new();
        let task = tokio::spawn(work(sender, cancel.clone()));
        Self { progress, guard: cancel.clone().drop_guard(), cancel, task }
    }

    /// How far it is; changes with every batch.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Cancel this to stop it; it then ends with [`Error::Interrupted`].
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.cancel.clone()
    }
}

impl<T: Send + 'static> IntoFuture for Running<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { task, guard, .. } = self;
            let result = task.await.map_err(|error| Error::Bug(error.to_string()));
            // It has ended: nothing is left to cancel.
            let _ = guard.disarm();
            result?
        })
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
    Running::begin(move |progress, cancel| run(settings, registry, request, progress, cancel))
}

/// What all steps of a run share.
pub(crate) struct Run {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) direction: Direction,
    /// Whether there is an event store.
    pub(crate) has_events: bool,
    pub(crate) leadership: Arc<Leadership>,
    pub(crate) mandate: Mandate,
    pub(crate) lock: LockFor,
    pub(crate) publishing: Publishing,
    pub(crate) fresh: bool,
    pub(crate) workers: Arc<Workers>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) cancel: CancellationToken,
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
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
) -> Result<RebuildReport> {
    let selected = registry.select(&request.projections)?;
    if selected.is_empty() {
        return Err(Error::Config(vec!["no projection is registered".into()]));
    }
    let store = Store::connect(&settings, registry.layout()).await?;
    let Some(direction) = preflight(&store, &selected).await? else {
        return Ok(RebuildReport::nothing_to_do(store.databases_with_events().await));
    };
    let workers = Arc::new(Workers::new(settings.tuning().threads)?);
    let lease = settings.lease();
    let waiting = Waiting { lease, limit: lease.wait_limit, progress: &progress };
    let claimant = Claimant { store: &store, waiting, patience: Patience::UntilAlive, cancel: &cancel };
    let leadership = Arc::new(claimant.claim_anyway().await?);
    let run = Run {
        store: store.clone(),
        direction,
        has_events: true,
        mandate: leadership.mandate.clone(),
        cancel: leadership.cancel.clone(),
        leadership: Arc::clone(&leadership),
        lock: LockFor::CutOver,
        publishing: Publishing::Together,
        fresh: request.fresh,
        workers,
        progress: progress.clone(),
        settings: settings.clone(),
    };
    let result = run.guarded(&selected).await;
    if result.is_ok() {
        cleanup::automatic(&store, &settings, &registry, &leadership.mandate).await;
    }
    leadership.end(result).await
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
    store.stream_index().await.map(Some)
}

impl Run {
    /// Builds and publishes; a panic is an error, so that lease and lock are not left behind.
    pub(crate) async fn guarded(&self, selected: &[Registered]) -> Result<RebuildReport> {
        let result = std::panic::AssertUnwindSafe(self.all(selected)).catch_unwind().await;
        result.unwrap_or_else(|_| Err(Error::Bug("the rebuild panicked".into())))
    }

    /// Builds all projections and publishes them.
    async fn all(&self, selected: &[Registered]) -> Result<RebuildReport> {
        for projection in selected {
            self.refuse_downgrade(projection).await?;
        }
        let survey = || self.survey(selected);
        let transient = |error: &Error| error.class() == Class::Transient && !self.cancel.is_cancelled();
        let survey = survey.retry(pauses()).when(transient).await?;
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
                Some(build) => build,
                None => self.open(projection, survey, position).await?,
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
        Ok(RebuildReport { projections, pass, cut_over, databases_with_events: Vec::new(), weakness })
    }

    /// Completes and verifies all builds, then publishes all of them, or none.
    async fn finish_together(
        &self,
        mut builds: Vec<Build>,
        feed: Option<&Feed>,
        survey: &Survey,
    ) -> Result<(Vec<Built>, Vec<CutOver>)> {
        let mut refused = Vec::new();
        for build in &mut builds {
            refused.extend(self.finish(build, feed).await?);
        }
        if refused.is_empty() {
            refused.extend(self.verify(&mut builds, feed, survey).await?.into_iter().flatten());
        }
        // The largest number is the one that lets all of them pass.
        let worst = refused.into_iter().max_by_key(|error| match error {
            Error::DeadLetters { dead_letters, .. } => *dead_letters,
            _ => 0,
        });
        match worst {
            Some(error) => Err(error),
            None => self.cut_over(&mut builds, feed).await.map(|(built, cut_over)| (built, vec![cut_over])),
        }
    }

    /// Completes and verifies all builds, then publishes one after the other. One that fails keeps back
    /// only those that require it.
    async fn finish_each(
        &self,
        builds: Vec<Build>,
        feed: Option<&Feed>,
        survey: &Survey,
    ) -> Result<(Vec<Built>, Vec<CutOver>)> {
        let mut failed: Vec<(String, Error)> = Vec::new();
        let mut finished = Vec::new();
        for mut build in builds {
            match self.finish(&mut build, feed).await {
                Ok(None) => finished.push(build),
                Ok(Some(error)) => failed.push((build.record().projection.clone(), error)),
                Err(error) if error.class() == Class::Data => {
                    failed.push((build.record().projection.clone(), error));
                }
                Err(error) => return Err(error),
            }
        }
        let refused = self.verify(&mut finished, feed, survey).await?;
        let (mut published, mut cut_overs, mut kept_back) = (Vec::new(), Vec::new(), Vec::new());
        for (mut build, refused) in finished.into_iter().zip(refused) {
            let name = build.record().projection.clone();
            let spec = build.job.projection.spec().clone();
            let is_missing = |one: &String| {
                let mut names = failed.iter().map(|(name, _)| name).chain(&kept_back);
                names.any(|name: &String| name.eq_ignore_ascii_case(one))
            };
            if spec.required().iter().any(is_missing) {
                tracing::warn!(projection = name, "kept back: what it requires could not be published");
                kept_back.push(name);
                continue;
            }
            let result = match refused {
                Some(error) => Err(error),
                None => self.cut_over(std::slice::from_mut(&mut build), feed).await,
            };
            match result {
                Ok((built, cut_over)) => {
                    published.extend(built);
                    cut_overs.push(cut_over);
                }
                Err(error) if error.class() == Class::Data => failed.push((name, error)),
                Err(error) => return Err(error),
            }
        }
        failed.into_iter().next().map_or(Ok((published, cut_overs)), |(_, error)| Err(error))
    }

    /// Completes one build. `Some` says that it has too many dead letters.
    async fn finish(&self, build: &mut Build, feed: Option<&Feed>) -> Result<Option<Error>> {
        if let Err(error) = self.complete(build, feed).await {
            self.record_failure(build, &error).await;
            self.drop_leftovers(build, &error).await;
            return Err(error);
        }
        let counts = build.counts;
        if !self.settings.tuning().max_errors.is_exceeded(counts.dead_letters, counts.streams) {
            return Ok(None);
        }
        let error = self.refuse(build).await?;
        self.record_failure(build, &error).await;
        Ok(Some(error))
    }

    /// Looks at the event store before anything is decided.
    async fn survey(&self, selected: &[Registered]) -> Result<Survey> {
        let tuning = self.settings.tuning();
        let events = self.store.events(self.direction, None, tuning.batch_commits);
        let many = events.estimated_count().await? > FEW_COMMITS;
        Survey::of(&events, selected, tuning, many.then_some(&*self.workers)).await
    }

    /// Indexes, catches up and compares heads; what is left is to verify.
    async fn complete(&self, build: &mut Build, feed: Option<&Feed>) -> Result<()> {
        if build.record().state == BuildState::Indexing {
            build.recorder.enter(Phase::Indexing, 0);
            self.index(build).await?;
        }
        if build.record().state == BuildState::CatchingUp {
            build.recorder.enter(Phase::CatchingUp, 0);
            self.catch_up(build, feed).await?;
            self.check(build, feed).await?;
        }
        Ok(())
    }
}
