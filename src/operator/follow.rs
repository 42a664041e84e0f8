//! Keeps active generations current until it is stopped: streams that change in the event store are refolded.
//!
//! One process follows at a time, under a lease of its own (`{control id}.Follow`) apart from the leader's;
//! the others wait and take over. The position of each generation is durable, so that a follower resumes
//! where the last one stopped. Where the server's history doesn't reach back that far, and for a generation
//! that wasn't followed before, all heads are compared.
//!
//! Why older snapshots never replace newer ones, and nothing is written where it must not be:
//! - A refold reads the revisions of the partitions first, then the streams, with everything acknowledged
//!   until then. One transaction writes the snapshots and raises these revisions. If another process has
//!   refolded in between, it has raised them too, and the transaction changes nothing. So each written
//!   snapshot includes at least the events of the one before it, however long a follower was stopped in
//!   between.
//! - The lease decides which process follows, but correctness doesn't depend on it: two followers only do the
//!   work twice.
//! - A generation is written under the token that its record has. A cut-over retires the replaced generation
//!   by raising its token (before it copies it aside, if another one takes its name), and a roll back raises
//!   the token of its target before it refolds that: from then on a follower's transactions match nothing.
//!   The follower then reads pointer and record again, and doesn't touch a generation that a leader has taken
//!   over, unless the leader has just made it active.
//! - Events that were folded into the replaced generation after the flip are missing in the new one: all
//!   heads are compared after every flip.
//! - A position is saved after everything up to it was folded, never before.

