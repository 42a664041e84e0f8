//! The drain: what changed right before the flip, or in spite of the fence, is folded into the generation
//! that readers use now.
//!
//! Without a fence the pointer says up to which time everything was folded before the flip, until the drain
//! is done: whoever comes after a process that died in between goes on from there.
//!
//! The application may write the same snapshots meanwhile. A snapshot is replaced only if it still is what it
//! was before its events were read: so it is never older than the one it replaces.

use std::time::Duration;

use bson::Timestamp;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::engine::run::build::Build;
use crate::engine::run::catch_up::{FEED_PATIENCE, FEED_WAIT};
use crate::engine::run::context::Run;
use crate::engine::run::fence::StandingFence;
use crate::engine::run::verify::subject_of;
use crate::engine::verify::Comparison;
use crate::error::Result;
use crate::lifecycle::{CutOverMode, Share, Unnamed};
use crate::pipeline::ports::{EventSource, HeadDetail};
use crate::store::{ActiveGeneration, Feed, Undrained};

/// Streams that are looked at once more after a drain, at most.
const LOOKED_AT_MAX: usize = 1000;
/// Time in which an application that asks for the pointer has noticed that it moved.
const NOTICED: Duration = Duration::from_millis(100);
/// Time in which a save of the application is over that has appended its event.
const SAVED: Duration = Duration::from_millis(50);
/// Streams that are refolded together, if all of a build are.
const TOGETHER: usize = 10_000;
/// Times that streams are drained again, if they still differ.
const AGAIN_MAX: u32 = 3;

impl Run {
    /// Refolds what changed before the flip and wasn't folded before it: without a fence every stream with a
    /// new event, behind one deletes, and what writers that bypass validation did.
    pub(super) async fn drain_all(
        &self,
        builds: &mut [Build],
        feed: Option<&Feed>,
        fence: &StandingFence,
        flipped: Option<Timestamp>,
    ) -> Result<u64> {
        if feed.is_none() && !fence.lets_events_in() {
            return Ok(0);
        }
        let only_gone = !fence.lets_events_in();
        let drains = builds.iter_mut().map(|build| async move {
            match (feed, flipped) {
                (Some(feed), Some(flipped)) => self.drain(build, feed, flipped, only_gone).await,
                _ => self.catch_up_once(build, feed, None).await,
            }
        });
        let mut refolded: u64 = futures::future::try_join_all(drains).await?.into_iter().sum();
        for build in builds.iter_mut() {
            refolded += self.drain_dependents(build).await?;
        }
        Ok(refolded)
    }

    /// Refolds streams as soon as they are seen to have changed, until all changes up to the flip were seen.
    /// Later ones are the application's, or `follow`'s. Returns the number of refolded streams.
    async fn drain(
        &self,
        build: &mut Build,
        feed: &Feed,
        flipped: Timestamp,
        only_gone: bool,
    ) -> Result<u64> {
        let mut refolded = 0;
        loop {
            let seen_all = feed.position() >= flipped;
            build.due(feed.take_until(build.position, flipped)?);
            build.drained.extend(build.dirty.iter().cloned());
            // Comparing all heads takes a while: the streams that are known come first.
            let unnamed = if seen_all { build.unnamed } else { Unnamed::Clean };
            refolded += self.refold_some(build, unnamed, only_gone).await?;
            if seen_all {
                return Ok(refolded);
            }
            feed.stirred(build.position, flipped, FEED_WAIT).await?;
        }
    }

    /// Refolds streams that looked up what was drained.
    async fn drain_dependents(&self, build: &mut Build) -> Result<u64> {
        let Some(required) = &build.job.required else { return Ok(0) };
        let streams = required.changed().await?;
        build.drained.extend(streams.iter().cloned());
        build.dirty.extend(streams);
        self.refold_some(build, Unnamed::Clean, false).await
    }

