//! Proves an active generation that nobody but statefold wrote: without folding every stream once more.

use crate::engine::verify::comparison::{Comparison, Subject};
use crate::error::Result;
use crate::fold::{Digest, FoldCounts};
use crate::observe::{Phase, Recorder};
use crate::pipeline;
use crate::pipeline::ports::HeadDetail;
use crate::store::BuildStore;

/// Failed streams that are folded once more, at most.
const FAILED_MAX: i64 = 1000;

/// What was proven of a generation.
pub(crate) struct Proven {
    /// Counts of what it was folded from.
    pub(crate) counts: FoldCounts,
    /// Digest of what is stored, which is that of what was folded.
    pub(crate) digest: Digest,
    /// Number of streams that were folded once more.
    pub(crate) sampled: u64,
}

impl Comparison<'_> {
    /// Proves that what is stored of a generation is what was folded, by its digest, what was folded the
    /// event store, by its heads, and that a sample of streams gives the same once more. `None` if one of
    /// these isn't so, or can't be told: then every stream has to be compared.
    ///
    /// # Errors
    /// Errors of reading; [`crate::Error::Interrupted`].
    pub(crate) async fn proven(&self, subject: &Subject, build: &BuildStore) -> Result<Option<Proven>> {
        // What streams looked up of other projections may have changed since: only a fold of all tells.
        if subject.required.is_some() {
            return Ok(None);
        }
        let done = build.checkpoints().await?.len();
        if build.record.adopted || done == 0 || done != build.record.ranges.len() {
            return Ok(None);
        }
        let (counts, digest) = build.sums().await?;
        let Some(share) = self.settings.tuning().verify.sample(counts.streams) else { return Ok(None) };
        let recorder = Recorder::new(subject.projection.spec().name(), self.progress);
        recorder.enter(Phase::Verifying, 0);
        let (projection, began) = (subject.projection.spec().name(), std::time::Instant::now());
        tracing::info!(projection, build = build.record.id, "proving");
        // The documents come first: reading them is all that is lost where the application writes them.
        let (governor, stream_index) = (self.governor.clone(), self.stream_index.clone());
        let sampled = Comparison { share, governor, stream_index, ..*self };
        let Some(mut names) = sampled.to_fold_again(subject, digest, &build.record.id).await? else {
            return Ok(None);
        };
        let now = self.store.operation_time().await?;
        let batch = self.settings.tuning().batch_commits;
        let source = self.store.events().source(self.stream_index.clone(), now, batch);
        let job = self.job(subject, source, build.clone(), &recorder);
        let detail = HeadDetail::Everything;
        let partitions = build.partitions();
        let (heads, some) = pipeline::compare_heads(&job, &partitions, detail, Some(share)).await?;
        if !heads.is_none() {
            return Ok(None);
        }
        names.extend(some);
        names.sort_unstable();
        names.dedup();
        let recheck = self.look_again(subject, &names, true, None).await?;
        let is_same = recheck.differences.is_empty() && recheck.moving.is_empty();
        let (sampled, seconds) = (names.len(), began.elapsed().as_secs_f64());
        tracing::info!(projection, build = build.record.id, sampled, proven = is_same, seconds, "read back");
        Ok(is_same.then_some(Proven { counts, digest, sampled: names.len() as u64 }))
    }

    /// Reads everything back that is stored for a subject. Returns the streams of the share that have a
    /// document, and those of the build that failed; `None` if what is stored hasn't this digest.
    ///
    /// # Errors
    /// Errors of reading; [`crate::Error::Interrupted`].
    pub(crate) async fn to_fold_again(
        &self,
        subject: &Subject,
        digest: Digest,
        build: &str,
    ) -> Result<Option<Vec<String>>> {
        let read = self.read_back(subject).await?;
        let Some((_, mut names)) = read.filter(|(found, _)| *found == digest) else { return Ok(None) };
        let failed = self.store.builds().failed_streams(Some(build), FAILED_MAX).await?;
        names.extend(failed.into_iter().map(|failed| failed.stream));
        Ok(Some(names))
    }
}
