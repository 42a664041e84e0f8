//! Folds everything once more from the event store, in one pass, and compares it with what is stored.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use statefold_projections::Registered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Settings, Tuning};
use crate::engine::pass::{PassPart, PassReader, PassReport, Survey};
use crate::error::{Error, Result};
use crate::fold::{Digest, DocumentHashes, FoldCounts};
use crate::lifecycle::Share;
use crate::observe::{Phase, Progress, Recorder};
use crate::pipeline;
use crate::pipeline::ports::SnapshotSink;
use crate::pipeline::{Governor, Input, Job, JobContext, Queue, Reader, Required, SnapshotComparer};
use crate::pipeline::{Suspects, Wanted, Workers, read_digest, read_stored};
use crate::plan::{Estimate, Partition, Strategy};
use crate::store::{EventStore, Store, StreamIndex};

/// Memory that a pass gets in any case, unless the whole budget is smaller.
const PASS_BYTES_MIN: usize = 8 << 20;

/// Memory that the tables leave of a budget, in bytes.
fn left_of(budget: usize, tables: usize) -> usize {
    budget.saturating_sub(tables).max(budget.min(PASS_BYTES_MIN))
}

/// Everything that a comparison needs.
pub(crate) struct Comparison<'a> {
    pub(crate) store: &'a Store,
    pub(crate) settings: &'a Settings,
    pub(crate) stream_index: StreamIndex,
    pub(crate) workers: &'a Arc<Workers>,
    pub(crate) progress: &'a watch::Sender<Progress>,
    pub(crate) cancel: &'a CancellationToken,
    /// Asked before each batch is read.
    pub(crate) governor: Governor,
    /// Share of the streams to compare.
    pub(crate) share: Share,
}

/// Collections that should hold what a projection gives.
pub(crate) struct Subject {
    pub(crate) projection: Registered,
    /// One for each target.
    pub(crate) collections: Vec<String>,
    /// What the projection requires, if anything.
    pub(crate) required: Option<Required>,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) estimate: Estimate,
    /// Sink that also takes the records of finished partitions.
    pub(crate) records: Option<Arc<dyn SnapshotSink>>,
}

/// Outcome of the comparison for one subject.
pub(crate) struct ComparisonOutcome {
    /// Counts of what was folded.
    pub(crate) counts: FoldCounts,
    /// Digest of what the events give.
    pub(crate) expected: Digest,
    /// Digest of what is stored.
    pub(crate) found: Digest,
    /// Number of stored documents.
    pub(crate) stored: u64,
    /// Number of further documents, whose `_id` isn't a text.
    pub(crate) foreign: u64,
    /// Streams that may differ.
    pub(crate) suspects: Suspects,
    /// Hashes of the streams that could not be folded.
    pub(crate) failed_streams: HashSet<u64>,
}

