//! The last steps: final names, then the pointers of all projections in one update.

use bson::Timestamp;
use statefold_projections::Registered;

use crate::error::{Error, Result};
use crate::fold::FoldCounts;
use crate::lifecycle::BuildState;
use crate::observe::{Phase, Recorder};
use crate::rebuild::Run;
use crate::rebuild::report::{Built, PassReport, RebuildReport};
use crate::rebuild::steps::Build;
use crate::store::BuildRecord;

impl Run {
    /// Publishes finished builds and makes them active.
    pub(super) async fn publish(
        &self,
        mut builds: Vec<Build>,
        pass: Option<PassReport>,
    ) -> Result<RebuildReport> {
        if self.cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        for build in &mut builds {
            build.recorder.enter(Phase::Publishing, 0);
            if build.record().state != BuildState::Published {
                build.job.staging.publish_collections().await?;
                build.staging()?.advance(BuildState::Published, |_| {}).await?;
            }
        }
        let records: Vec<BuildRecord> = builds.iter().map(|build| build.record().clone()).collect();
        self.store.flip(&records, self.token, self.flip_time().await?).await?;
        let mut projections = Vec::new();
        for build in &mut builds {
            let former = self.store.build_records(Some(&build.record().projection)).await?;
            build.staging()?.advance(BuildState::Active, |_| {}).await?;
            for record in former.into_iter().filter(|record| record.state == BuildState::Active) {
                let prefix = build.job.projection.spec().stream_filter().first();
                let mut former = self.store.adopt_build(record, prefix, self.token).await?;
                former.advance(BuildState::Retired, |_| {}).await?;
            }
            build.recorder.enter(Phase::Done, 0);
            projections.push(built(build));
        }
        let weakness = self.store.facts.weakness().map(str::to_owned);
        Ok(RebuildReport { projections, pass, databases_with_events: Vec::new(), weakness })
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
    pub(super) async fn open_published(&self, record: BuildRecord, projection: &Registered) -> Result<Build> {
        let since = self.store.operation_time().await?;
        let recorder = Recorder::new(projection.spec().name(), &self.progress);
        let prefix = projection.spec().stream_filter().first();
        let staging = self.store.adopt_build(record, prefix, self.token).await?;
        let counts = FoldCounts::from(staging.record.counts);
        let digest =
            staging.record.digest.as_deref().and_then(|digest| digest.parse().ok()).unwrap_or_default();
        let timings = staging.record.timings;
        let source = self.store.events(self.direction, since, self.settings.tuning().batch_commits);
        let job = self.job(projection, source, staging, &recorder);
        let todo = Vec::new();
        Ok(Build { job, recorder, todo, resumed: true, heads_before: None, counts, digest, timings })
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
        digest: build.digest.to_string(),
        partitions_resumed: record.ranges.len() - build.todo.len(),
        partitions: record.ranges.len(),
        build_seconds: seconds(build.timings.build_ms),
        index_seconds: seconds(build.timings.index_ms),
        check_seconds: seconds(build.timings.check_ms),
    }
}
