//! The roll back: the generation that was active before is caught up, verified, and cut over to.

use statefold_projections::{Registered, Registry};

use crate::engine::pass::Survey;
use crate::engine::preflight::check_number;
use crate::engine::run::build::{Build, milliseconds};
use crate::engine::run::context::Run;
use crate::engine::run::fence::refuse_past;
use crate::engine::run::report::RebuildReport;
use crate::engine::run::verify::subject;
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, Share, Verify, is_fingerprint_of};
use crate::next_step::NextStep;
use crate::store::{BuildRecord, Feed, Store, What};

/// A generation to roll back to.
pub(crate) struct RollbackTarget {
    pub(super) projection: Registered,
    record: BuildRecord,
}

impl RollbackTarget {
    /// The projection that can fold it.
    pub(crate) fn projection(&self) -> &Registered {
        &self.projection
    }

    /// Number of the generation.
    pub(crate) fn generation(&self) -> u32 {
        self.record.generation
    }
}

/// Finds the generations to roll back to, with the projections that can fold them. Of projections that were
/// not `named`, those without such a generation are left out.
///
/// # Errors
/// [`Error::Unsupported`] and [`Error::NotReady`] say why a projection can't be rolled back.
pub(crate) async fn rollback_targets(
    store: &Store,
    registry: &Registry,
    selected: Vec<Registered>,
    named: bool,
) -> Result<Vec<RollbackTarget>> {
    let (mut targets, mut left_out) = (Vec::new(), Vec::new());
    for projection in selected {
        match candidate(store, registry, &projection).await? {
            Candidate::Target(target) => targets.push(*target),
            Candidate::Impossible(reason) if !named => left_out.push(reason),
            Candidate::Impossible(reason) => return Err(reason),
        }
    }
    let reasons: Vec<String> = left_out.iter().map(ToString::to_string).collect();
    if targets.is_empty() {
        return Err(Error::Unsupported(match reasons.as_slice() {
            [] => "no projection has a generation to go back to".into(),
            reasons => format!("no projection has a generation to go back to: {}", reasons.join("; ")),
        }));
    }
    if !reasons.is_empty() {
        tracing::info!(reasons = reasons.join("; "), "left out");
    }
    Ok(targets)
}

/// Whether a projection can be rolled back.
enum Candidate {
    Target(Box<RollbackTarget>),
    /// It can't be: the error of a request that names it.
    Impossible(Error),
}

impl Candidate {
    fn unsupported(reason: String) -> Self {
        Self::Impossible(Error::Unsupported(reason))
    }
}

/// Looks for the generation of a projection that was active before.
///
/// # Errors
/// [`Error::State`] if its record contradicts the pointer; what the server said.
async fn candidate(store: &Store, registry: &Registry, projection: &Registered) -> Result<Candidate> {
    let name = projection.spec().name();
    let active = store.control().active(name).await?;
    let Some(previous) = active.as_ref().and_then(|active| active.previous.first()) else {
        return Ok(Candidate::unsupported(format!("{name} has no generation to go back to")));
    };
    let number = previous.generation;
    let pointed = active.as_ref().map(|active| active.active);
    let records = store.builds().records(Some(name)).await?;
    let record = records.iter().find(|record| record.generation == number).cloned();
    let existing = store.collection_names().await?;
    let (Some(record), true) = (record, previous.collections.iter().all(|name| existing.contains(name)))
    else {
        return Ok(Candidate::unsupported(format!("generation {number} of {name} isn't there any more")));
    };
    let unfinished = records.iter().find(|record| {
        record.state == BuildState::Published
            && record.generation != number
            && Some(record.generation) != pointed
    });
    if let Some(other) = unfinished {
        return Ok(Candidate::Impossible(Error::NotReady {
            reason: format!(
                "a cut-over to {} was interrupted: finish it, or give it up if readers don't use it yet; \
                 then roll back",
                other.id
            ),
            next: vec![NextStep::cut_over(name), NextStep::Abort(Some(name.to_owned()))],
        }));
    }
    // Its record may still say that it is active.
    if !matches!(record.state, BuildState::Retired | BuildState::Published | BuildState::Active) {
        return Err(Error::State {
            build: record.id,
            expected: "a generation that was active before".into(),
            actual: record.state.to_string(),
        });
    }
    if let Err(other) = check_number(projection.spec(), number, &previous.collections) {
        return Ok(Candidate::Impossible(other));
    }
    let version = record.projection_version;
    let Some(projection) = registry.of_version(name, version) else {
        return Ok(Candidate::unsupported(format!(
            "generation {number} was built with version {version} of {name}, \
             which this program doesn't have (it has version {}): \
             use one that has it, or register it with Registry::register_former",
            projection.spec().version()
        )));
    };
    // It would be refolded into something that it never was.
    if !is_fingerprint_of(&record.fingerprint, projection.spec(), &store.layout) {
        return Ok(Candidate::unsupported(format!(
            "generation {number} of {name} was built with another definition of version {version}, or with \
             other settings that change snapshots: use those it was built with"
        )));
    }
    Ok(Candidate::Target(Box::new(RollbackTarget { projection: projection.clone(), record })))
}

