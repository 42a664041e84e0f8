//! Clean-up: decides which collections and records may be dropped, and drops them in a safe order.

mod report;

use std::collections::BTreeSet;

use serde_json::json;
use statefold_projections::{Registered, Registry};

use crate::config::{CleanupSettings, Settings};
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, KeepRules, Known};
use crate::plan::{is_of_target, staging_parts, without_aside};
use crate::store::{Deed, DropOutcome, ListedCollection, Mandate, Store, What};

/// Cleans up at the end of a run that holds the lease, if automatic clean-up is configured: drops what has
/// been eligible for the configured time. A failure is only logged, because the run itself has succeeded.
pub(crate) async fn automatic(store: &Store, settings: &Settings, registry: &Registry, mandate: &Mandate) {
    if settings.cleanup().after.is_none() {
        return;
    }
    let selected = registry.projections();
    let sweep = Sweep { store, selected, rules: rules(settings.cleanup()) };
    match sweep.drop_eligible(mandate).await {
        Ok(report) => {
            store.control().record(cleaned_up(&report, true)).await;
        }
        Err(error) => tracing::warn!(error = %error.with_sources(), "the clean-up failed"),
    }
}

/// What a clean-up has dropped, for the history; nothing if that is nothing.
pub(crate) fn cleaned_up(report: &CleanupReport, automatic: bool) -> Option<Deed> {
    let dropped: Vec<&str> = report.dropped().collect();
    let automatic = automatic.then_some(true);
    let details = json!({ "count": dropped.len(), "dropped": dropped, "automatic": automatic });
    (!dropped.is_empty()).then(|| Deed::new(What::CleanedUp, details))
}

/// Rules of what is kept, from the settings.
pub(crate) fn rules(settings: &CleanupSettings) -> KeepRules {
    let milliseconds = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    KeepRules {
        previous: settings.keep,
        keep_for_ms: settings.keep_for.map(milliseconds),
        older_than_ms: settings.after.map(milliseconds),
        named: Vec::new(),
    }
}

/// One clean-up of a database.
pub(crate) struct Sweep<'a> {
    pub(crate) store: &'a Store,
    pub(crate) selected: &'a [Registered],
    pub(crate) rules: KeepRules,
}

