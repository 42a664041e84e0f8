//! Catches a build up: refolds streams that were touched since they were folded, each as a whole.

use std::collections::HashSet;
use std::time::Duration;

use bson::Timestamp;
use statefold_projections::Registered;

use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::engine::run::trail;
use crate::error::{Error, Result};
use crate::lifecycle::{Taken, Unnamed, Verify, stream_hash};
use crate::observe::Phase;
use crate::pipeline;
use crate::pipeline::ports::HeadDetail;
use crate::pipeline::refold;
use crate::pipeline::{differing, orphans};
use crate::store::{Feed, Marker};

/// Maximum number of rounds before the remaining streams are left to the cut-over.
const ROUNDS_MAX: u32 = 50;
/// Number of dirty streams at which the cut-over may begin, unless a further round leaves fewer.
const FEW_STREAMS: u64 = 500;
/// Number of dirty streams that is as good as none.
const HANDFUL: u64 = 5;
/// Time after which the server tells how far it has looked: a run waits for that, and ends soon.
pub(super) const FEED_PATIENCE: Duration = Duration::from_millis(20);
/// How long the feed may take to show changes that are stored already.
pub(super) const FEED_WAIT: Duration = Duration::from_secs(60);

impl Run {
    /// Prepares the feed of the event store, from a time before anything is read; `None` where there are no
    /// change streams, or no event store yet.
    pub(super) async fn open_feed(&self, selected: &[Registered]) -> Result<Option<Feed>> {
        let Some(since) = self.store.operation_time().await? else { return Ok(None) };
        if !self.has_events {
            return Ok(None);
        }
        let filters = selected.iter().map(|projection| projection.spec().stream_filter().clone()).collect();
        Ok(Some(self.store.events().feed(since, filters, FEED_PATIENCE)))
    }

    /// Refolds dirty streams in rounds until few are left. If commits were deleted, all heads are compared
    /// then, and what changed meanwhile is refolded.
    pub(super) async fn catch_up(&self, build: &mut Build, feed: Option<&Feed>) -> Result<()> {
        let began = std::time::Instant::now();
        let mut streams = self.catch_up_in_rounds(build, feed).await?;
        // Once, not in each round: a comparison takes a minute where there are millions of streams, and
        // deletes may go on all the while.
        if build.unnamed == Unnamed::Deleted {
            streams += self.refold_some(build, Unnamed::Deleted, false).await?;
            build.folded = build.named_until;
            streams += self.catch_up_in_rounds(build, feed).await?;
        }
        let seconds = began.elapsed().as_secs_f64();
        tracing::info!(build = %build.record().id, streams, seconds, "caught up");
        self.sum_up(build).await
    }

    /// Refolds dirty streams in rounds until few are left, and returns their number.
    async fn catch_up_in_rounds(&self, build: &mut Build, feed: Option<&Feed>) -> Result<u64> {
        let (mut streams, mut before) = (0, u64::MAX);
        for _ in 0..ROUNDS_MAX {
            if self.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let refolded = self.catch_up_once(build, feed, None).await?;
            streams += refolded;
            if refolded <= HANDFUL || (refolded <= FEW_STREAMS && refolded >= before) {
                break;
            }
            before = refolded;
        }
        Ok(streams)
    }

    /// Refolds every stream that was dirty before this began, or when the fence was raised. Returns the
    /// number of refolded streams. What unnamed deletes left stays due: comparing all heads takes longer than
    /// a round may, and than writers may wait.
    pub(super) async fn catch_up_once(
        &self,
        build: &mut Build,
        feed: Option<&Feed>,
        fence: Option<(Timestamp, Marker)>,
    ) -> Result<u64> {
        let (now, marker) = match fence {
            Some((time, marker)) => (Some(time), Some(marker)),
            None => (self.store.operation_time().await?, None),
        };
        let taken = match (feed, now) {
            (Some(feed), Some(now)) => {
                feed.reached(now, marker, FEED_WAIT).await?;
                let behind = feed.behind(build.position);
                build.recorder.lag(behind.streams, behind.seconds);
                feed.take(build.position)?
            }
            _ => Taken { unnamed: Unnamed::Unknown, ..Taken::default() },
        };
        build.due(taken);
        if let Some(required) = &build.job.required {
            // Those that it requires are caught up already.
            let streams = match fence {
                Some(_) => required.changed_among(&std::mem::take(&mut build.due_lookups)).await?,
                None => required.changed().await?,
            };
            build.dirty.extend(streams);
        }
        // Deletes come past the fence, too. What they left is compared before it is raised and after it is
        // lifted.
        let unnamed = match build.unnamed {
            Unnamed::Deleted if feed.is_some() => Unnamed::Clean,
            other => other,
        };
        let refolded = self.refold_some(build, unnamed, false).await?;
        build.named_until = now;
        // What deletes left isn't folded: whoever goes on after a crash has to see them, too.
        if build.unnamed == Unnamed::Clean {
            build.folded = now;
        }
        build.recorder.lag(0, 0);
        Ok(refolded)
    }

