//! A whole run: connect, lock, and for each projection plan, build, index, check; then publish all.
//!
//! This file is the table of contents; each step lives in the room that knows how.

mod open;
mod pass;
mod publish;
mod report;
mod steps;

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use backon::Retryable;
use futures::FutureExt;
use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Settings;
use crate::error::{Class, Error, Result};
use crate::lifecycle::BuildState;
use crate::observe::{Phase, Progress, names};
use crate::pipeline::{Workers, pauses};
use crate::plan::sharded_siblings;
use crate::store::{Direction, Store};
use crate::survey::{FEW_COMMITS, Survey};

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

/// A rebuild at work on its own task. Await it for the result; dropping it cancels it, and what was
/// built so far is kept for the next one.
#[must_use = "a rebuild that is dropped is cancelled"]
pub struct Running {
    progress: watch::Receiver<Progress>,
    cancel: CancellationToken,
    task: JoinHandle<Result<RebuildReport>>,
    guard: DropGuard,
}

impl Running {
    /// How far it is; changes with every batch.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Cancel this to stop the rebuild; it then ends with [`Error::Interrupted`].
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.cancel.clone()
    }
}

impl IntoFuture for Running {
    type Output = Result<RebuildReport>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { task, guard, .. } = self;
            let result = task.await.map_err(|error| Error::Bug(error.to_string()));
            drop(guard);
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
/// Awaiting the result gives [`Error::Registry`] for unknown names, [`Error::LockHeld`],
/// [`Error::Unsupported`], [`Error::Mismatch`] if events arrived meanwhile, [`Error::DeadLetters`],
/// [`Error::Interrupted`], or what the server said.
pub fn rebuild(settings: &Settings, registry: &Registry, request: Rebuild) -> Running {
    names::describe();
    let (sender, progress) = watch::channel(Progress::default());
    let cancel = CancellationToken::new();
    let (settings, registry, stop) = (settings.clone(), registry.clone(), cancel.clone());
    let task = tokio::spawn(async move { run(settings, registry, request, sender, stop).await });
    Running { progress, guard: cancel.clone().drop_guard(), cancel, task }
}

/// What all steps of a run share.
struct Run {
    store: Store,
    settings: Settings,
    direction: Direction,
    token: i64,
    fresh: bool,
    workers: Arc<Workers>,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
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
    if cancel.is_cancelled() {
        return Err(Error::Interrupted);
    }
    let lock = store.lock().await?;
    let led = async {
        let token = store.next_token().await?;
        lock.note_token(token).await?;
        let (store, fresh) = (store.clone(), request.fresh);
        let run = Run { store, settings, direction, token, fresh, workers, progress, cancel };
        run.all(&selected).await
    };
    // A panic must not leave the lock behind.
    let result = std::panic::AssertUnwindSafe(led).catch_unwind().await;
    if let Err(error) = lock.release().await {
        // What was done is done, and the next run on this machine takes the lock over.
        tracing::warn!(error = %error.with_sources(), "the lock could not be released");
    }
    result.unwrap_or_else(|_| Err(Error::Bug("the rebuild panicked".into())))
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
    /// Builds all projections, then publishes all.
    async fn all(&self, selected: &[Registered]) -> Result<RebuildReport> {
        for projection in selected {
            self.refuse_downgrade(projection).await?;
        }
        let tuning = self.settings.tuning();
        let survey = || self.survey(selected);
        let transient = |error: &Error| error.class() == Class::Transient && !self.cancel.is_cancelled();
        let survey = survey.retry(pauses()).when(transient).await?;
        let mut builds = Vec::new();
        for (projection, estimate) in selected.iter().zip(&survey.estimates) {
            builds.push(match self.finished_before(projection).await? {
                Some(build) => build,
                None => self.open(projection, &survey, estimate).await?,
            });
        }
        let pass = match self.fold(&mut builds, &survey, selected).await {
            Ok(pass) => pass,
            Err(error) => {
                // Those that are complete stay what they are.
                for build in builds.iter_mut().filter(|build| build.record().state == BuildState::Building) {
                    self.record_failure(build, &error).await;
                }
                return Err(error);
            }
        };
        let mut refused = Vec::new();
        for build in &mut builds {
            if let Err(error) = self.complete(build).await {
                self.record_failure(build, &error).await;
                return Err(error);
            }
            let counts = build.counts;
            if tuning.max_errors.is_exceeded(counts.dead_letters, counts.streams) {
                let error = self.refuse(build).await?;
                self.record_failure(build, &error).await;
                refused.push(error);
            }
        }
        // The largest number is the one that lets all of them pass.
        let worst = refused.into_iter().max_by_key(|error| match error {
            Error::DeadLetters { dead_letters, .. } => *dead_letters,
            _ => 0,
        });
        if let Some(error) = worst {
            return Err(error);
        }
        self.publish(builds, pass).await
    }

    /// Looks at the event store before anything is decided.
    async fn survey(&self, selected: &[Registered]) -> Result<Survey> {
        let tuning = self.settings.tuning();
        let events = self.store.events(self.direction, None, tuning.batch_commits);
        let many = events.estimated_count().await? > FEW_COMMITS;
        Survey::of(&events, selected, tuning, many.then_some(&*self.workers)).await
    }

    /// Indexes and checks what is folded, up to the state `verified`.
    async fn complete(&self, build: &mut steps::Build) -> Result<()> {
        if build.record().state != BuildState::Indexing {
            return Ok(());
        }
        build.recorder.enter(Phase::Indexing, 0);
        self.index(build).await?;
        build.recorder.enter(Phase::Checking, build.job.staging.partitions().len());
        self.check(build).await
    }
}