impl Comparison<'_> {
    /// Compares all subjects in one pass over the event store.
    ///
    /// # Errors
    /// Errors of reading; [`Error::Interrupted`].
    pub(crate) async fn run(&self, subjects: &[Subject], survey: &Survey) -> Result<Vec<ComparisonOutcome>> {
        let began = Instant::now();
        let recorders: Vec<Recorder> = subjects
            .iter()
            .map(|subject| Recorder::verifying(subject.projection.spec().name(), self.progress))
            .collect();
        for (recorder, subject) in recorders.iter().zip(subjects) {
            recorder.enter(Phase::Verifying, 0);
            let (projection, share) = (subject.projection.spec().name(), self.share);
            tracing::info!(projection, collections = subject.collections.len(), %share, "comparing");
        }
        let mut stored = Vec::new();
        for subject in subjects {
            stored.push(self.stored(subject).await?);
        }
        // The events are read after the collections, so that they include everything the collections show.
        let source = {
            let now = self.store.operation_time().await?;
            survey.source(
                self.store,
                self.stream_index.clone(),
                now,
                (self.settings.tuning(), &self.governor),
            )
        };
        let estimates: Vec<Estimate> = subjects.iter().map(|subject| self.estimate(subject)).collect();
        let tables = stored.iter().flat_map(|(tables, _)| tables).map(DocumentHashes::bytes).sum();
        let settings = self.settings_with_tables(tables)?;
        let mut choice = survey.choose(&estimates, settings.tuning());
        if !self.share.is_all() && choice.strategy == Strategy::Stream && settings.tuning().strategy.is_none()
        {
            // The streams of a share are picked while everything is read.
            choice.strategy = Strategy::Natural;
        }
        let parts =
            subjects.iter().zip(&recorders).zip(&estimates).map(|((subject, recorder), estimate)| PassPart {
                wanted: Wanted {
                    projection: subject.projection.clone(),
                    recorder: recorder.clone(),
                    ranges: subject.partitions.iter().map(|partition| partition.range.clone()).collect(),
                    all: true,
                    share: self.share,
                },
                numbers: subject.partitions.iter().map(|partition| partition.number).collect(),
                estimate: *estimate,
            });
        let reading = PassReader {
            settings: &settings,
            layout: &self.store.layout,
            workers: self.workers,
            progress: self.progress,
            cancel: self.cancel,
            phase: Phase::Verifying,
            began,
        };
        let mut report = PassReport::planned(&choice, &estimates);
        let read = reading.read(&choice, &source, parts.collect(), &mut report).await?;
        let mut inputs = read.inputs.map(Vec::into_iter);
        let mut outcomes = Vec::new();
        for ((subject, recorder), (stored, found)) in subjects.iter().zip(&recorders).zip(stored) {
            let input = inputs.as_mut().and_then(Iterator::next).unwrap_or(Input::Streams);
            let filter = subject.projection.spec().stream_filter().clone();
            let comparer = SnapshotComparer::new(filter, self.share, stored, subject.records.clone());
            let job = self.job(subject, source.clone(), comparer, recorder);
            recorder.partitions(subject.partitions.len());
            let done = pipeline::run(&job, &Queue::of(subject.partitions.clone(), true), &input).await;
            let done = if self.cancel.is_cancelled() { Err(Error::Interrupted) } else { done }?;
            self.workers.discard(input);
            let sources: Vec<EventStore> = subject
                .collections
                .iter()
                .map(|name| self.store.snapshots().as_source(name, &source))
                .collect();
            let (suspects, failed_streams) = job.staging.suspects(&sources, &self.reader()).await?;
            let mut foreign = 0;
            for name in &subject.collections {
                foreign += self.store.snapshots().count_foreign(name).await?;
            }
            let (projection, FoldCounts { events, streams, .. }) =
                (subject.projection.spec().name(), done.counts);
            let suspects_found = suspects.streams.len() as u64 + suspects.more;
            let seconds = began.elapsed().as_secs_f64();
            tracing::info!(projection, streams, events, suspects = suspects_found, seconds, "compared");
            outcomes.push(ComparisonOutcome {
                counts: done.counts,
                expected: done.digest,
                found,
                stored: job.staging.stored(),
                foreign,
                suspects,
                failed_streams,
            });
        }
        Ok(outcomes)
    }

    /// Reads hashes and digest of what is stored for a subject.
    async fn stored(&self, subject: &Subject) -> Result<(Vec<DocumentHashes>, Digest)> {
        let (mut all, mut sum) = (Vec::new(), Digest::default());
        let source = self.store.events().source(
            self.stream_index.clone(),
            self.store.operation_time().await?,
            self.batch(),
        );
        for (target, name) in subject.collections.iter().enumerate() {
            let expected = self.store.estimated_count(name).await?;
            let collection = self.store.snapshots().as_source(name, &source);
            let streams = (subject.projection.spec().stream_filter(), self.share);
            let (stored, digest) =
                read_stored(&collection, target, streams, expected, &self.reader()).await?;
            all.push(stored);
            sum.merge(digest);
        }
        Ok((all, sum))
    }

    /// Reads everything back that is stored for a subject: its digest, and the streams of the share. `None`
    /// if there are documents that can't be snapshots.
    ///
    /// # Errors
    /// Errors of reading; [`Error::Interrupted`].
    pub(crate) async fn read_back(&self, subject: &Subject) -> Result<Option<(Digest, Vec<String>)>> {
        let now = self.store.operation_time().await?;
        let source = self.store.events().source(self.stream_index.clone(), now, self.batch());
        let (mut sum, mut names) = (Digest::default(), Vec::new());
        for (target, name) in subject.collections.iter().enumerate() {
            let collection = self.store.snapshots().as_source(name, &source);
            let streams = (subject.projection.spec().stream_filter(), self.share);
            if self.store.snapshots().has_foreign(name).await? {
                return Ok(None);
            }
            let (digest, some) = read_digest(&collection, target, streams, &self.reader()).await?;
            sum.merge(digest);
            names.extend(some);
        }
        Ok(Some((sum, names)))
    }

    /// Settings of a pass that shares the memory budget with tables of so many bytes.
    fn settings_with_tables(&self, tables: usize) -> Result<Settings> {
        let tuning = *self.settings.tuning();
        let memory_bytes = left_of(tuning.memory_bytes, tables);
        self.settings.clone().with_tuning(Tuning { memory_bytes, ..tuning })
    }

    fn batch(&self) -> u32 {
        self.settings.tuning().batch_commits
    }

    fn reader(&self) -> Reader<'_> {
        Reader { readers: self.settings.tuning().readers, workers: self.workers, cancel: self.cancel }
    }

    /// Estimate for a subject; only the states of the share need memory.
    fn estimate(&self, subject: &Subject) -> Estimate {
        Estimate { state_bytes: self.share.of(subject.estimate.state_bytes), ..subject.estimate }
    }

    /// Job that folds the streams of a subject.
    pub(crate) fn job<W>(
        &self,
        subject: &Subject,
        source: EventStore,
        staging: W,
        progress: &Recorder,
    ) -> Arc<Job<EventStore, W>> {
        let tuning = self.settings.tuning();
        let context = JobContext {
            layout: &self.store.layout,
            workers: self.workers,
            recorder: progress,
            cancel: self.cancel,
            batch_docs: tuning.batch_docs,
            batch_bytes: tuning.batch_bytes,
            readers: tuning.readers,
        };
        let job = Job::new(source, staging, &subject.projection, &context);
        Arc::new(job.with_required(subject.required.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_gets_what_the_tables_leave_but_never_nothing() {
        assert_eq!(left_of(64 << 20, 24 << 20), 40 << 20);
        assert_eq!(left_of(64 << 20, 60 << 20), PASS_BYTES_MIN);
        assert_eq!(left_of(64 << 20, 1 << 30), PASS_BYTES_MIN);
        assert_eq!(left_of(2 << 20, 1 << 30), 2 << 20);
    }
}