    /// Refolds the streams that are due, and, unless all others are clean, those that a comparison of all
    /// heads finds; of these, with `only_gone`, only the streams that lost commits. What is due stays
    /// so until it is refolded.
    pub(super) async fn refold_some(
        &self,
        build: &mut Build,
        unnamed: Unnamed,
        only_gone: bool,
    ) -> Result<u64> {
        let needs_full_compare = unnamed != Unnamed::Clean;
        if build.dirty.is_empty() && !needs_full_compare {
            return Ok(0);
        }
        // The source is opened again, so that it shows everything acknowledged until now.
        let now = self.store.operation_time().await?;
        let source =
            self.store.events().source(self.stream_index.clone(), now, self.settings.tuning().batch_commits);
        build.job_mut()?.source = source;
        let partitions = build.job.staging.partitions();
        let mut refolded = 0;
        if needs_full_compare && self.has_events {
            for partition in &partitions {
                if self.cancel.is_cancelled() {
                    return Err(Error::Interrupted);
                }
                let mut found = differing(&build.job, partition).await?;
                if build.record().adopted {
                    found.streams.extend(orphans(&build.job, partition).await?);
                    found.streams.sort_unstable();
                    found.streams.dedup();
                }
                if only_gone {
                    let gone: HashSet<u64> = found.gone.iter().copied().collect();
                    // What the application may have written since is of streams that have grown.
                    let shrunk: HashSet<&String> = found.shrunk.iter().collect();
                    found
                        .streams
                        .retain(|stream| gone.contains(&stream_hash(stream)) || shrunk.contains(stream));
                }
                build.touch(&found.streams);
                build.proof.refolds(found.streams.iter());
                let names = found.streams.clone();
                refolded += refold(&build.job, std::slice::from_ref(partition), found).await?;
                // They need not be refolded once more.
                names.iter().for_each(|name| _ = build.dirty.remove(name));
            }
        }
        let streams: Vec<String> = build.dirty.iter().cloned().collect();
        build.touch(&streams);
        build.proof.refolds(streams.iter());
        let what = pipeline::Differing { streams, ..pipeline::Differing::default() };
        refolded += refold(&build.job, &partitions, what).await?;
        build.dirty.clear();
        if needs_full_compare {
            build.unnamed = Unnamed::Clean;
        }
        if refolded > 0 {
            build.refolded += refolded;
            tracing::debug!(build = %build.record().id, streams = refolded, "refolded");
        }
        Ok(refolded)
    }

    /// Sums digest and counts up again from the partitions, because refolding changes them.
    pub(super) async fn sum_up(&self, build: &mut Build) -> Result<()> {
        // The partitions' digests lack what others wrote.
        if build.refolded == 0 || !build.exclusively_ours {
            return Ok(());
        }
        (build.counts, build.digest) = build.job.staging.sums().await?;
        Ok(())
    }

    /// Compares all heads with the event store, both ways. Differences are refolded; those that the feed
    /// didn't announce are also logged.
    pub(super) async fn check_heads(&self, build: &mut Build, feed: Option<&Feed>) -> Result<()> {
        let began = std::time::Instant::now();
        build.recorder.enter(Phase::Checking, build.job.staging.partitions().len());
        tracing::info!(build = %build.record().id, "checking");
        let partitions = build.job.staging.partitions();
        let now = self.store.operation_time().await?;
        let source =
            self.store.events().source(self.stream_index.clone(), now, self.settings.tuning().batch_commits);
        build.job_mut()?.source = source;
        let expected = build.digest.documents();
        let difference = match self.settings.tuning().verify {
            // A second fold of every stream follows, which misses no commit and no snapshot.
            Verify::Full => {
                let detail = HeadDetail::LastCommits;
                pipeline::compare_heads(&build.job, &partitions, detail, None).await?.0
            }
            Verify::Proof(_) => {
                let share = self.sample(build);
                let (difference, sample) =
                    pipeline::compare_heads(&build.job, &partitions, HeadDetail::Everything, share).await?;
                build.proof.sample = sample;
                difference
            }
            Verify::Heads => {
                pipeline::check(&build.job, &partitions, expected, HeadDetail::Everything).await?
            }
        };
        self.judge_heads(build, feed, &difference).await?;
        build.timings.check_ms = super::build::milliseconds(began);
        trail::checked(&build.record().id, &difference, build.timings.check_ms);
        Ok(())
    }
}
