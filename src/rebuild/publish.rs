//! The last steps: final names, then the pointers of all projections in one update.

use bson::Timestamp;
use statefold_projections::Registered;

use crate::error::Result;
use crate::fold::FoldCounts;
use crate::lifecycle::BuildState;
use crate::observe::{Phase, Recorder};
use crate::rebuild::Run;
use crate::rebuild::report::Built;
use crate::rebuild::steps::Build;
use crate::store::BuildRecord;

impl Run {
    /// Gives the builds their final names and moves the pointers.
    pub(super) async fn publish(&self, builds: &mut [Build]) -> Result<()> {
        for build in builds.iter_mut() {
            if build.record().state != BuildState::Published {
                build.job.staging.publish_collections().await?;
                let (counts, digest) = (build.counts, build.digest.to_string());
                let published = |record: &mut BuildRecord| {
                    record.counts = counts.into();
                    record.digest = Some(digest);
                };
                build.staging()?.advance(BuildState::Published, published).await?;
            }
        }
        let records: Vec<BuildRecord> = builds.iter().map(|build| build.record().clone()).collect();
        self.store.flip(&records, &self.mandate, self.flip_time().await?).await
    }

    /// The records after the flip: the new builds are active, the former ones retired.
    pub(super) async fn retire_former(&self, builds: &mut [Build]) -> Result<Vec<Built>> {
        let mut projections = Vec::new();
        for build in builds {
            let former = self.store.build_records(Some(&build.record().projection)).await?;
            build.staging()?.advance(BuildState::Active, |_| {}).await?;
            for record in former.into_iter().filter(|record| record.state == BuildState::Active) {
                let prefix = build.job.projection.spec().stream_filter().first();
                let mut former = self.store.adopt_build(record, prefix, &self.mandate).await?;
                former.advance(BuildState::Retired, |_| {}).await?;
            }
            // Late writes of a process that was taken over from may have made one anew.
            if let Err(error) = build.job.staging.drop_staging().await {
                tracing::warn!(error = %error.with_sources(), "staging collections of older runs could not be dropped");
            }
            build.recorder.enter(Phase::Done, 0);
            projections.push(built(build));
        }
        Ok(projections)
    }

    /// Operation time of the flip; on a standalone server the time of this machine.
    async fn flip_time(&self) -> Result<Timestamp> {
        let clock = || {
            let seconds = bson::DateTime::now().timestamp_millis() / 1000;
            Timestamp { time: u32::try_from(seconds).unwrap_or(u32::MAX), increment: 0 }
        };
        Ok(self.store.operation_time().await?.unwrap_or_else(clock))
    }

    /// A build that already has its final names.
    pub(super) async fn open_published(
        &self,
        record: BuildRecord,
        projection: &Registered,
        position: usize,
    ) -> Result<Build> {
        let since = self.store.operation_time().await?;
        let recorder = Recorder::new(projection.spec().name(), &self.progress);
        let prefix = projection.spec().stream_filter().first();
        let staging = self.store.adopt_build(record, prefix, &self.mandate).await?;
        let counts = FoldCounts::from(staging.record.counts);
        let digest =
            staging.record.digest.as_deref().and_then(|digest| digest.parse().ok()).unwrap_or_default();
        let timings = staging.record.timings;
        let source = self.store.events(self.direction, since, self.settings.tuning().batch_commits);
        let job = self.job(projection, source, staging, &recorder);
        let todo = Vec::new();
        let (resumed, compare, refolded) = (true, true, 0);
        Ok(Build { job, recorder, position, todo, resumed, compare, refolded, counts, digest, timings })
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds shown in seconds")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn built(build: &Build) -> Built {
    let record = build.record();
    Built {
        projection: record.projection.clone(),
        generation: record.generation,
        collections: record.targets.iter().map(|target| target.collection.clone()).collect(),
        projection_version: record.projection_version,
        commits: build.counts.commits,
        events: build.counts.events,
        streams: build.counts.streams,
        snapshots: build.counts.snapshots,
        dead_letters: build.counts.dead_letters,
        streams_refolded: build.refolded,
        digest: build.digest.to_string(),
        partitions_resumed: record.ranges.len() - build.todo.len(),
        partitions: record.ranges.len(),
        build_seconds: seconds(build.timings.build_ms),
        index_seconds: seconds(build.timings.index_ms),
        check_seconds: seconds(build.timings.check_ms),
        verify_seconds: seconds(build.timings.verify_ms),
    }
}