pub(super) mod deletes;
mod lookups;
mod progress;
pub(super) mod request;
mod rounds;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Settings;
use crate::engine::leader::{Claimant, Patience, Waiting};
use crate::engine::looking::while_looking;
use crate::engine::preflight::{of_active, preflight};
use crate::engine::refolding::Refolding;
use crate::engine::running::Running;
use crate::error::{Class, Error, Result};
use crate::lifecycle::CutOverMode;
use crate::observe::{Progress, Recorder, Wait};
use crate::pipeline::Workers;
use crate::store::{Store, StreamIndex};
use futures::FutureExt;
use progress::Shown;
use request::{Follow, FollowReport};
use rounds::Rounds;
use statefold_projections::{Registered, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Pause after a failure that may go away by itself.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause between two log lines about the same wait.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Begins to keep the active generations of projections current, until it is cancelled; it then ends with a
/// report. While another process follows, it waits, and takes over when that process is gone. While there is
/// no active generation of this program's version, it waits for one.
///
/// # Errors
/// Awaiting the result gives [`Error::Registry`] for unknown names, [`Error::Newer`] once a newer program's
/// generation is active, [`Error::Unsupported`] if the heads of the active generation aren't recorded,
/// [`Error::Mismatch`] if the event store is dropped or renamed, or what the server said, unless it may go
/// away by itself.
pub fn follow(settings: &Settings, registry: &Registry, request: Follow) -> Running<FollowReport> {
    let (settings, registry) = (settings.clone(), registry.clone());
    Running::begin(move |progress, cancel| run(settings, registry, request, progress, cancel))
}

/// Leaves out projections that an application reads, and so writes, under a name of its own: two writers
/// would replace newer snapshots with older ones. An operator who knows better names the projection.
async fn without_own_writers(store: &Store, selected: Vec<Registered>) -> Result<Vec<Registered>> {
    let mut left = Vec::new();
    for projection in selected {
        let name = projection.spec().name();
        if store.control().active(name).await?.is_some_and(|active| active.mode == CutOverMode::Rename) {
            tracing::info!(projection = name, "left out: its application writes it under a name of its own");
        } else {
            left.push(projection);
        }
    }
    if left.is_empty() {
        return Err(Error::Unsupported(
            "all projections have a name of their application's, which writes them itself: \
             to follow one all the same, name it"
                .into(),
        ));
    }
    Ok(left)
}

async fn run(
    settings: Settings,
    registry: Registry,
    request: Follow,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
) -> Result<FollowReport> {
    let mut selected = registry.select(&request.projections)?;
    if selected.is_empty() {
        return Err(Error::Config(vec!["no projection is registered".into()]));
    }
    let store = Store::connect(&settings, &registry).await?;
    let Some(stream_index) = preflight(&store, &selected).await? else {
        return Err(Error::Unsupported(format!("{} has no event store to follow", store.database())));
    };
    if request.projections.is_empty() {
        selected = without_own_writers(&store, selected).await?;
    }
    Recorder::begin_run(&progress, selected.iter().map(|projection| projection.spec().name()));
    let workers = Arc::new(Workers::new(settings.tuning().threads)?);
    let follower = FollowTask { store, settings, registry, selected, request, progress, cancel };
    let FollowTask { store, settings, selected, .. } = &follower;
    while_looking(store, settings, selected, follower.follow(stream_index, &workers)).await
}

/// A process that wants to follow.
struct FollowTask {
    store: Store,
    settings: Settings,
    registry: Registry,
    selected: Vec<Registered>,
    request: Follow,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
}

impl FollowTask {
    /// Leads and waits in turns, until it is cancelled.
    async fn follow(&self, stream_index: StreamIndex, workers: &Arc<Workers>) -> Result<FollowReport> {
        let mut report = FollowReport::default();
        loop {
            match self.lead(stream_index.clone(), workers, &mut report).await {
                _ if self.cancel.is_cancelled() => return Ok(report),
                Ok(()) => {}
                Err(error @ (Error::LeaseLost { .. } | Error::Fenced { .. } | Error::Interrupted)) => {
                    tracing::warn!(error = %error.with_sources(), "following was taken over; waiting");
                }
                Err(error) if error.class() == Class::Transient => {
                    tracing::warn!(error = %error.with_sources(), "following is interrupted; trying again");
                }
                Err(error) => return Err(error),
            }
            Recorder::stand_by(&self.progress);
            self.pause(PAUSE).await;
        }
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Waits for a generation to follow and for the lease, then follows for as long as there is one.
    async fn lead(
        &self,
        stream_index: StreamIndex,
        workers: &Arc<Workers>,
        report: &mut FollowReport,
    ) -> Result<()> {
        self.until_one_is_active().await?;
        let (follow_control, lease) = (self.store.follow_control(), self.settings.lease());
        let waiting = Waiting { lease, limit: None, progress: &self.progress };
        let patience = Patience::UntilDone;
        // Standing by, to take over, is all that a follower has to do while another one follows.
        self.progress.send_modify(|progress| progress.ready = true);
        let claimant = Claimant { store: &follow_control, waiting, patience, cancel: &self.cancel };
        let leadership = claimant.claim().await?;
        report.starts += 1;
        let refolding = Refolding {
            store: self.store.clone(),
            settings: self.settings.clone(),
            stream_index,
            workers: Arc::clone(workers),
            mandate: leadership.mandate.clone(),
            cancel: leadership.cancel.clone(),
        };
        let shown = Shown::new(&self.selected, &self.progress);
        let rounds = Rounds::new(
            refolding,
            follow_control.clone(),
            &self.registry,
            &self.selected,
            &self.request,
            shown,
            report,
        );
        // A panic becomes an error, so that the lease is released.
        let result = std::panic::AssertUnwindSafe(rounds.run()).catch_unwind().await;
        let result = result.unwrap_or_else(|_| Err(Error::Bug("following panicked".into())));
        leadership.end(result).await
    }

    /// Waits until a generation is active that this program can fold.
    async fn until_one_is_active(&self) -> Result<()> {
        let mut said: Option<Instant> = None;
        loop {
            for projection in &self.selected {
                if let Some(active) = self.store.control().active(projection.spec().name()).await?
                    && of_active(&self.registry, projection, &active)?.is_some()
                {
                    return Ok(());
                }
            }
            if self.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let what = "an active generation of this program's version";
            if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                said = Some(Instant::now());
                tracing::info!("waiting for {what}");
            }
            Recorder::waiting(&self.progress, Wait::Generation, None, what);
            self.pause(self.settings.lease().poll).await;
        }
    }
}
