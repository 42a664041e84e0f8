//! The build proper: all projections are folded in one pass over the event store, then written one
//! after the other; or, in stream order, each on its own.

use std::sync::Arc;
use std::time::Instant;

use statefold_projections::Registered;

use crate::error::{Error, Result};
use crate::lifecycle::BuildState;
use crate::observe::{Phase, Recorder};
use crate::pipeline::{InMemory, Input, Memory, Pass, SpillFile, Wanted};
use crate::plan::{Choice, Estimate, Strategy};
use crate::rebuild::Run;
use crate::rebuild::report::PassReport;
use crate::rebuild::steps::Build;
use crate::store::{EventStore, PlanRecord};
use crate::survey::Survey;

/// Share of the budget that buffers may take which are not spilled yet.
const SPILL_BUFFERS: usize = 8;
/// Compressed size of commits, as a divisor: what LZ4 makes of documents with JSON, or better.
const COMPRESSION: u64 = 2;

impl Run {
    /// Reads, folds and writes what is to do in these builds. Those that are written when a later one
    /// fails are complete.
    pub(super) async fn fold(
        &self,
        builds: &mut [Build],
        survey: &Survey,
        selected: &[Registered],
    ) -> Result<Option<PassReport>> {
        let todo: Vec<usize> = (0..builds.len())
            .filter(|at| builds.get(*at).is_some_and(|build| build.record().state == BuildState::Building))
            .collect();
        let began = Instant::now();
        let estimates: Vec<Estimate> = todo
            .iter()
            .filter_map(|at| {
                let build = builds.get(*at)?;
                let name = build.job.projection.spec().name();
                let position = selected.iter().position(|one| one.spec().name() == name)?;
                Some(survey.estimates.get(position)?.share(build.todo.len(), build.record().ranges.len()))
            })
            .collect();
        let choice = survey.choose(&estimates, self.settings.tuning());
        let mut report = PassReport::planned(&choice, &estimates);
        for (at, estimate) in todo.iter().zip(&estimates) {
            if let Some(build) = builds.get_mut(*at) {
                let plan = PlanRecord::new(&choice, estimate);
                build.staging()?.advance(BuildState::Building, |record| record.plan = Some(plan)).await?;
            }
        }
        let work = Work { run: self, builds, todo, estimates, began };
        if !work.is_any() {
            return work.write(None).await.map(|()| None);
        }
        tracing::info!(strategy = %choice.strategy, reason = %choice.reason, "reading the event store");
        match choice.strategy {
            Strategy::Stream => work.write(None).await?,
            Strategy::Natural => work.natural(&choice, &mut report).await?,
            Strategy::Spill => work.spill(&mut report).await?,
        }
        report.seconds = began.elapsed().as_secs_f64();
        Ok(Some(report))
    }
}

/// The builds of one pass.
struct Work<'a> {
    run: &'a Run,
    builds: &'a mut [Build],
    todo: Vec<usize>,
    estimates: Vec<Estimate>,
    began: Instant,
}

