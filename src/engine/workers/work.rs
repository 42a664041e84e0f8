//! A worker: joins whatever builds are open, claims partitions, builds them, and leaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::preflight::preflight;
use crate::engine::required::required_of;
use crate::engine::workers::partitions::SharedPartitions;
use crate::engine::workers::presence::Presence;
use crate::error::{Class, Error, Result};
use crate::lifecycle::{BuildState, is_fingerprint_of};
use crate::observe::{Phase, Progress, Recorder};
use crate::pipeline::{self, Governor, Input, Job, JobContext, PartitionsDone, Workers};
use crate::store::{BuildRecord, Claims, RunThrottle, Store, StreamIndex};

/// Pause between two looks for a build.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
        let projections = self.registry.projections();
        let index = preflight(self.store, projections).await?;
        let workers = Arc::new(Workers::new(self.settings.tuning().threads)?);
        let (mut worked, mut idle) = (Worked::default(), Instant::now());
        let mut presence: Option<Presence> = None;
        let result = loop {
            if self.cancel.is_cancelled() {
                break Err(Error::Interrupted);
            }
            // One that was dismissed comes anew.
            if let Some(lost) = presence.take_if(|presence| presence.cancel.is_cancelled()) {
                lost.leave().await;
            }
            let here = match presence.take() {
                Some(here) => here,
                None => {
                    let lease = self.settings.lease();
                    Presence::join(self.store, lease, self.progress.subscribe(), self.cancel, false).await?
                }
            };
            let round = self.round(&here, index.as_ref(), &workers, &mut worked).await;
            presence = Some(here);
            match round {
                Ok(true) => idle = Instant::now(),
                Ok(false) => {
                    let is_over = match nothing {
                        Nothing::Leave => true,
                        Nothing::WaitFor(time) => idle.elapsed() >= time,
                        Nothing::Stay => false,
                    };
                    if is_over {
                        break Ok(());
                    }
                    self.pause().await;
                }
                // The build went on without this worker, or it was taken for dead: it looks again.
                Err(error @ (Error::Fenced { .. } | Error::LeaseLost { .. } | Error::State { .. })) => {
                    tracing::warn!(error = %error.with_sources(), "the build was taken over; looking again");
                    self.pause().await;
                }
                Err(Error::Interrupted) if !self.cancel.is_cancelled() => self.pause().await,
                Err(error) if error.class() == Class::Transient => {
                    tracing::warn!(error = %error.with_sources(), "working isn't possible now; trying again");
                    self.pause().await;
                }
                Err(error) => break Err(error),
            }
        };
        if let Some(presence) = presence {
            presence.leave().await;
        }
        result?;
        if worked.builds.is_empty() && !worked.refused.is_empty() {
            return Err(Error::Unsupported(worked.refused.join("; ")));
        }
        Ok(worked)
    }

    async fn pause(&self) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }

    /// Works on one build, if one is open. Returns whether there was one.
    async fn round(
        &self,
        here: &Presence,
        index: Option<&StreamIndex>,
        workers: &Arc<Workers>,
        worked: &mut Worked,
    ) -> Result<bool> {
        let records = self.store.builds().records(None).await?;
        worked.refused.clear();
        let open = |record: &&BuildRecord| record.shared && record.state == BuildState::Building;
        for record in records.iter().filter(open) {
            let Some(projection) = self.projection_of(record) else {
                worked.refused.push(self.refusal(record));
                continue;
            };
            let index = match index {
                Some(index) => index.clone(),
                None => self.store.events().stream_index().await?,
            };
            let done = self.build(here, record, projection, &records, index, workers).await?;
            here.finished(done.partitions);
            if !worked.builds.contains(&record.id) {
                worked.builds.push(record.id.clone());
            }
            worked.partitions += done.partitions;
            worked.commits += done.done.counts.commits;
            return Ok(true);
        }
        Ok(false)
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

    async fn build(
        &self,
        here: &Presence,
        record: &BuildRecord,
        projection: &Registered,
        records: &[BuildRecord],
        index: StreamIndex,
        workers: &Arc<Workers>,
    ) -> Result<Finished> {
        let (store, tuning) = (self.store, self.settings.tuning());
        let mandate = here.mandate.with_token(record.token);
        let prefix = projection.spec().stream_filter().first();
        let mut build = store.builds().open_for_writing(record.clone(), prefix, &mandate);
        let claims = Arc::new(Claims::of(&here.id));
        build.claims = Some(Arc::clone(&claims));
        let recorder = Recorder::new(projection.spec().name(), self.progress);
        recorder.begin(Phase::Building, 0);
        tracing::info!(build = record.id, token = record.token, "taking part in a build");
        let throttle = self.settings.throttle();
        let source = Arc::new(RunThrottle::new(store, record.token, throttle.max_lag));
        let governor =
            Governor::new(source, throttle.throttle, self.progress.clone(), here.cancel.child_token());
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
            let mut of_name = records
                .iter()
                .filter(|other| other.projection.eq_ignore_ascii_case(name) && other.id != record.id);
            of_name
                .find(|other| other.token == record.token && other.state.is_resumable())
                .map(|other| other.id.clone())
        };
        let required = required_of(store, projection, self.settings, built).await?;
        let partitions = SharedPartitions::of(store, &build, &here.id, self.settings.lease(), &here.cancel);
        let job =
            Job::new(events, build, projection, &context).with_governor(governor).with_required(required);
        let job = Arc::new(job);
        here.works_on(Some((record.id.clone(), claims)));
        let done = pipeline::run(&job, &Arc::new(partitions), &Input::Streams).await;
        here.works_on(None);
        let finished = u64::from(self.progress.borrow().partitions_done);
        let done = done?;
        Ok(Finished { done, partitions: finished })
    }
}

/// What a worker did in one build.
struct Finished {
    done: PartitionsDone,
    partitions: u64,
}
