//! A whole run: connect, lock, and for each projection plan, build, index, check; then publish all.
//!
//! This file is the table of contents; each step lives in the room that knows how.

mod open;
mod publish;
mod report;
mod steps;

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use futures::FutureExt;
use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::observe::{Phase, Progress, names};
use crate::pipeline::Workers;
use crate::plan::sharded_siblings;
use crate::store::{Direction, Store};

pub use report::{Built, RebuildReport};

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
        let mut builds = Vec::new();
        let mut refused = Vec::new();
        for projection in selected {
            let mut build = match self.finished_before(projection).await? {
                Some(build) => build,
                None => self.build(projection, &builds).await?,
            };
            let counts = build.counts;
            if self.settings.tuning().max_errors.is_exceeded(counts.dead_letters, counts.streams) {
                let error = self.refuse(&build).await?;
                self.record_failure(&mut build, &error).await;
                refused.push(error);
            }
            builds.push(build);
        }
        // The largest number is the one that lets all of them pass.
        let worst = refused.into_iter().max_by_key(|error| match error {
            Error::DeadLetters { dead_letters, .. } => *dead_letters,
            _ => 0,
        });
        if let Some(error) = worst {
            return Err(error);
        }
        self.publish(builds).await
    }

    /// Plans and builds one projection, up to the state `verified`. A failure is recorded.
    async fn build(&self, projection: &Registered, before: &[steps::Build]) -> Result<steps::Build> {
        let mut build = self.open(projection, before).await?;
        match self.build_steps(&mut build).await {
            Ok(()) => Ok(build),
            Err(error) => {
                self.record_failure(&mut build, &error).await;
                Err(error)
            }
        }
    }

    async fn build_steps(&self, build: &mut steps::Build) -> Result<()> {
        build.recorder.enter(Phase::Building, build.todo.len());
        self.fold_partitions(build).await?;
        build.recorder.enter(Phase::Indexing, 0);
        self.index(build).await?;
        build.recorder.enter(Phase::Checking, build.job.staging.partitions().len());
        self.check(build).await
    }
}
