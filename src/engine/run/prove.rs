//! The proof of a build: what is stored is what was folded, what was folded is the event store, and the order
//! in which it was read made no difference.
//!
//! - *Stored = folded*: every document is read back, and their digest compared with the one that was kept
//!   while folding.
//! - *Folded = event store*: the heads of all streams, both ways.
//! - *The order made no difference*: some streams are folded once more, in stream order and by another path,
//!   and compared byte by byte with what is stored.
//!
//! Most of it is done while the server builds the indexes. Streams that are refolded later are compared
//! afterwards. Whatever doesn't agree is left to the comparison of every stream, which names and mends it.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::engine::run::build::{Build, milliseconds};
use crate::engine::run::catch_up::FEED_WAIT;
use crate::engine::run::context::Run;
use crate::engine::run::proof::Proof;
use crate::engine::run::trail;
use crate::engine::run::verify::subject_of;
use crate::error::Result;
use crate::lifecycle::{BuildState, HeadsDifference, Share, Unnamed, Verify};
use crate::pipeline;
use crate::pipeline::ports::HeadDetail;
use crate::store::Feed;

impl Run {
    /// Share of the streams to fold once more, if builds are proven so.
    pub(super) fn sample(&self, build: &Build) -> Option<Share> {
        self.settings.tuning().verify.sample(build.counts.streams).filter(|_| self.has_events)
    }

    /// Builds the indexes and, beside that, proves what is stored, or compares its heads.
    pub(super) async fn index_and_prove(&self, build: &mut Build, feed: Option<&Feed>) -> Result<()> {
        let share = self.sample(build);
        let only_heads = self.settings.tuning().verify == Verify::Heads && self.has_events;
        if !build.can_be_proven() || share.is_none() && !only_heads {
            return self.index(build).await;
        }
        let began = Instant::now();
        let now = self.store.operation_time().await?;
        let batch = self.settings.tuning().batch_commits;
        build.job_mut()?.source = self.store.events().source(self.stream_index.clone(), now, batch);
        // Whatever changes while it is built, the change stream tells; only where it didn't look from the
        // beginning on have the last commits to be told apart from others with the same offset.
        let saw_all = feed.is_some() && !build.resumed;
        let detail = if saw_all { HeadDetail::Offsets } else { HeadDetail::Everything };
        let spec = build.job.projection.spec().clone();
        let (indexed, proven) = {
            let build = &*build;
            let index = async {
                build.job.staging.create_indexes(&spec).await?;
                trail::indexed(&build.record().id, began);
                Ok::<_, crate::Error>(milliseconds(began))
            };
            let prove = async {
                let partitions = build.job.staging.partitions();
                let Some(share) = share else {
                    let documents = build.digest.documents();
                    let heads = pipeline::check(&build.job, &partitions, documents, detail).await?;
                    return Ok((heads, milliseconds(began), (Proof::default(), Vec::new())));
                };
                let (heads, sample) =
                    pipeline::compare_heads(&build.job, &partitions, detail, Some(share)).await?;
                let check_ms = milliseconds(began);
                Ok::<_, crate::Error>((heads, check_ms, self.stored_as_folded(build, share, sample).await?))
            };
            tokio::join!(index, prove)
        };
        build.timings.index_ms = indexed?;
        let (heads, check_ms, (proof, moving)) = proven?;
        build.dirty.extend(moving);
        build.timings.check_ms = check_ms;
        build.timings.verify_ms = milliseconds(began) - check_ms;
        build.proof = Proof { heads: true, ..proof };
        trail::checked(&build.record().id, &heads, check_ms);
        if share.is_some() {
            let (sampled, proven, milliseconds) =
                (build.proof.sampled, build.proof.stored, build.timings.verify_ms);
            tracing::info!(build = %build.record().id, sampled, proven, milliseconds, "read back");
        }
        self.judge_heads(build, feed, &heads).await?;
        let timings = build.timings;
        build.staging()?.advance(BuildState::CatchingUp, |record| record.timings = timings).await
    }

