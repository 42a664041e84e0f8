//! Folds all projections in one pass over the event store and writes them one after the other; in stream
//! order reads, folds and writes each on its own.

use std::time::Instant;

use statefold_projections::Registered;

use crate::engine::pass::{PassPart, PassReader, PassReport, Survey};
use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, Share};
use crate::observe::Phase;
use crate::pipeline::{Input, Wanted};
use crate::plan::{Choice, Estimate, Strategy};
use crate::store::{EventStore, PlanRecord};

impl Run {
    /// Reads, folds and writes the unfinished partitions of these builds. If one fails, those that were
    /// written before it are complete.
    pub(super) async fn fold(
        &self,
        builds: &mut [Build],
        survey: &Survey,
        selected: &[Registered],
    ) -> Result<Option<PassReport>> {
        // A build that was paused before it is resumed waits from the first batch on.
        self.governor.look().await;
        let todo: Vec<usize> = (0..builds.len())
            .filter(|at| builds.get(*at).is_some_and(|build| build.record().state == BuildState::Building))
            .collect();
        let began = Instant::now();
        let estimates: Vec<Estimate> = todo
            .iter()
            .filter_map(|at| {
                let build = builds.get(*at)?;
                let name = build.job.projection.spec().name();
                let position = selected.iter().position(|projection| projection.spec().name() == name)?;
                Some(survey.estimates.get(position)?.share(build.todo.len(), build.record().ranges.len()))
            })
            .collect();
        let choice = self.choose(survey, &estimates).await?;
        let mut report = PassReport::planned(&choice, &estimates);
        for (at, estimate) in todo.iter().zip(&estimates) {
            if let Some(build) = builds.get_mut(*at) {
                let plan = PlanRecord::new(&choice, estimate);
                build.staging()?.advance(BuildState::Building, |record| record.plan = Some(plan)).await?;
            }
        }
        let work = FoldWork { run: self, builds, todo, estimates, began };
        if !work.is_any() {
            return work.write(None, choice.strategy).await.map(|()| None);
        }
        tracing::info!(strategy = %choice.strategy, reason = %choice.reason, "reading the event store");
        let held_before = self.governor.held();
        work.all(&choice, &mut report).await?;
        // What could not be read in parts was read otherwise.
        let planned = builds.iter().filter_map(|build| build.record().plan.as_ref());
        if let Some(other) = planned
            .filter(|_| choice.strategy == Strategy::Exchange)
            .find(|plan| plan.strategy == Strategy::Stream)
        {
            (report.strategy, report.reason) = (other.strategy, other.reason.clone());
        }
        let held = self.governor.held().saturating_sub(held_before);
        report.seconds = began.elapsed().saturating_sub(held).as_secs_f64();
        report.held_seconds = held.as_secs_f64();
        Ok(Some(report))
    }
}

/// The builds that one pass folds.
struct FoldWork<'a> {
    run: &'a Run,
    builds: &'a mut [Build],
    todo: Vec<usize>,
    estimates: Vec<Estimate>,
    began: Instant,
}

impl FoldWork<'_> {
    /// Whether any partition is to be folded.
    fn is_any(&self) -> bool {
        self.todo.iter().any(|at| self.builds.get(*at).is_some_and(|build| !build.todo.is_empty()))
    }

    /// Parts of the pass, one for each build.
    fn parts(&self) -> Vec<PassPart> {
        let part = |(at, estimate): (&usize, &Estimate)| {
            let build = self.builds.get(*at)?;
            let wanted = Wanted {
                projection: build.job.projection.clone(),
                recorder: build.recorder.clone(),
                ranges: build.todo.iter().map(|partition| partition.range.clone()).collect(),
                all: build.todo.len() == build.record().ranges.len(),
                share: Share::ALL,
            };
            let numbers = build.todo.iter().map(|partition| partition.number).collect();
            Some(PassPart { wanted, numbers, estimate: *estimate })
        };
        self.todo.iter().zip(&self.estimates).filter_map(part).collect()
    }

    /// The event store as the build that was planned last sees it, which includes all that the others see.
    fn source(&self) -> Result<EventStore> {
        let last =
            self.todo.iter().filter_map(|at| self.builds.get(*at)).max_by_key(|build| build.record().t0);
        last.map(|build| build.job.source.clone()).ok_or_else(|| Error::Bug("nothing is to do".into()))
    }

    /// Reads, folds and writes all builds.
    async fn all(self, choice: &Choice, report: &mut PassReport) -> Result<()> {
        let run = self.run;
        let reading = PassReader {
            settings: &run.settings,
            layout: &run.store.layout,
            workers: &run.workers,
            progress: &run.progress,
            cancel: &run.cancel,
            phase: Phase::Building,
            began: self.began,
        };
        let mut read = reading.read(choice, &self.source()?, self.parts(), report).await?;
        let written = self.write(read.inputs.take(), choice.strategy).await;
        read.note(report);
        written
    }

    /// Writes one build after the other; without inputs each is read by all processes that take part.
    async fn write(self, inputs: Option<Vec<Input>>, strategy: Strategy) -> Result<()> {
        let mut inputs = inputs.map(Vec::into_iter);
        for at in self.todo {
            let input = inputs.as_mut().and_then(Iterator::next);
            let Some(build) = self.builds.get_mut(at) else { continue };
            if build.todo.len() == build.record().ranges.len() {
                build.begin_lookups();
            }
            if input.is_none() {
                let commits = self.run.commits_of(&build.job.source, &build.todo).await?;
                build.recorder.begin(Phase::Building, commits);
            }
            build.recorder.partitions(build.todo.len());
            if !build.todo.is_empty() {
                tracing::info!(build = %build.record().id, partitions = build.todo.len(), "building");
            }
            // Where nothing is left to fold, there is nothing to share.
            match input.or_else(|| build.todo.is_empty().then_some(Input::Streams)) {
                Some(input) => {
                    self.run.fold_partitions(build, &input, self.began).await?;
                    self.run.workers.discard(input);
                }
                None => self.run.fold_with_workers(build, strategy, self.began).await?,
            }
        }
        Ok(())
    }
}