impl Run {
    /// Rolls back to these generations, all in one update.
    pub(super) async fn roll_back_to(&self, targets: Vec<RollbackTarget>) -> Result<RebuildReport> {
        let selected: Vec<Registered> = targets.iter().map(|target| target.projection.clone()).collect();
        refuse_past(&self.settings, &selected)?;
        let survey = self.survey_with_retries(&selected).await?;
        let feed = self.open_feed(&selected).await?;
        if let Some(feed) = &feed {
            feed.begin();
        }
        let result = self.roll_back_builds(targets, &survey, feed.as_ref()).await;
        if let Some(feed) = feed {
            feed.end().await;
        }
        result
    }

    /// Opens the targets as builds and switches back to them; after a failure they are retired again.
    async fn roll_back_builds(
        &self,
        targets: Vec<RollbackTarget>,
        survey: &Survey,
        feed: Option<&Feed>,
    ) -> Result<RebuildReport> {
        let mut builds = Vec::new();
        for (position, target) in targets.into_iter().enumerate() {
            let mut build = self.open_published(target.record, &target.projection, position).await?;
            build.exclusively_ours = false;
            self.require(&mut build, &builds).await?;
            builds.push(build);
        }
        let result = self.switch_back(&mut builds, survey, feed).await;
        if let Err(error) = &result {
            for build in &builds {
                if let Err(second) = self.retire_again(build).await {
                    let (id, second) = (&build.record().id, second.with_sources());
                    tracing::debug!(build = %id, error = %second, "the next run sees to this record");
                }
            }
            tracing::debug!(error = %error.with_sources(), "the roll back failed");
        }
        result
    }

    /// Catches the builds up, verifies them and cuts over to them.
    async fn switch_back(
        &self,
        builds: &mut [Build],
        survey: &Survey,
        feed: Option<&Feed>,
    ) -> Result<RebuildReport> {
        for build in builds.iter_mut() {
            build.begin_catching_up();
            self.catch_up(build, feed).await?;
        }
        let share = match self.settings.tuning().verify {
            // What they looked up when they were folded isn't known any more.
            _ if builds.iter().any(Build::is_unproven) => Some(Share::ALL),
            Verify::Proof(_) | Verify::Full => Some(Share::ALL),
            Verify::Heads => None,
        };
        if let (Some(share), true) = (share, self.has_events) {
            self.verify_again(builds, survey, feed, share).await?;
        }
        let (projections, cut_over) = self.cut_over(builds, feed, What::RolledBack).await?;
        let weakness = self.store.facts.weakness().map(str::to_owned);
        Ok(RebuildReport {
            projections,
            pass: None,
            postponed: false,
            cut_over: vec![cut_over],
            databases_with_events: Vec::new(),
            weakness,
        })
    }

    /// Verifies generations that the application may have written meanwhile, so that the order of fields
    /// doesn't count.
    async fn verify_again(
        &self,
        builds: &mut [Build],
        survey: &Survey,
        feed: Option<&Feed>,
        share: Share,
    ) -> Result<()> {
        let began = std::time::Instant::now();
        let comparison = self.comparison(share);
        builds.iter().for_each(Build::begin_lookups);
        let subjects: Vec<_> = builds.iter().map(|build| subject(build, survey)).collect();
        let outcomes = comparison.run(&subjects, survey).await?;
        for ((build, subject), outcome) in builds.iter_mut().zip(&subjects).zip(outcomes) {
            (build.counts, build.digest) = (outcome.counts, outcome.found);
            let undisturbed = share.is_all() && outcome.suspects.is_empty();
            let found = outcome.found;
            let refused = if build.job.required.is_some() {
                self.judge_unproven(&comparison, build, feed, (subject, survey), outcome).await?
            } else {
                self.judge(&comparison, build, feed, subject, &outcome).await?
            };
            if let Some(error) = refused {
                return Err(error);
            }
            // A generation that only statefold has written has the digest that its partitions give.
            if undisturbed && build.job.staging.sums().await?.1 == found {
                build.exclusively_ours = true;
            }
            build.timings.verify_ms = milliseconds(began);
            self.note_verified(build).await;
        }
        Ok(())
    }
}