    /// Proves what isn't proven yet, as far as that can be done without folding every stream.
    pub(super) async fn prove_rest(&self, build: &mut Build) -> Result<()> {
        let Some(share) = self.sample(build).filter(|_| build.can_be_proven()) else { return Ok(()) };
        let began = Instant::now();
        match &build.proof.refolded {
            Some(refolded) if build.proof.stored => {
                let names: Vec<String> = refolded.iter().cloned().collect();
                let (same, moving) = self.are_same(build, &names).await?;
                build.proof.stored = same;
                build.proof.sampled += names.len() as u64;
                build.dirty.extend(moving);
            }
            _ => {
                let Proof { heads, sample, .. } = std::mem::take(&mut build.proof);
                let (proof, moving) = self.stored_as_folded(build, share, sample).await?;
                build.proof = Proof { heads, ..proof };
                build.dirty.extend(moving);
            }
        }
        build.timings.verify_ms += milliseconds(began);
        Ok(())
    }

    /// Compares the digest of what is stored with the one that was kept while folding, and folds a sample of
    /// streams once more: these, those of the share that have a document, and those that are worth it. Also
    /// returns the streams that moved, and have to be refolded.
    async fn stored_as_folded(
        &self,
        build: &Build,
        share: Share,
        sample: Vec<String>,
    ) -> Result<(Proof, Vec<String>)> {
        let (subject, id) = (subject_of(build), &build.record().id);
        let stored = self.comparison(share).to_fold_again(&subject, build.digest, id).await?;
        let Some(mut names) = stored else {
            let build = id;
            tracing::warn!(build, "what is stored isn't what was folded: comparing every stream");
            return Ok((Proof::default(), Vec::new()));
        };
        names.extend(sample);
        names.extend(build.job.notable.names());
        names.sort_unstable();
        names.dedup();
        let (stored, moving) = self.are_same(build, &names).await?;
        let (sampled, refolded) = (names.len() as u64, Some(BTreeSet::new()));
        Ok((Proof { stored, sampled, refolded, ..Proof::default() }, moving))
    }

    /// Folds these streams once more, each as a whole, and compares them with what is stored. Also returns
    /// the streams that moved, or whose head isn't the recorded one: nothing is said of them.
    async fn are_same(&self, build: &Build, names: &[String]) -> Result<(bool, Vec<String>)> {
        let comparison = self.comparison(Share::ALL);
        let recorded = self.recorded_of(build, names).await?;
        let recheck = comparison.look_again(&subject_of(build), names, true, Some(&recorded)).await?;
        if let Some(first) = recheck.differences.first() {
            tracing::warn!(
                build = %build.record().id, first = %first.stream,
                "a stream folded once more gives something else: comparing every stream"
            );
        }
        Ok((recheck.differences.is_empty(), recheck.moving))
    }

    /// Lets streams be refolded whose heads differ from the event store. Differences that the feed didn't
    /// announce are also logged.
    pub(super) async fn judge_heads(
        &self,
        build: &mut Build,
        feed: Option<&Feed>,
        difference: &HeadsDifference,
    ) -> Result<()> {
        if difference.is_none() {
            return Ok(());
        }
        let announced = match (feed, self.store.operation_time().await?) {
            (Some(feed), Some(now)) => {
                feed.reached(now, None, FEED_WAIT).await?;
                // Not all names may be known, and of streams that are gone none is.
                let known = difference.changed.len() as u64 == difference.new_streams + difference.moved;
                known && difference.gone == 0 && feed.has_all(build.position, &difference.changed)
            }
            _ => false,
        };
        if announced && build.record().state == BuildState::Indexing {
            // They are about to be caught up.
            return Ok(());
        }
        if feed.is_some() && !announced {
            tracing::warn!(
                build = %build.record().id, streams = ?difference.examples,
                "the comparison found changes that the change stream didn't show; refolding them"
            );
        }
        build.unnamed = Unnamed::Unknown;
        Ok(())
    }
}