impl Sweep<'_> {
    /// Lists everything that belongs to the selected projections, each item with its verdict.
    pub(crate) async fn look(&self) -> Result<Seen> {
        let listed = self.store.admin().listing().await?;
        let known = self.store.admin().known(&listed).await?;
        let mut report = CleanupReport::new(self.store.database());
        for collection in &listed {
            let Some(uuid) = collection.uuid else { continue };
            let Some(projection) = self.projection_of(&known, &collection.name) else { continue };
            let staging = staging_parts(&collection.name);
            let verdict = known.collection(&collection.name, &uuid.to_string(), staging, &self.rules);
            let owner = known.owner(&collection.name).filter(|_| staging.is_none());
            let kind = match owner {
                _ if staging.is_some() => CleanupKind::Staging,
                Some(owner) if owner.state != BuildState::Aborted => CleanupKind::Generation,
                _ => CleanupKind::Foreign,
            };
            let build = owner.filter(|_| kind == CleanupKind::Generation).map(|owner| owner.id.clone());
            let size = report.note_size(self.store.admin().size_of(&collection.name).await);
            report.items.push(CleanupItem {
                build,
                collection: Some(collection.name.clone()),
                ..CleanupItem::new(kind, projection, size, &verdict)
            });
        }
        self.look_at_empty(&known, &listed, &mut report);
        self.look_at_records(&known, &mut report).await?;
        Ok(Seen { listed, report })
    }

    /// Adds retired generations whose collections somebody else dropped: only records and pointer name them
    /// still.
    fn look_at_empty(&self, known: &Known, listed: &[ListedCollection], report: &mut CleanupReport) {
        for build in known.builds.iter().filter(|build| build.state == BuildState::Retired) {
            let is_selected =
                self.selected.iter().any(|projection| projection.spec().name() == build.projection);
            let is_listed = |name: &str| listed.iter().any(|collection| collection.name == name);
            if is_selected && !build.collections().any(is_listed) {
                let verdict = known.generation(build, &self.rules);
                report.items.push(CleanupItem {
                    build: Some(build.id.clone()),
                    ..CleanupItem::new(CleanupKind::Generation, &build.projection, None, &verdict)
                });
            }
        }
    }

    /// Adds checkpoints, heads and failed streams of builds that are over or gone.
    async fn look_at_records(&self, known: &Known, report: &mut CleanupReport) -> Result<()> {
        for (build, size) in self.store.admin().recorded_of_builds().await? {
            let record = known.builds.iter().find(|record| record.id == build);
            let belongs = |projection: &&Registered| match record {
                Some(record) => record.projection == projection.spec().name(),
                None => build.strip_prefix(projection.spec().name()).is_some_and(is_number),
            };
            let Some(projection) = self.selected.iter().find(belongs) else { continue };
            if record.is_some_and(|record| !record.state.is_over()) {
                continue;
            }
            let verdict = known.records(&build, &self.rules);
            report.items.push(CleanupItem {
                build: Some(build),
                ..CleanupItem::new(CleanupKind::Records, projection.spec().name(), Some(size), &verdict)
            });
        }
        Ok(())
    }

    /// The selected projection that a collection belongs to.
    fn projection_of(&self, known: &Known, name: &str) -> Option<&str> {
        let published = staging_parts(name).map_or(name, |(published, _)| published);
        let owner = known.owner(published).map(|owner| owner.projection.as_str());
        let belongs = |projection: &&Registered| match owner {
            Some(owner) => owner == projection.spec().name(),
            None => is_of_target(projection.spec(), without_aside(published)),
        };
        self.selected.iter().find(belongs).map(|projection| projection.spec().name())
    }

    /// Refuses collections that were given by name and don't belong to a projection.
    pub(crate) fn refuse_unknown(&self, seen: &Seen) -> Result<()> {
        let is_seen =
            |name: &&String| seen.report.items.iter().any(|item| item.collection.as_ref() == Some(name));
        let unknown: Vec<String> = self
            .rules
            .named
            .iter()
            .filter(|name| !is_seen(name))
            .map(|name| format!("{name}: this database has no such collection of a projection"))
            .collect();
        if unknown.is_empty() { Ok(()) } else { Err(Error::Config(unknown)) }
    }

    /// Looks again, now under the lease, and drops what is eligible.
    pub(crate) async fn drop_eligible(&self, mandate: &Mandate) -> Result<CleanupReport> {
        let Seen { listed, mut report } = self.look().await?;
        let eligible =
            report.items.iter().filter(|item| item.eligible && item.kind == CleanupKind::Generation);
        let generations: BTreeSet<String> = eligible.filter_map(|item| item.build.clone()).collect();
        for build in &generations {
            self.end_generation(build, &listed, mandate).await?;
        }
        for item in report.items.iter_mut().filter(|item| item.eligible) {
            let Some(name) = &item.collection else { continue };
            let uuid = listed
                .iter()
                .find(|collection| collection.name == *name)
                .and_then(|collection| collection.uuid);
            let Some(uuid) = uuid else { continue };
            item.done(self.store.admin().drop_listed(name, uuid, mandate).await?);
        }
        // The records of a generation go last: a rerun finds the generation by them.
        for build in &generations {
            self.store.admin().forget_build(build, mandate).await?;
        }
        for item in report.items.iter_mut().filter(|item| item.eligible && item.collection.is_none()) {
            let Some(build) = &item.build else { continue };
            self.store.admin().forget_build(build, mandate).await?;
            item.done(DropOutcome::Dropped);
        }
        Ok(report)
    }

    /// Takes a generation out of the pointer's list, so that nobody reads it or rolls back to it any more,
    /// and notes in its record the UUIDs of the collections to drop.
    async fn end_generation(&self, id: &str, listed: &[ListedCollection], mandate: &Mandate) -> Result<()> {
        let records = self.store.builds().records(None).await?;
        let Some(record) = records.into_iter().find(|record| record.id == id) else { return Ok(()) };
        if record.state == BuildState::Dropped {
            return Ok(());
        }
        // The prefix of the streams isn't used here.
        let mut build = self.store.builds().adopt(record, "", mandate).await?;
        if build.record.state == BuildState::Active {
            build.advance(BuildState::Retired, |_| {}).await?;
        }
        let (projection, generation) = (build.record.projection.clone(), build.record.generation);
        self.store.admin().forget_previous(&projection, generation, mandate).await?;
        let dropping = |record: &mut crate::store::BuildRecord| {
            for target in &mut record.targets {
                let found = listed.iter().find(|collection| collection.name == target.collection);
                target.dropping = found.and_then(|collection| collection.uuid);
            }
        };
        build.advance(BuildState::Dropped, dropping).await
    }
}

/// Result of a look: the listed collections, and the report on them.
pub(crate) struct Seen {
    listed: Vec<ListedCollection>,
    pub(crate) report: CleanupReport,
}

pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub use report::{CleanupItem, CleanupKind, CleanupReport};
