//! The last steps of a run: final names, the pointers of all projections in one update, then views and
//! records.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;

use bson::Timestamp;
use bson::oid::ObjectId;
use statefold_projections::Registered;

use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::engine::run::proof::Proof;
use crate::engine::run::report::{Built, built};
use crate::error::{Error, Result};
use crate::fold::FoldCounts;
use crate::lifecycle::{BuildState, CutOverMode, Unnamed};
use crate::observe::{Phase, Recorder};
use crate::store::{BuildRecord, Flip, Undrained};

/// Where publishing failed.
pub(super) enum PublishError {
    /// Before the flip: readers use what they used.
    Named(Error),
    /// At the flip, which may have been made, or behind it.
    Flip(Error),
}

impl Run {
    /// Copies the collections that will be replaced, so that they can be rolled back to. Before that it takes
    /// the replaced generation over, so that its recorded heads tell which events the copy lacks.
    pub(super) async fn put_aside(&self, builds: &mut [Build]) -> Result<()> {
        for build in builds {
            if build.mode != CutOverMode::Rename || build.record().swap.is_some() {
                continue;
            }
            let name = build.record().projection.clone();
            let active = self.store.control().active(&name).await?;
            let active = active.ok_or_else(|| Error::Bug("nothing to rename over".into()))?;
            let prefix = build.job.projection.spec().stream_filter().first().to_owned();
            let records = self.store.builds().records(Some(&name)).await?;
            if let Some(replaced) = records.into_iter().find(|record| record.generation == active.active) {
                self.store.builds().adopt(replaced, &prefix, &self.mandate).await?;
            }
            // Noted before the copy: the collection that has the name now is the one that may be dropped.
            build.swap = Some(build.job.staging.swap(&active).await?);
            build.staging()?.copy_asides(&active).await?;
            for (from, to) in active.collections.iter().zip(build.collections()) {
                self.store.snapshots().carry_options(from, &to, &self.mandate).await?;
                self.store.snapshots().carry_indexes(from, &to, &self.mandate).await?;
            }
        }
        Ok(())
    }

    /// Gives the builds their own final names and notes the names that they will take: the part that can be
    /// done while events still arrive. Readers use none of these names yet.
    pub(super) async fn give_names(&self, builds: &mut [Build]) -> Result<()> {
        for build in builds.iter_mut() {
            let (counts, digest) = (build.counts, build.exclusively_ours.then(|| build.digest.to_string()));
            let swap = build.record().swap.clone().or_else(|| build.swap.clone());
            if build.record().state == BuildState::Published {
                if swap.is_some() && build.record().swap.is_none() {
                    build.staging()?.note_swap(swap).await?;
                }
                continue;
            }
            if build.mode != CutOverMode::Rename && build.record().state == BuildState::Verified {
                build.job.staging.publish_collections().await?;
            }
            let published = |record: &mut BuildRecord| {
                record.counts = counts.into();
                record.digest = digest;
                record.swap = swap;
            };
            build.staging()?.advance(BuildState::Published, published).await?;
        }
        Ok(())
    }

    /// Gives the builds the names that they take from others, up to the deadline `until`, and flips the
    /// pointers; behind a fence by its deadline, only while this attempt stands, and as of the time `now` at
    /// which it stood. If a drain follows, the pointers say so.
    pub(super) async fn publish(
        &self,
        builds: &mut [Build],
        until: Instant,
        (fenced, now): (Option<(Instant, ObjectId)>, Option<Timestamp>),
        drains: bool,
    ) -> Result<(), PublishError> {
        for build in builds.iter_mut() {
            let staging = build.staging().map_err(PublishError::Named)?;
            staging.rename_into(until).await.map_err(PublishError::Named)?;
        }
        let never = Timestamp { time: 0, increment: 0 };
        let flips: Vec<Flip> = builds
            .iter()
            .map(|build| Flip {
                record: build.record().clone(),
                mode: build.mode,
                undrained: drains.then(|| Undrained { folded: build.folded.unwrap_or(never) }),
            })
            .collect();
        let control = self.store.control();
        let now = match now {
            Some(now) => now,
            None => control.flip_time().await.map_err(PublishError::Named)?,
        };
        control.flip(&flips, &self.mandate, now, fenced).await.map_err(PublishError::Flip)?;
        for build in builds.iter() {
            self.switch_views(build).await.map_err(PublishError::Flip)?;
        }
        Ok(())
    }

    /// Points the views of a build to its collections, in view mode.
    pub(super) async fn switch_views(&self, build: &Build) -> Result<()> {
        if build.mode != CutOverMode::View {
            return Ok(());
        }
        for (at, target) in build.job.projection.spec().targets().iter().enumerate() {
            let collection = build.job.staging.collection_of(at).unwrap_or_default();
            self.store.snapshots().point_view(target.collection(), collection, &self.mandate).await?;
        }
        Ok(())
    }

