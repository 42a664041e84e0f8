//! From folded to published: completes each build, verifies all of them in one pass, then cuts over to them.

use crate::engine::pass::Survey;
use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::engine::run::report::built;
use crate::engine::run::report::{Built, CutOver};
use crate::error::{Class, Error, Result};
use crate::lifecycle::BuildState;
use crate::observe::Phase;
use crate::store::{Feed, What};

impl Run {
    /// Completes and verifies all builds, then publishes all of them together, or none.
    pub(super) async fn finish_together(
        &self,
        mut builds: Vec<Build>,
        feed: Option<&Feed>,
        survey: &Survey,
    ) -> Result<(Vec<Built>, Vec<CutOver>)> {
        let mut refused = Vec::new();
        if let Some(error) = self.index_all(&mut builds, feed).await?.into_iter().flatten().next() {
            return Err(error);
        }
        for build in &mut builds {
            refused.extend(self.finish(build, feed).await?);
        }
        if refused.is_empty() {
            refused.extend(self.verify(&mut builds, feed, survey).await?.into_iter().flatten());
            self.record_built(&builds).await;
        }
        // The largest number of failed streams is shown: a limit that allows it allows all.
        let worst = refused.into_iter().max_by_key(|error| match error {
            Error::FailedStreams { failed_streams, .. } => *failed_streams,
            _ => 0,
        });
        match worst {
            Some(error) => Err(error),
            None if self.request.postpone => Ok((builds.iter().map(built).collect(), Vec::new())),
            None => {
                let (built, cut_over) = self.cut_over(&mut builds, feed, What::CutOver).await?;
                Ok((built, vec![cut_over]))
            }
        }
    }

    /// Completes and verifies all builds, then publishes them one after the other. A build that fails keeps
    /// back only those that require it.
    pub(super) async fn finish_each(
        &self,
        mut builds: Vec<Build>,
        feed: Option<&Feed>,
        survey: &Survey,
    ) -> Result<(Vec<Built>, Vec<CutOver>)> {
        let mut failed: Vec<(String, Error)> = Vec::new();
        let mut finished = Vec::new();
        let indexed = self.index_all(&mut builds, feed).await?;
        for (mut build, indexed) in builds.into_iter().zip(indexed) {
            let result = match indexed {
                None => self.finish(&mut build, feed).await,
                Some(error) => Err(error),
            };
            match result {
                Ok(None) => finished.push(build),
                Ok(Some(error)) => failed.push((build.record().projection.clone(), error)),
                Err(error) if error.class() == Class::Data => {
                    failed.push((build.record().projection.clone(), error));
                }
                Err(error) => return Err(error),
            }
        }
        let refused = self.verify(&mut finished, feed, survey).await?;
        self.record_built(&finished).await;
        let (mut published, mut cut_overs, mut kept_back) = (Vec::new(), Vec::new(), Vec::new());
        for (mut build, refused) in finished.into_iter().zip(refused) {
            let name = build.record().projection.clone();
            let spec = build.job.projection.spec().clone();
            let is_missing = |required: &String| {
                let mut names = failed.iter().map(|(name, _)| name).chain(&kept_back);
                names.any(|name: &String| name.eq_ignore_ascii_case(required))
            };
            if spec.required().iter().any(is_missing) {
                tracing::warn!(projection = name, "kept back: what it requires could not be published");
                kept_back.push(name);
                continue;
            }
            let result = match refused {
                Some(error) => Err(error),
                None => self.cut_over(std::slice::from_mut(&mut build), feed, What::CutOver).await,
            };
            match result {
                Ok((built, cut_over)) => {
                    published.extend(built);
                    cut_overs.push(cut_over);
                }
                Err(error) if error.class() == Class::Data => failed.push((name, error)),
                Err(error) => return Err(error),
            }
        }
        failed.into_iter().next().map_or(Ok((published, cut_overs)), |(_, error)| Err(error))
    }

    /// Indexes and proves all builds, side by side. Returns for each the error that is about its data, if
    /// there is one.
    ///
    /// # Errors
    /// The first other one. All of them are recorded.
    async fn index_all(&self, builds: &mut [Build], feed: Option<&Feed>) -> Result<Vec<Option<Error>>> {
        let mut indexing = Vec::new();
        for build in builds.iter_mut() {
            indexing.push(async move {
                if build.record().state != BuildState::Indexing {
                    return Ok(());
                }
                build.recorder.enter(Phase::Indexing, 0);
                tracing::info!(build = %build.record().id, "indexing");
                self.index_and_prove(build, feed).await
            });
        }
        let outcomes = futures::future::join_all(indexing).await;
        let (mut errors, mut first) = (Vec::new(), None);
        for (build, outcome) in builds.iter_mut().zip(outcomes) {
            if let Err(error) = &outcome {
                self.record_failure(build, error).await;
                self.drop_leftovers(build, error).await;
            }
            match outcome {
                Err(error) if error.class() != Class::Data => _ = first.get_or_insert(error),
                outcome => errors.push(outcome.err()),
            }
        }
        first.map_or(Ok(errors), Err)
    }

    /// Completes one build that is indexed. Returns `Some` if it has too many failed streams to be published.
    async fn finish(&self, build: &mut Build, feed: Option<&Feed>) -> Result<Option<Error>> {
        if let Err(error) = self.complete(build, feed).await {
            self.record_failure(build, &error).await;
            self.drop_leftovers(build, &error).await;
            return Err(error);
        }
        let counts = build.counts;
        if !self.settings.tuning().max_errors.is_exceeded(counts.failed_streams, counts.streams) {
            return Ok(None);
        }
        let error = self.too_many_failed(build).await?;
        self.record_failure(build, &error).await;
        Ok(Some(error))
    }

    /// Catches a build up and compares its heads; only verifying is left then.
    async fn complete(&self, build: &mut Build, feed: Option<&Feed>) -> Result<()> {
        if build.record().state == BuildState::CatchingUp {
            self.governor.step().await?;
            build.begin_catching_up();
            self.catch_up(build, feed).await?;
            if !build.proof.heads {
                self.check_heads(build, feed).await?;
            }
        }
        if build.record().state == BuildState::Published && !build.is_live() {
            build.begin_catching_up();
            self.catch_up(build, feed).await?;
            if build.exclusively_ours {
                (build.counts, build.digest) = build.job.staging.sums().await?;
            }
        }
        Ok(())
    }
}
