//! Reads one pass over the event store, by the chosen strategy.

use std::sync::Arc;
use std::time::Instant;

use statefold_projections::Layout;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::engine::pass::report::PassReport;
use crate::error::{Error, Result};
use crate::observe::{Phase, Progress, Recorder};
use crate::pipeline::{InMemory, Input, Memory, Pass, SpillFile, Wanted, Workers};
use crate::plan::{Choice, Estimate, Strategy};
use crate::store::EventStore;

/// Divisor of the memory budget: the share that buffers may take before they are spilled.
const SPILL_BUFFERS: usize = 8;
/// Divisor of the size of commits when LZ4 compresses them; documents with JSON compress at least so well.
const COMPRESSION: u64 = 2;

/// Reads one pass.
pub(crate) struct PassReader<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) layout: &'a Layout,
    pub(crate) workers: &'a Arc<Workers>,
    pub(crate) progress: &'a watch::Sender<Progress>,
    pub(crate) cancel: &'a CancellationToken,
    /// Phase that is shown while it reads.
    pub(crate) phase: Phase,
    /// When the pass began.
    pub(crate) began: Instant,
}

/// One projection of a pass.
pub(crate) struct PassPart {
    /// The projection and its streams.
    pub(crate) wanted: Wanted,
    /// Numbers of its partitions, in the order of the ranges.
    pub(crate) numbers: Vec<u32>,
    /// What to expect of its streams.
    pub(crate) estimate: Estimate,
}

/// Result of a pass.
pub(crate) struct Read {
    /// Input of each projection; `None` in stream order, where each projection reads for itself.
    pub(crate) inputs: Option<Vec<Input>>,
    /// Memory that is used while the inputs are consumed.
    memory: Option<Arc<Memory>>,
}

impl Read {
    /// The result in stream order: nothing is read ahead.
    pub(crate) fn in_stream_order() -> Self {
        Self { inputs: None, memory: None }
    }

    /// Notes the memory that was used, once all inputs are consumed.
    pub(crate) fn note(&self, report: &mut PassReport) {
        if let Some(memory) = &self.memory {
            report.memory_bytes = memory.peak() as u64;
        }
    }
}

impl PassReader<'_> {
    /// Reads all parts and folds or spills them. If folding in memory needs more than was estimated,
    /// everything is read again, with spill.
    ///
    /// # Errors
    /// Errors of reading; [`Error::MemoryBudget`] if only natural order is allowed and the states outgrow the
    /// memory budget.
    pub(crate) async fn read(
        &self,
        choice: &Choice,
        source: &EventStore,
        parts: Vec<PassPart>,
        report: &mut PassReport,
    ) -> Result<Read> {
        match choice.strategy {
            // Each build is read by itself, by all processes that take part in it.
            Strategy::Stream | Strategy::Exchange => Ok(Read::in_stream_order()),
            Strategy::Natural => self.natural(choice, source, parts, report).await,
            Strategy::Spill => self.spill(source, parts, report).await,
        }
    }

    fn pass<'b>(&self, source: &'b EventStore, parts: &'b [PassPart]) -> Pass<'b, EventStore> {
        let tuning = self.settings.tuning();
        let begun: Vec<(&Recorder, u64)> =
            parts.iter().map(|part| (&part.wanted.recorder, part.estimate.commits)).collect();
        Recorder::begin_together(self.progress, self.phase, &begun);
        Pass {
            source,
            layout: Arc::new(self.layout.clone()),
            wanted: parts.iter().map(|part| &part.wanted).collect(),
            workers: Arc::clone(self.workers),
            readers: tuning.readers,
            shards: tuning.threads,
            cancel: self.cancel.child_token(),
        }
    }

    /// Folds in memory; if that doesn't suffice, starts over with a spill file.
    async fn natural(
        &self,
        choice: &Choice,
        source: &EventStore,
        parts: Vec<PassPart>,
        report: &mut PassReport,
    ) -> Result<Read> {
        let tuning = self.settings.tuning();
        let memory = Arc::new(Memory::new(tuning.threads, tuning.memory_bytes));
        let folded = self.pass(source, &parts).in_memory(&memory).await?;
        report.memory_bytes = memory.peak() as u64;
        match folded {
            InMemory::Done(folded_streams, by) => {
                report.read_seconds = self.began.elapsed().as_secs_f64();
                report.divided_by = Some(by.to_string());
                let inputs = Some(folded_streams.into_iter().map(Input::FoldedStreams).collect());
                Ok(Read { inputs, memory: None })
            }
            InMemory::Outgrown if tuning.strategy == Some(Strategy::Natural) => {
                Err(Error::MemoryBudget { budget: tuning.memory_bytes >> 20 })
            }
            InMemory::Outgrown => {
                let reason = "the states need more memory than was estimated";
                tracing::warn!(planned = %choice.strategy, reason, "reading again, with spill");
                report.strategy = Strategy::Spill;
                report.reason = format!("{}, but they needed more", report.reason);
                self.spill(source, parts, report).await
            }
        }
    }

    /// Spills all commits, to be folded a range at a time.
    async fn spill(
        &self,
        source: &EventStore,
        parts: Vec<PassPart>,
        report: &mut PassReport,
    ) -> Result<Read> {
        let tuning = self.settings.tuning();
        let bytes: u64 = parts.iter().map(|part| part.estimate.commit_bytes).sum();
        let file = SpillFile::create(self.settings.spill_folder(), bytes / COMPRESSION)?;
        let spilled = self.pass(source, &parts).spill(file, tuning.memory_bytes / SPILL_BUFFERS).await?;
        report.read_seconds = self.began.elapsed().as_secs_f64();
        report.spilled_bytes = spilled.bytes();
        report.divided_by = Some(spilled.by().to_string());
        let ranges = parts.iter().map(|part| part.wanted.ranges.len()).max().unwrap_or(0);
        let memory = Arc::new(Memory::new(ranges, tuning.memory_bytes));
        let inputs = parts.into_iter().enumerate().map(|(projection, part)| Input::Spilled {
            spilled: Arc::clone(&spilled),
            projection,
            partitions: part.numbers,
            memory: Arc::clone(&memory),
            bytes_max: tuning.memory_bytes / tuning.readers.max(1),
        });
        Ok(Read { inputs: Some(inputs.collect()), memory: Some(memory) })
    }
}
