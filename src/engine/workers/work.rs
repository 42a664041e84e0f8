//! A worker: joins whatever builds are open, claims partitions, builds them, and leaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::preflight::preflight;
use crate::engine::required::required_of;
use crate::engine::workers::input::shared_input;
use crate::engine::workers::partitions::SharedPartitions;
use crate::engine::workers::presence::Presence;
use crate::error::{Class, Error, Result};
use crate::lifecycle::{BuildState, is_fingerprint_of};
use crate::observe::{Phase, Progress, Recorder, Wait};
use crate::pipeline::{self, Governor, Job, JobContext, Workers};
use crate::store::{BuildRecord, Claims, RunThrottle, Store, StreamIndex};

/// Pause between two looks for a build.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The longest of them.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(2);

/// What a worker did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Worked {
    /// Builds it took part in.
    pub(crate) builds: Vec<String>,
    /// Partitions it finished.
    pub(crate) partitions: u64,
    /// Commits of them.
    pub(crate) commits: u64,
    /// Why it could take part in no (further) build.
    pub(crate) refused: Vec<String>,
}

/// How long to stay while there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// Leave at once.
    Leave,
    /// Leave after this time.
    WaitFor(Duration),
    /// Stay until it is cancelled.
    Stay,
}

/// A process that works.
pub(crate) struct Working<'a> {
    pub(crate) store: &'a Store,
    pub(crate) settings: &'a Settings,
    pub(crate) registry: &'a Registry,
    pub(crate) progress: &'a watch::Sender<Progress>,
    pub(crate) cancel: &'a CancellationToken,
}