    /// Looks for saves of the application that met the cut-over: those that wrote their snapshot into the
    /// replaced generation because they hadn't noticed the flip, and those that could not write it because
    /// the new one still had an older version than they knew. Their events are stored; they are folded now.
    pub(super) async fn drain_saves(&self, builds: &mut [Build], feed: Option<&Feed>) -> Result<()> {
        let Some(feed) = feed else { return Ok(()) };
        if self.has_to_be_noticed(builds).await? {
            tokio::time::sleep(NOTICED).await;
        }
        let Some(until) = self.store.operation_time().await? else { return Ok(()) };
        feed.reached(until, None, FEED_WAIT).await?;
        for build in builds.iter_mut() {
            build.due(feed.take_until(build.position, until)?);
            build.drained.extend(build.dirty.iter().cloned());
        }
        if builds.iter().all(|build| build.drained.is_empty() && build.unnamed == Unnamed::Clean) {
            return Ok(());
        }
        // What is being saved right now isn't disturbed.
        tokio::time::sleep(SAVED).await;
        for build in builds.iter_mut() {
            let unnamed = build.unnamed;
            self.refold_some(build, unnamed, true).await?;
        }
        for build in builds.iter_mut() {
            self.drain_dependents(build).await?;
        }
        Ok(())
    }

    /// Whether instances of the application may still use a replaced generation, until they notice the flip.
    async fn has_to_be_noticed(&self, builds: &[Build]) -> Result<bool> {
        for build in builds.iter().filter(|build| build.mode == CutOverMode::Pointer) {
            let active = self.store.control().active(&build.record().projection).await?;
            if active.is_some_and(|active| !active.previous.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Folds the drained streams once more and compares them with what is stored; what differs is drained
    /// again. Then nothing is left to drain.
    pub(super) async fn look_at_drained(&self, builds: &mut [Build]) -> Result<()> {
        let never = CancellationToken::new();
        for build in builds {
            let mut names: Vec<String> =
                std::mem::take(&mut build.drained).into_iter().take(LOOKED_AT_MAX).collect();
            for _ in 0..AGAIN_MAX {
                if names.is_empty() {
                    break;
                }
                let comparison = Comparison { cancel: &never, ..self.comparison(Share::ALL) };
                let recheck = comparison.look_again(&subject_of(build), &names, false, None).await?;
                names = recheck.streams();
                build.dirty.extend(names.iter().cloned());
                self.refold_some(build, Unnamed::Clean, false).await?;
            }
            if let Some(first) = names.first() {
                let build = &build.record().id;
                tracing::warn!(%build, streams = names.len(), first, "streams differ after the drain");
            }
            self.store.control().drained(&build.record().projection, &self.mandate).await?;
        }
        Ok(())
    }

    /// Refolds every stream of a build.
    async fn refold_everything(&self, build: &mut Build) -> Result<()> {
        for partition in build.job.staging.partitions() {
            let mut heads = build.job.source.heads(&partition.range, HeadDetail::Offsets);
            while let Some(batch) = heads.next().await {
                build.dirty.extend(batch?.into_iter().map(|(stream, _)| stream));
                if build.dirty.len() >= TOGETHER {
                    self.refold_some(build, Unnamed::Clean, false).await?;
                }
            }
        }
        self.refold_some(build, Unnamed::Clean, false).await.map(|_| ())
    }

    /// From the flip on a build is finished even if the process is told to stop: it takes some
    /// milliseconds, and readers wait for it.
    pub(super) fn finish_in_any_case(builds: &mut [Build]) -> Result<()> {
        builds.iter_mut().try_for_each(|build| {
            build.job_mut()?.cancel = CancellationToken::new();
            Ok(())
        })
    }

    /// Finishes the drain of a generation that readers use, which another process began.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub(super) async fn finish_drain(
        &self,
        build: &mut Build,
        active: &ActiveGeneration,
        left: &Undrained,
    ) -> Result<()> {
        let projection = build.record().projection.clone();
        let now = self.store.operation_time().await?;
        let drained = match now {
            Some(now) => {
                let filter = build.job.projection.spec().stream_filter().clone();
                let feed = self.store.events().feed(left.folded, vec![filter], FEED_PATIENCE);
                feed.begin();
                let position = std::mem::replace(&mut build.position, 0);
                // What the history doesn't tell any more, a comparison of all heads finds.
                build.unnamed = Unnamed::Clean;
                let drained = self.drain(build, &feed, now, false).await;
                build.position = position;
                feed.end().await;
                drained?
            }
            None => self.catch_up_once(build, None, None).await?,
        };
        if build.job.required.is_some() {
            // Which of its streams looked up what was drained, only the other process knew.
            self.refold_everything(build).await?;
        }
        let generation = active.active;
        tracing::info!(
            projection,
            generation,
            streams = drained,
            "the drain of an interrupted cut-over is finished"
        );
        self.look_at_drained(std::slice::from_mut(build)).await
    }
}
