//! What a run that was cut short in its last steps has left, and what becomes of it.
//!
//! Pointer and UUIDs tell where it ended: whether readers use the generation already, and under which name it is.
//! One that they use is finished; one that they don't use is made active if it is wanted, else retired.

use statefold_projections::Registered;

use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, fingerprint};
use crate::store::{ActiveGeneration, BuildRecord};

/// What is left of a run that was cut short behind its last step but one.
pub(super) enum Finished {
    /// Nothing.
    No,
    /// A complete generation that is to be made active.
    Waiting(Box<Build>),
    /// It was active already; its records say so now.
    Already,
}

impl Run {
    /// A build that was cut short between its final names and the pointer; what differs from the event
    /// store by now is refolded. One of another definition is retired.
    pub(super) async fn finished_before(&self, projection: &Registered, position: usize) -> Result<Finished> {
        let spec = projection.spec();
        let Some(record) = self.cut_short(spec.name()).await? else { return Ok(Finished::No) };
        let active = self.store.control().active(spec.name()).await?;
        let is_pointed = active.as_ref().is_some_and(|active| active.active == record.generation);
        let was_active = |active: &ActiveGeneration| {
            active.previous.iter().any(|previous| previous.generation == record.generation)
        };
        if record.adopted && !is_pointed && !active.as_ref().is_some_and(was_active) {
            tracing::warn!(build = %record.id, "an adoption that was cut short is forgotten");
            self.store.snapshots().forget_adopted(&record.id, &self.mandate).await?;
            return Ok(Finished::No);
        }
        let is_used = self.store.snapshots().is_swapped(&record).await?;
        // One that is rolled back to may be of an older version.
        let version = record.projection_version;
        let Some(known) = self.registry.of_version(spec.name(), version) else {
            if is_used || is_pointed {
                return Err(Error::Unsupported(format!(
                    "a cut-over to {} was cut short, and this program doesn't have its version {version}: use one that \
                     has it",
                    record.id
                )));
            }
            return self.give_up(record, projection).await.map(|()| Finished::No);
        };
        let projection = if version == spec.version() { projection } else { known };
        if is_pointed {
            // Cut short behind the flip: only the records and views don't know yet.
            self.settle_late(record, projection).await?;
            return Ok(if version == spec.version() { Finished::Already } else { Finished::No });
        }
        if is_used {
            // There is no way back but a roll back.
            return self
                .open_published(record, projection, position)
                .await
                .map(Box::new)
                .map(Finished::Waiting);
        }
        let print = fingerprint(spec, &self.store.layout);
        // An older one was about to be rolled back to.
        let is_next = active.is_none_or(|active| active.active < record.generation);
        if is_next && !self.request.fresh && record.fingerprint == print {
            if let Some(record) = self.unswapped(record.clone(), projection).await? {
                return self
                    .open_published(record, projection, position)
                    .await
                    .map(Box::new)
                    .map(Finished::Waiting);
            }
            tracing::warn!(build = %record.id, "the collections of a published generation are gone");
            let record = self.cut_short(spec.name()).await?.unwrap_or(record);
            return self.give_up(record, projection).await.map(|()| Finished::No);
        }
        self.give_up(record, projection).await.map(|()| Finished::No)
    }

    /// The published generation of a projection, if there is one.
    async fn cut_short(&self, name: &str) -> Result<Option<BuildRecord>> {
        let records = self.store.builds().records(Some(name)).await?;
        Ok(records.into_iter().find(|record| record.state == BuildState::Published))
    }

    /// The record, with its collections under their own names; `None` if they are gone.
    async fn unswapped(&self, record: BuildRecord, projection: &Registered) -> Result<Option<BuildRecord>> {
        let prefix = projection.spec().stream_filter().first();
        let mut build = self.store.builds().adopt(record, prefix, &self.mandate).await?;
        Ok(build.unswap().await?.then_some(build.record))
    }

    /// Retires a published generation that readers never used.
    pub(super) async fn give_up(&self, record: BuildRecord, projection: &Registered) -> Result<()> {
        tracing::warn!(build = %record.id, "a published generation was never made active and is given up");
        self.retire(record, projection).await
    }

    async fn retire(&self, record: BuildRecord, projection: &Registered) -> Result<()> {
        let prefix = projection.spec().stream_filter().first();
        let mut build = self.store.builds().adopt(record, prefix, &self.mandate).await?;
        // Where nothing is left, nothing has to be renamed.
        build.unswap().await?;
        build.advance(BuildState::Retired, |record| record.swap = None).await
    }

    /// Writes into views and records what the pointer says, after a run that was cut short behind the flip.
    async fn settle_late(&self, record: BuildRecord, projection: &Registered) -> Result<()> {
        let mut build = self.open_published(record, projection, 0).await?;
        if let Some(active) = self.store.control().active(&build.record().projection).await? {
            build.mode = active.mode;
        }
        self.switch_views(&build).await?;
        self.settle(&mut build).await
    }

    /// As [`Self::settle_late`], for every projection that needs it.
    pub(super) async fn settle_all(&self, selected: &[Registered]) -> Result<()> {
        for projection in selected {
            let name = projection.spec().name();
            let (Some(record), Some(active)) =
                (self.cut_short(name).await?, self.store.control().active(name).await?)
            else {
                continue;
            };
            let known = self.registry.of_version(name, record.projection_version).unwrap_or(projection);
            if active.active == record.generation {
                self.settle_late(record, known).await?;
            }
        }
        Ok(())
    }

    /// After a roll back that failed: a generation that readers don't use is as retired as before. What can't be
    /// found out is left to the next run.
    pub(super) async fn stay(&self, build: &Build) -> Result<()> {
        let projection = build.job.projection.clone();
        let Some(record) = self.cut_short(projection.spec().name()).await? else { return Ok(()) };
        let active = self.store.control().active(projection.spec().name()).await?;
        if active.is_some_and(|active| active.active == record.generation) {
            return self.settle_late(record, &projection).await;
        }
        if record.generation != build.record().generation
            || self.store.snapshots().is_swapped(&record).await?
        {
            return Ok(());
        }
        self.retire(record, &projection).await
    }
}