impl Working<'_> {
    /// Works until nothing is left to do.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there are builds, and none of them can be worked on by this program;
    /// [`Error::Interrupted`]; what the server said.
    pub(crate) async fn work(&self, nothing: Nothing) -> Result<Worked> {
        let index = preflight(self.store, self.registry.projections()).await?;
        let workers = Arc::new(Workers::new(self.settings.tuning().threads)?);
        let (mut worked, mut idle) = (Worked::default(), Instant::now());
        // A leader that begins counts who waits for it.
        let mut here = Some(self.join().await?);
        let result = loop {
            if self.cancel.is_cancelled() {
                break Err(Error::Interrupted);
            }
            let round = match self.look(&mut here).await {
                Ok((here, Some(open))) => {
                    Recorder::waiting_over(self.progress);
                    let built = self.build(here, &open, index.as_ref(), &workers, &mut worked).await;
                    // What it waits for is the next build, or the next leader of this one.
                    if !matches!(built, Ok(false)) {
                        idle = Instant::now();
                    }
                    built
                }
                Ok((_, None)) => {
                    Recorder::waiting(self.progress, Wait::Build, None, "a build that is open to workers");
                    Ok(false)
                }
                Err(error) => Err(error),
            };
            match round {
                Ok(true) => {}
                Ok(false) if nothing.is_over(idle) => break Ok(()),
                Ok(false) => self.pause_after(idle).await,
                Err(error) => match self.outlasts(error) {
                    Some(error) => break Err(error),
                    None => self.pause().await,
                },
            }
        };
        if let Some(here) = here {
            here.leave().await;
        }
        result?;
        worked.refused = self.refused(&self.store.builds().open_to_all().await?);
        if worked.builds.is_empty() && !worked.refused.is_empty() {
            return Err(Error::Unsupported(worked.refused.join("; ")));
        }
        Ok(worked)
    }

    /// Takes part in builds until it is cancelled, and isn't there in between: no leader counts on it.
    pub(crate) async fn help(&self) {
        let workers = match Workers::new(self.settings.tuning().threads) {
            Ok(workers) => Arc::new(workers),
            Err(error) => return tracing::warn!(error = %error.with_sources(), "this server can't help"),
        };
        let mut worked = Worked::default();
        while !self.cancel.is_cancelled() {
            if let Err(error) = self.help_once(&workers, &mut worked).await
                && let Some(error) = self.outlasts(error)
            {
                return tracing::warn!(error = %error.with_sources(), "this server no longer helps");
            }
            self.pause().await;
        }
    }

    async fn help_once(&self, workers: &Arc<Workers>, worked: &mut Worked) -> Result<()> {
        let Some(open) = self.open().await? else { return Ok(()) };
        let here = self.join().await?;
        let built = self.build(&here, &open, None, workers, worked).await;
        here.leave().await;
        built.map(|_| ())
    }

    async fn join(&self) -> Result<Presence> {
        let lease = self.settings.lease();
        Presence::join(self.store, lease, self.progress.subscribe(), self.cancel, false).await
    }

    /// Looks for a build that is open. A worker that was dismissed comes anew.
    async fn look<'p>(&self, here: &'p mut Option<Presence>) -> Result<(&'p Presence, Option<Open>)> {
        if let Some(lost) = here.take_if(|here| here.cancel.is_cancelled()) {
            lost.leave().await;
        }
        let here = match here {
            Some(here) => here,
            none => none.insert(self.join().await?),
        };
        Ok((here, self.open().await?))
    }

    /// The error, unless it may go away by itself: the build went on without this worker, which was taken for
    /// dead, or the server is away for a while.
    fn outlasts(&self, error: Error) -> Option<Error> {
        let goes_away = match &error {
            Error::Fenced { .. } | Error::LeaseLost { .. } | Error::State { .. } => true,
            Error::Interrupted => !self.cancel.is_cancelled(),
            other => other.class() == Class::Transient,
        };
        if goes_away {
            tracing::warn!(error = %error.with_sources(), "looking again for a build");
        }
        (!goes_away).then_some(error)
    }

    /// The longer there was nothing, the longer.
    async fn pause_after(&self, idle: Instant) {
        self.pause_for(LOOK_EVERY.max((idle.elapsed() / 20).min(LOOK_AT_LEAST_EVERY))).await;
    }

    async fn pause(&self) {
        self.pause_for(LOOK_EVERY).await;
    }

    async fn pause_for(&self, pause: Duration) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// The first build that is open, that this program can work on, and that has partitions left.
    async fn open(&self) -> Result<Option<Open>> {
        for record in self.store.builds().open_to_all().await? {
            let Some(projection) = self.projection_of(&record) else { continue };
            let prefix = projection.spec().stream_filter().first();
            if !self.store.builds().open(record.clone(), prefix).unfinished().await?.is_empty() {
                let records = self.store.builds().records(None).await?;
                return Ok(Some(Open { record, projection: projection.clone(), records }));
            }
        }
        Ok(None)
    }

    /// Why this program can't work on builds that are open.
    fn refused(&self, records: &[BuildRecord]) -> Vec<String> {
        let others = records.iter().filter(|record| self.projection_of(record).is_none());
        others.map(|record| self.refusal(record)).collect()
    }

    /// The projection of a build, if this program has the same definition of it.
    fn projection_of(&self, record: &BuildRecord) -> Option<&Registered> {
        let found = self.registry.of_version(&record.projection, record.projection_version)?;
        is_fingerprint_of(&record.fingerprint, found.spec(), &self.store.layout).then_some(found)
    }

    fn refusal(&self, record: &BuildRecord) -> String {
        let (id, name, version) = (&record.id, &record.projection, record.projection_version);
        let of_name = self
            .registry
            .projections()
            .iter()
            .find(|projection| projection.spec().name().eq_ignore_ascii_case(name));
        match of_name {
            None => format!("the build {id} is of {name}, which this program doesn't have"),
            Some(own) if own.spec().version() != version => format!(
                "the build {id} is of {name} version {version}, and this program has version {}: use the \
                 program that leads the build",
                own.spec().version()
            ),
            Some(_) => format!(
                "the build {id} was begun with another definition of {name} version {version}, or with other \
                 settings that change snapshots: use the program and the settings that lead the build"
            ),
        }
    }

    /// Builds partitions of a build until none is left. Returns whether it claimed anything.
    async fn build(
        &self,
        here: &Presence,
        Open { record, projection, records }: &Open,
        index: Option<&StreamIndex>,
        workers: &Arc<Workers>,
        worked: &mut Worked,
    ) -> Result<bool> {
        let (store, tuning) = (self.store, self.settings.tuning());
        let index = match index {
            Some(index) => index.clone(),
            None => store.events().stream_index().await?,
        };
        let mandate = here.mandate.with_token(record.token);
        let prefix = projection.spec().stream_filter().first();
        let mut build = store.builds().open_for_writing(record.clone(), prefix, &mandate);
        let claims = Arc::new(Claims::of(&here.id));
        build.claims = Some(Arc::clone(&claims));
        let recorder = Recorder::new(projection.spec().name(), self.progress);
        recorder.begin(Phase::Building, 0);
        tracing::info!(build = record.id, token = record.token, "taking part in a build");
        let governor = self.governor(record.token, here);
        governor.look().await;
        let context = JobContext {
            layout: &store.layout,
            workers,
            recorder: &recorder,
            cancel: &here.cancel,
            batch_docs: tuning.batch_docs,
            batch_bytes: tuning.batch_bytes,
            readers: tuning.readers,
        };
        let events = store.events().source(index, record.t0, tuning.batch_commits).paced(&governor);
        // Of what it requires, the build that waits to be published with it, else the active generation.
        let built = |name: &str| {
            let is_with_it = |other: &&BuildRecord| {
                let is_required = other.projection.eq_ignore_ascii_case(name) && other.id != record.id;
                let is_built = other.state.is_resumable() || other.state == BuildState::Published;
                is_required && other.token == record.token && is_built
            };
            records.iter().find(is_with_it).map(|other| other.id.clone())
        };
        let required = required_of(store, projection, self.settings, built).await?;
        let partitions = SharedPartitions::of(
            store,
            &build,
            (&here.id, false),
            self.settings.lease(),
            (&recorder, &here.cancel),
        );
        let job =
            Job::new(events, build, projection, &context).with_governor(governor).with_required(required);
        here.works_on(Some((record.id.clone(), Arc::clone(&claims))));
        let input = shared_input(&job, tuning.memory_bytes);
        let done = pipeline::run(&Arc::new(job), &Arc::new(partitions), &input).await;
        here.works_on(None);
        // What was finished before an error counts too.
        let finished = u64::from(self.progress.borrow().partitions_done);
        here.finished(finished);
        worked.partitions += finished;
        if finished > 0 && !worked.builds.contains(&record.id) {
            worked.builds.push(record.id.clone());
        }
        worked.commits += done?.counts.commits;
        Ok(claims.were_taken())
    }

    /// Pause and throttle of the build hold this process too.
    fn governor(&self, token: i64, here: &Presence) -> Governor {
        let throttle = self.settings.throttle();
        let source = Arc::new(RunThrottle::new(self.store, token, throttle.max_lag));
        Governor::new(source, throttle.throttle, self.progress.clone(), here.cancel.child_token())
    }
}

/// A build that is open, with its projection and all records.
struct Open {
    record: BuildRecord,
    projection: Registered,
    records: Vec<BuildRecord>,
}

impl Nothing {
    fn is_over(self, idle: Instant) -> bool {
        match self {
            Self::Leave => true,
            Self::WaitFor(time) => idle.elapsed() >= time,
            Self::Stay => false,
        }
    }
}
