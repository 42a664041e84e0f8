//! Refolds streams of a generation that exists already, for `follow` and for retrying failed streams.
//!
//! The writes are made under the token in the generation's record, without taking the generation over.
//! Whoever does take it over (a cut-over, a roll back) raises that token, and later writes of this process
//! are refused.

use std::sync::Arc;

use statefold_projections::Registered;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::comparing::Comparing;
use crate::engine::required::required_later;
use crate::engine::verify::Subject;
use crate::error::{Error, Result};
use crate::lifecycle::is_fingerprint_of;
use crate::next_step::NextStep;
use crate::observe::Recorder;
use crate::pipeline::refold;
use crate::pipeline::{Differing, Job, JobContext, Required, Workers, differing};
use crate::plan::Estimate;
use crate::store::{BuildRecord, BuildStore, Mandate, Store, StreamIndex};

/// Everything that refolding needs: store, settings, threads and mandate.
pub(crate) struct Refolding {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) stream_index: StreamIndex,
    pub(crate) workers: Arc<Workers>,
    pub(crate) mandate: Mandate,
    pub(crate) cancel: CancellationToken,
}

/// One generation that is open for refolding.
pub(crate) struct Generation {
    pub(crate) projection: Registered,
    pub(crate) build: BuildStore,
    pub(crate) recorder: Recorder,
    /// What its projection requires, if anything.
    pub(crate) required: Option<Required>,
}

/// Whether a generation can be refolded.
pub(crate) enum Refoldable {
    Yes(Box<Generation>),
    /// It can't be: the error of a request that needs it.
    No(Error),
}

impl Refolding {
    /// Opens a generation all of whose heads are recorded.
    ///
    /// # Errors
    /// What the server said.
    pub(crate) async fn generation(
        &self,
        projection: &Registered,
        record: BuildRecord,
        recorder: &Recorder,
    ) -> Result<Refoldable> {
        let generation = match self.unfinished(projection, record, recorder) {
            Refoldable::Yes(generation) => generation,
            no @ Refoldable::No(_) => return Ok(no),
        };
        let record = &generation.build.record;
        // Whoever took it over may have ended before it took the checkpoints over.
        generation.build.take_checkpoints_over().await?;
        let done = generation.build.checkpoints().await?.len();
        if done == 0 || done != record.ranges.len() {
            return Ok(Refoldable::No(heads_missing(&record.projection, &record.id)));
        }
        Ok(Refoldable::Yes(generation))
    }

    /// Opens a generation that may have unfinished partitions.
    pub(crate) fn unfinished(
        &self,
        projection: &Registered,
        record: BuildRecord,
        recorder: &Recorder,
    ) -> Refoldable {
        let spec = projection.spec();
        let (name, id) = (spec.name(), &record.id);
        if !is_fingerprint_of(&record.fingerprint, spec, &self.store.layout) {
            let reason = format!(
                "{id} was built with another version or definition of {name} than this program has: \
                 use that program, or build a new generation"
            );
            return Refoldable::No(Error::not_ready(reason, NextStep::rebuild(name)));
        }
        if record.adopted {
            return Refoldable::No(Error::Unsupported(format!(
                "{id} is the application's own, which writes its snapshots itself: \
                 statefold writes only what it built"
            )));
        }
        if record.swap.is_some() {
            let reason = format!("{id} is in the middle of a cut-over: finish that first");
            return Refoldable::No(Error::not_ready(reason, NextStep::cut_over(name)));
        }
        let build = self.store.builds().open_for_writing(record, spec.stream_filter().first(), &self.mandate);
        let (projection, recorder) = (projection.clone(), recorder.clone());
        let required = required_later(&self.store, &projection, &self.settings);
        Refoldable::Yes(Box::new(Generation { projection, build, recorder, required }))
    }

    /// Refolds streams, each as a whole; with `compare` also all streams whose heads differ from the recorded
    /// ones. Returns the number of refolded streams.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process took the generation over; [`Error::Interrupted`]; what the server
    /// said. Snapshots that were not replaced yet stay as they were.
    pub(crate) async fn refold(
        &self,
        generation: &Generation,
        streams: Vec<String>,
        compare: bool,
    ) -> Result<u64> {
        if streams.is_empty() && !compare {
            return Ok(0);
        }
        let now = self.store.operation_time().await?;
        let tuning = self.settings.tuning();
        let source = self.store.events().source(self.stream_index.clone(), now, tuning.batch_commits);
        let context = JobContext {
            layout: &self.store.layout,
            workers: &self.workers,
            recorder: &generation.recorder,
            cancel: &self.cancel,
            batch_docs: tuning.batch_docs,
            batch_bytes: tuning.batch_bytes,
            readers: tuning.readers,
        };
        let job = Job::new(source, generation.build.clone(), &generation.projection, &context);
        let job = Arc::new(job.with_required(generation.required.clone()));
        let (partitions, mut refolded) = (generation.build.partitions(), 0);
        if compare {
            for partition in &partitions {
                if self.cancel.is_cancelled() {
                    return Err(Error::Interrupted);
                }
                let found = differing(&job, partition).await?;
                refolded += refold(&job, std::slice::from_ref(partition), found).await?;
            }
        }
        refolded += refold(&job, &partitions, Differing { streams, ..Differing::default() }).await?;
        generation.recorder.refolded(refolded);
        Ok(refolded)
    }

    /// The comparison of a generation with a fold of every stream.
    pub(crate) fn comparing(&self, generation: &Generation) -> Comparing {
        let targets = 0..generation.build.record.targets.len();
        Comparing {
            store: self.store.clone(),
            settings: self.settings.clone(),
            stream_index: self.stream_index.clone(),
            workers: Arc::clone(&self.workers),
            cancel: self.cancel.clone(),
            name: generation.build.record.id.clone(),
            subject: Subject {
                projection: generation.projection.clone(),
                collections: targets
                    .filter_map(|at| generation.build.collection_of(at).map(str::to_owned))
                    .collect(),
                required: generation.required.clone(),
                partitions: generation.build.partitions(),
                estimate: Estimate::default(),
                records: None,
            },
        }
    }

    /// Writes the present digest and counts of all partitions into the generation's record.
    pub(crate) async fn note_sums(&self, generation: &mut Generation) -> Result<()> {
        let (counts, digest) = generation.build.sums().await?;
        generation.build.note_sums(counts.into(), Some(digest.to_string())).await
    }

    /// Reads the record of a generation.
    pub(crate) async fn record(&self, projection: &str, generation: u32) -> Result<BuildRecord> {
        let records = self.store.builds().records(Some(projection)).await?;
        let found = records.into_iter().find(|record| record.generation == generation);
        found.ok_or_else(|| heads_missing(projection, &format!("{projection}{generation}")))
    }
}

fn heads_missing(name: &str, id: &str) -> Error {
    let reason = format!(
        "statefold didn't build {id}: how far its streams are folded is not recorded; \
         a generation built by statefold has that"
    );
    Error::not_ready(reason, NextStep::rebuild(name))
}