    /// Points views to the active generations where they show something else, as after a run that was
    /// interrupted.
    pub(super) async fn put_views_right(&self, selected: &[Registered]) -> Result<()> {
        for projection in selected {
            let active = self.store.control().active(projection.spec().name()).await?;
            let Some(active) = active.filter(|active| active.mode == CutOverMode::View) else { continue };
            for (target, collection) in projection.spec().targets().iter().zip(&active.collections) {
                let view = target.collection();
                match self.store.snapshots().point_view(view, collection, &self.mandate).await {
                    Err(error @ Error::Unsupported(_)) => {
                        tracing::warn!(view, error = %error.with_sources(), "the view can't be put right");
                    }
                    other => other?,
                }
            }
        }
        Ok(())
    }

    /// Settles the records after the flip: the new builds are active, those that they replaced are retired.
    pub(super) async fn retire_replaced(&self, builds: &mut [Build]) -> Result<Vec<Built>> {
        let mut projections = Vec::new();
        for build in builds {
            self.settle(build).await?;
            build.recorder.enter(Phase::Done, 0);
            projections.push(built(build));
        }
        Ok(projections)
    }

    /// Brings the records of a projection's builds in line with the pointer.
    pub(super) async fn settle(&self, build: &mut Build) -> Result<()> {
        let name = build.record().projection.clone();
        let Some(active) = self.store.control().active(&name).await? else {
            return Err(Error::Bug(format!("the pointer of {name} is gone")));
        };
        // If a published collection is gone, the staged one may be the last copy.
        let names = self.store.collection_names().await?;
        if let Some(missing) = active.collections.iter().find(|name| !names.contains(name)) {
            return Err(Error::State {
                build: build.record().id.clone(),
                expected: format!("its collection {missing}"),
                actual: "without it".into(),
            });
        }
        // Late writes of a process that lost the lease may have created one again.
        if let Err(error) = build.job.staging.drop_staging().await {
            tracing::warn!(
                error = %error.with_sources(),
                "staging collections of older runs could not be dropped"
            );
        }
        // Refolding behind the fence changed them. A generation that others may have written has no digest.
        if build.exclusively_ours {
            (build.counts, build.digest) = build.job.staging.sums().await?;
        }
        let (counts, digest) = (build.counts, build.exclusively_ours.then(|| build.digest.to_string()));
        let settled = |record: &mut BuildRecord| {
            (record.counts, record.digest) = (counts.into(), digest);
            // A generation that took a name is statefold's own copy.
            record.adopted &= record.swap.is_none();
            (record.swap, record.mode) = (None, None);
            record.name_collections(&active.collections);
        };
        build.staging()?.advance(BuildState::Active, settled).await?;
        let prefix = build.job.projection.spec().stream_filter().first().to_owned();
        let own = build.record().id.clone();
        let records = self.store.builds().records(Some(&name)).await?;
        let is_replaced = |record: &BuildRecord| record.state == BuildState::Active && record.id != own;
        for record in records.into_iter().filter(is_replaced) {
            let known = active.previous.iter().find(|previous| previous.generation == record.generation);
            let collections = known.map(|previous| previous.collections.clone()).unwrap_or_default();
            let mut replaced = self.store.builds().adopt(record, &prefix, &self.mandate).await?;
            let retired = |record: &mut BuildRecord| record.name_collections(&collections);
            replaced.advance(BuildState::Retired, retired).await?;
        }
        Ok(())
    }

    /// Opens a build that already has its final names.
    pub(super) async fn open_published(
        &self,
        record: BuildRecord,
        projection: &Registered,
        position: usize,
    ) -> Result<Build> {
        let since = self.store.operation_time().await?;
        let recorder = Recorder::new(projection.spec().name(), &self.progress);
        let prefix = projection.spec().stream_filter().first();
        let mut staging = self.store.builds().adopt(record, prefix, &self.mandate).await?;
        if staging.record.swap.is_some() {
            staging.adopt_swap().await?;
            let swap = staging.record.swap.clone();
            staging.note_swap(swap).await?;
        }
        let counts = FoldCounts::from(staging.record.counts);
        let digest =
            staging.record.digest.as_deref().and_then(|digest| digest.parse().ok()).unwrap_or_default();
        let timings = staging.record.timings;
        let source = self.store.events().source(
            self.stream_index.clone(),
            since,
            self.settings.tuning().batch_commits,
        );
        // A generation that others may have written has no digest.
        let exclusively_ours = staging.record.digest.is_some();
        let job = self.job(projection, source, staging, &recorder);
        let todo = Vec::new();
        let (resumed, refolded, mode) = (true, 0, CutOverMode::default());
        Ok(Build {
            job,
            recorder,
            position,
            mode,
            exclusively_ours,
            swap: None,
            todo,
            resumed,
            was_complete: true,
            dirty: BTreeSet::new(),
            unnamed: Unnamed::Unknown,
            folded: None,
            named_until: None,
            drained: BTreeSet::new(),
            touched: None,
            proof: Proof::default(),
            verified: None,
            due_lookups: HashSet::new(),
            refolded,
            counts,
            digest,
            timings,
            hosts: BTreeMap::new(),
        })
    }
}