impl Work<'_> {
    fn is_any(&self) -> bool {
        self.todo.iter().any(|at| self.builds.get(*at).is_some_and(|build| !build.todo.is_empty()))
    }

    /// What the pass has to fold, and where it reads it.
    fn wanted(&self) -> Vec<Wanted> {
        let wanted = |at: &usize| {
            let build = self.builds.get(*at)?;
            Some(Wanted {
                projection: build.job.projection.clone(),
                recorder: build.recorder.clone(),
                ranges: build.todo.iter().map(|partition| partition.range.clone()).collect(),
                all: build.todo.len() == build.record().ranges.len(),
            })
        };
        self.todo.iter().filter_map(wanted).collect()
    }

    /// The event store as the build that was planned last sees it: with all the others see.
    fn source(&self) -> Result<EventStore> {
        let last =
            self.todo.iter().filter_map(|at| self.builds.get(*at)).max_by_key(|build| build.record().t0);
        last.map(|build| build.job.source.clone()).ok_or_else(|| Error::Bug("nothing is to do".into()))
    }

    fn pass<'a>(&self, source: &'a EventStore, wanted: &'a [Wanted]) -> Pass<'a, EventStore> {
        let tuning = self.run.settings.tuning();
        let commits = self.estimates.iter().map(|one| one.commits).sum();
        let names: Vec<&str> = wanted.iter().map(|one| one.projection.spec().name()).collect();
        Recorder::new(&names.join(", "), &self.run.progress).begin(Phase::Building, commits);
        Pass {
            source,
            layout: Arc::new(self.run.store.layout.clone()),
            wanted,
            workers: Arc::clone(&self.run.workers),
            readers: tuning.readers,
            shards: tuning.threads,
            cancel: self.run.cancel.child_token(),
        }
    }

    /// Folds in memory; if that doesn't suffice, begins anew with a spill file.
    async fn natural(self, choice: &Choice, report: &mut PassReport) -> Result<()> {
        let tuning = self.run.settings.tuning();
        let memory = Arc::new(Memory::new(tuning.threads, tuning.memory_bytes));
        let (source, wanted) = (self.source()?, self.wanted());
        let folded = self.pass(&source, &wanted).in_memory(&memory).await?;
        report.memory_bytes = memory.peak() as u64;
        match folded {
            InMemory::Done(arrived, by) => {
                report.read_seconds = self.began.elapsed().as_secs_f64();
                report.divided_by = Some(by.to_string());
                let inputs = arrived.into_iter().map(Input::Arrived).collect();
                self.write(Some(inputs)).await
            }
            InMemory::Outgrown if tuning.strategy == Some(Strategy::Natural) => {
                Err(Error::MemoryBudget { budget: tuning.memory_bytes >> 20 })
            }
            InMemory::Outgrown => {
                let reason = "the states need more memory than was estimated";
                tracing::warn!(planned = %choice.strategy, reason, "reading again, with spill");
                report.strategy = Strategy::Spill;
                report.reason = format!("{}, but they needed more", report.reason);
                self.spill(report).await
            }
        }
    }

    /// Spills, then folds a range at a time.
    async fn spill(self, report: &mut PassReport) -> Result<()> {
        let (tuning, settings) = (self.run.settings.tuning(), &self.run.settings);
        let (source, wanted) = (self.source()?, self.wanted());
        let bytes: u64 = self.estimates.iter().map(|one| one.commit_bytes).sum();
        let file = SpillFile::create(settings.spill_folder(), bytes / COMPRESSION)?;
        let pass = self.pass(&source, &wanted);
        let spilled = pass.spill(file, tuning.memory_bytes / SPILL_BUFFERS).await?;
        report.read_seconds = self.began.elapsed().as_secs_f64();
        report.spilled_bytes = spilled.bytes();
        report.divided_by = Some(spilled.by().to_string());
        let ranges = wanted.iter().map(|one| one.ranges.len()).max().unwrap_or(0);
        let memory = Arc::new(Memory::new(ranges, tuning.memory_bytes));
        let inputs = (0..).zip(&self.todo).map(|(projection, at)| Input::Spilled {
            spilled: Arc::clone(&spilled),
            projection,
            partitions: self
                .builds
                .get(*at)
                .map_or_else(Vec::new, |build| build.todo.iter().map(|partition| partition.number).collect()),
            memory: Arc::clone(&memory),
            bytes_max: tuning.memory_bytes / tuning.readers.max(1),
        });
        let inputs = inputs.collect();
        let written = self.write(Some(inputs)).await;
        report.memory_bytes = memory.peak() as u64;
        written
    }

    /// Writes one projection after the other; without inputs each is read in stream order.
    async fn write(self, inputs: Option<Vec<Input>>) -> Result<()> {
        let mut inputs = inputs.map(Vec::into_iter);
        for at in self.todo {
            let input = inputs.as_mut().and_then(Iterator::next);
            let Some((build, before)) = self.builds.get_mut(..=at).and_then(<[Build]>::split_last_mut) else {
                continue;
            };
            let others = self.run.others(&build.job.projection, before).await?;
            build.job_mut()?.others = others;
            if input.is_none() {
                let commits = self.run.commits_of(&build.job.source, &build.todo).await?;
                build.recorder.begin(Phase::Building, commits);
            }
            build.recorder.partitions(build.todo.len());
            let input = input.unwrap_or(Input::Streams);
            self.run.fold_partitions(build, &input, self.began).await?;
            self.run.workers.discard(input);
        }
        Ok(())
    }
}

impl PassReport {
    fn planned(choice: &Choice, estimates: &[Estimate]) -> Self {
        Self {
            strategy: choice.strategy,
            reason: choice.reason.clone(),
            planned_seconds: estimates.iter().map(|one| one.seconds).sum(),
            planned_memory_bytes: match choice.strategy {
                Strategy::Natural => estimates.iter().map(|one| one.state_bytes).sum(),
                Strategy::Spill | Strategy::Stream => 0,
            },
            planned_snapshots: estimates.iter().map(|one| one.snapshots).sum(),
            divided_by: None,
            seconds: 0.0,
            read_seconds: 0.0,
            memory_bytes: 0,
            spilled_bytes: 0,
        }
    }
}
