//! Recovers from a run that was interrupted in its last steps.
//!
//! Pointer and UUIDs tell where it ended: whether readers use the generation already, and which name it has.
//! A generation that they use is finished; another one is made active if it is wanted, else retired.

use statefold_projections::Registered;

use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, Unnamed, is_fingerprint_of};
use crate::store::{ActiveGeneration, BuildRecord};

/// Leftover of an interrupted run.
pub(super) enum Recovered {
    /// No generation that is complete and still wanted.
    Nothing,
    /// A complete generation that is to be made active.
    Complete(Box<Build>),
    /// A generation that was active already; its records say so now.
    Active,
}

impl Run {
    /// Recovers a build that was interrupted between its final names and the pointer. It has to be caught up;
    /// a build of another definition is retired.
    pub(super) async fn recover(&self, projection: &Registered, position: usize) -> Result<Recovered> {
        let spec = projection.spec();
        let Some(record) = self.published_build(spec.name()).await? else { return Ok(Recovered::Nothing) };
        let active = self.store.control().active(spec.name()).await?;
        let is_pointed = active.as_ref().is_some_and(|active| active.active == record.generation);
        let was_active = |active: &ActiveGeneration| {
            active.previous.iter().any(|previous| previous.generation == record.generation)
        };
        if record.adopted && !is_pointed && !active.as_ref().is_some_and(was_active) {
            tracing::warn!(build = %record.id, "an adoption that was interrupted is forgotten");
            self.store.snapshots().forget_adopted(&record.id, &self.mandate).await?;
            return Ok(Recovered::Nothing);
        }
        let is_used = self.store.snapshots().is_swapped(&record).await?;
        // The target of a roll back may be of an older version.
        let version = record.projection_version;
        let Some(known) = self.registry.of_version(spec.name(), version) else {
            if is_used || is_pointed {
                return Err(Error::Unsupported(format!(
                    "a cut-over to {} was interrupted, and this program doesn't have its version {version}: \
                     use one that has it",
                    record.id
                )));
            }
            return self.give_up(record, projection).await.map(|()| Recovered::Nothing);
        };
        let projection = if version == spec.version() { projection } else { known };
        if is_pointed {
            // Interrupted after the flip: only records and views are out of date.
            self.settle_late(record, projection).await?;
            return Ok(if version == spec.version() { Recovered::Active } else { Recovered::Nothing });
        }
        if is_used {
            // Readers use it: only a roll back leads back.
            return self
                .open_published(record, projection, position)
                .await
                .map(Box::new)
                .map(Recovered::Complete);
        }
        // An older generation was the target of a roll back.
        let is_next = active.is_none_or(|active| active.active < record.generation);
        if is_next && !self.request.fresh && is_fingerprint_of(&record.fingerprint, spec, &self.store.layout)
        {
            if let Some(record) = self.unswapped(record.clone(), projection).await? {
                return self
                    .open_published(record, projection, position)
                    .await
                    .map(Box::new)
                    .map(Recovered::Complete);
            }
            tracing::warn!(build = %record.id, "the collections of a published generation are gone");
            let record = self.published_build(spec.name()).await?.unwrap_or(record);
            return self.give_up(record, projection).await.map(|()| Recovered::Nothing);
        }
        self.give_up(record, projection).await.map(|()| Recovered::Nothing)
    }

    /// Finds the build of a projection that is published, but not active by its record.
    pub(super) async fn published_build(&self, name: &str) -> Result<Option<BuildRecord>> {
        let records = self.store.builds().records(Some(name)).await?;
        Ok(records.into_iter().find(|record| record.state == BuildState::Published))
    }

    /// Renames the collections of a build back to their own names and returns its record; `None` if they are
    /// gone.
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

    /// Renames the collections back to their own names and retires the build.
    async fn retire(&self, record: BuildRecord, projection: &Registered) -> Result<()> {
        let prefix = projection.spec().stream_filter().first();
        let mut build = self.store.builds().adopt(record, prefix, &self.mandate).await?;
        // Collections that are gone need no renaming.
        build.unswap().await?;
        build.advance(BuildState::Retired, |record| record.swap = None).await
    }

    /// Brings views and records in line with the pointer, after a run that was interrupted after the flip.
    async fn settle_late(&self, record: BuildRecord, projection: &Registered) -> Result<()> {
        let mut build = self.open_published(record, projection, 0).await?;
        let active = self.store.control().active(&build.record().projection).await?;
        build.mode = active.as_ref().map(|active| active.mode).unwrap_or_default();
        self.switch_views(&build).await?;
        if let Some((active, left)) = active.as_ref().and_then(|active| Some((active, active.undrained?))) {
            self.require(&mut build, &[]).await?;
            self.finish_drain(&mut build, active, &left).await?;
        }
        // What was to be refolded right after the flip may not have been: deletes that came past the fence,
        // and saves that met the flip. What an application built is its own.
        let record = build.record();
        if !record.adopted || record.swap.is_some() {
            self.refold_some(&mut build, Unnamed::Unknown, false).await?;
        }
        self.settle(&mut build).await?;
        self.record_settled(&build, active.as_ref()).await;
        Ok(())
    }

    /// Does [`Self::settle_late`] for every projection that needs it.
    pub(super) async fn settle_all(&self, selected: &[Registered]) -> Result<()> {
        for projection in selected {
            let name = projection.spec().name();
            let (Some(record), Some(active)) =
                (self.published_build(name).await?, self.store.control().active(name).await?)
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

    /// Retires the target of a failed roll back again, if readers don't use it. The next run does so if this
    /// fails.
    pub(super) async fn retire_again(&self, build: &Build) -> Result<()> {
        let projection = build.job.projection.clone();
        let Some(record) = self.published_build(projection.spec().name()).await? else { return Ok(()) };
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
