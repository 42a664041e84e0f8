//! Retention: which generations, staging collections and records of builds may be dropped, each with the
//! reason.
//!
//! A collection may be dropped only if we built it under a name of ours, and nothing needs it any more: no
//! pointer, no retention rule, no unfinished build, no running server, no view.

mod droppable;

pub(crate) use droppable::Droppable;

use crate::lifecycle::retention::droppable::{no, unless_named, yes};
use crate::lifecycle::state::BuildState;

/// Rules of retention.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct KeepRules {
    /// Generations that are kept beside the active one, to roll back to.
    pub previous: usize,
    /// Minimum time a generation is kept after readers left it, in milliseconds.
    pub keep_for_ms: Option<i64>,
    /// Minimum age in milliseconds: anything younger or of unknown age is kept.
    pub older_than_ms: Option<i64>,
    /// Collections that were named in full: others that we didn't build are kept.
    pub named: Vec<String>,
}

/// A recorded build, with the fields that decide on its retention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownBuild {
    /// Its id: `Assets3`.
    pub id: String,
    /// Name of the projection.
    pub projection: String,
    /// Number of the generation.
    pub generation: u32,
    /// Version of the projection it was built with.
    pub projection_version: u32,
    /// Its state.
    pub state: BuildState,
    /// Whether it was adopted, not built.
    pub adopted: bool,
    /// Copies of the collections it replaces, in a cut-over by renaming.
    pub asides: Vec<String>,
    /// When its record last changed, in milliseconds since 1970.
    pub changed_ms: i64,
    /// Its collections.
    pub targets: Vec<KnownTarget>,
}

/// The collections of one target of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownTarget {
    /// Token in the name of its staging collection.
    pub staging_token: Option<i64>,
    /// The published collection.
    pub collection: String,
    /// Whether its name is one that we give, not one of the application's.
    pub our_name: bool,
    /// UUID of the collection, once it is to be dropped.
    pub dropping: Option<String>,
}

/// The pointer of a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownPointer {
    /// Name of the projection.
    pub projection: String,
    /// Whether readers find the active generation by a view, which we switch.
    pub by_view: bool,
    /// The active generation.
    pub active: KnownGeneration,
    /// Generations that were active before, newest first.
    pub previous: Vec<KnownGeneration>,
}

/// A generation that a pointer names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownGeneration {
    /// Its number.
    pub generation: u32,
    /// Version of the projection it was built with.
    pub projection_version: u32,
    /// Its collections.
    pub collections: Vec<String>,
}

/// A running server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownInstance {
    /// Host and process, for display.
    pub name: String,
    /// Projections with the versions it can read.
    pub reads: Vec<(String, Vec<u32>)>,
}

/// Everything that decides on retention.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Known {
    /// All recorded builds.
    pub builds: Vec<KnownBuild>,
    /// All pointers.
    pub pointers: Vec<KnownPointer>,
    /// The running servers.
    pub instances: Vec<KnownInstance>,
    /// Views, each with the collection it shows.
    pub views: Vec<(String, String)>,
    /// The newest token.
    pub token: i64,
    /// Now, in milliseconds since 1970.
    pub now_ms: i64,
}

impl Known {
    /// The newest build whose published collection this is.
    #[must_use]
    pub(crate) fn owner(&self, collection: &str) -> Option<&KnownBuild> {
        let owners = self.builds.iter().filter(|build| build.collections().any(|name| name == collection));
        // There are several only if a name was used again: the one that isn't over counts.
        owners.max_by_key(|build| (!build.state.is_over(), build.generation))
    }

    /// The verdict on a generation with all its collections.
    #[must_use]
    pub(crate) fn generation(&self, build: &KnownBuild, rules: &KeepRules) -> Droppable {
        let active =
            self.pointers.iter().find(|pointer| build.collections().any(|name| pointer.active.has(name)));
        if let Some(pointer) = active {
            return no(format!("active: readers of {} use it", pointer.projection));
        }
        match build.state {
            BuildState::Active | BuildState::Retired => {}
            BuildState::Dropped => return yes("the rest of a generation that was dropped"),
            BuildState::Aborted => return no("the build was aborted before it was published"),
            state => {
                return no(format!("{} is {state}: a rebuild resumes it, an abort ends it", build.id));
            }
        }
        let pointer = self.pointers.iter().find(|pointer| pointer.projection == build.projection);
        let previous = pointer.map_or(&[][..], |pointer| &pointer.previous);
        let place = previous.iter().position(|former| former.generation == build.generation);
        if build.state == BuildState::Active && place.is_none() {
            return no("its record says that it is active, but no pointer names it");
        }
        if place.is_some_and(|place| place < rules.previous) {
            return no(format!("one of the {} kept to roll back to", rules.previous));
        }
        if let Some(reason) = self.needed(build, pointer).or_else(|| self.shown(build)) {
            return no(reason);
        }
        let age = self.now_ms.saturating_sub(build.changed_ms);
        if let Some(keep_for) = rules.keep_for_ms.filter(|keep_for| age < *keep_for) {
            return no(format!("readers left it {} ago, kept for {}", time(age), time(keep_for)));
        }
        if let Some(older) = rules.older_than_ms.filter(|older| age < *older) {
            return no(format!("readers left it {} ago, dropped after {}", time(age), time(older)));
        }
        let unnamed = |target: &&KnownTarget| !rules.named.contains(&target.collection);
        if let (true, Some(target)) = (build.adopted, build.targets.iter().find(unnamed)) {
            return unless_named(&target.collection, "adopted, not built: goes only if named in full");
        }
        // An application may read a collection with a name that it has built in.
        if let Some(target) = build.targets.iter().filter(unnamed).find(|target| !target.our_name) {
            return unless_named(
                &target.collection,
                "has the application's own name: goes only if named in full",
            );
        }
        let kept = rules.previous;
        yes(if place.is_some() {
            format!("beyond the {kept} kept to roll back to")
        } else {
            "retired, and no pointer names it".to_owned()
        })
    }

    /// The verdict on a collection with its present UUID. `staging`: the published name in the name of a
    /// staging collection, and its token.
    #[must_use]
    pub(crate) fn collection(
        &self,
        name: &str,
        uuid: &str,
        staging: Option<(&str, i64)>,
        rules: &KeepRules,
    ) -> Droppable {
        if let Some((published, token)) = staging {
            return self.staging(name, published, token, rules);
        }
        match self.owner(name) {
            Some(build) if build.state == BuildState::Dropped && !build.drops(name, uuid) => {}
            Some(build) if build.state == BuildState::Aborted => {}
            Some(build) => return self.generation(build, rules),
            None => {}
        }
        self.foreign(name, rules)
    }

    /// The verdict on a collection that we didn't build.
    fn foreign(&self, name: &str, rules: &KeepRules) -> Droppable {
        let named_by = |pointer: &&KnownPointer| {
            pointer.active.has(name) || pointer.previous.iter().any(|former| former.has(name))
        };
        if let Some(pointer) = self.pointers.iter().find(named_by) {
            return no(format!("not built by statefold, and the pointer of {} names it", pointer.projection));
        }
        if let Some((view, _)) = self.views.iter().find(|(_, shown)| shown == name) {
            return no(format!("not built by statefold, and the view {view} shows it"));
        }
        let is_unfinished =
            |build: &&KnownBuild| build.state.is_resumable() || build.state == BuildState::Published;
        if let Some(build) = self
            .builds
            .iter()
            .filter(is_unfinished)
            .find(|build| build.asides.iter().any(|aside| aside == name))
        {
            return no(format!("the cut-over of {} put it aside and isn't finished", build.id));
        }
        if rules.named.iter().any(|named| named == name) {
            return yes("not built by statefold, but named in full");
        }
        unless_named(name, "not built by statefold: goes only if named in full")
    }

    fn staging(&self, name: &str, published: &str, token: i64, rules: &KeepRules) -> Droppable {
        if token > self.token {
            return no(format!("its token {token} is newer than any that was given out"));
        }
        if let Some((view, _)) = self.views.iter().find(|(_, shown)| shown == name) {
            return no(format!("the view {view} shows it"));
        }
        let mut changed = None;
        for build in &self.builds {
            let Some(target) = build.targets.iter().find(|target| target.collection == published) else {
                continue;
            };
            changed = changed.max(Some(build.changed_ms));
            let open = build.state.is_resumable() || build.state == BuildState::Published;
            // The collections that a resumed build looks for: the one the record names, or one of an
            // interrupted takeover.
            if open && target.staging_token.is_none_or(|named| token >= named) {
                return no(format!(
                    "{} is {}: a rebuild resumes it, an abort ends it",
                    build.id, build.state
                ));
            }
        }
        if let Some(older) = rules.older_than_ms
            && changed.is_none_or(|changed| self.now_ms.saturating_sub(changed) < older)
        {
            return no(format!("not known to be older than {}", time(older)));
        }
        yes(format!("token {token}: no unfinished build owns it"))
    }

    /// The verdict on a collection in a purge, which removes everything of ours.
    #[must_use]
    pub(crate) fn purged(&self, name: &str, uuid: &str, is_staging: bool) -> Droppable {
        if is_staging {
            return yes("a staging collection");
        }
        let owner = self.owner(name).filter(|owner| match owner.state {
            BuildState::Aborted => false,
            BuildState::Dropped => owner.drops(name, uuid),
            _ => true,
        });
        let Some(owner) = owner else { return no("not built by statefold: it stays") };
        if owner.adopted {
            return no("adopted, not built: it stays");
        }
        if !owner.targets.iter().any(|target| target.collection == name && target.our_name) {
            return no(format!("{} stands under the application's own name: it stays", owner.id));
        }
        let is_ours = |view: &str| self.view_of_ours(view).is_some();
        if let Some((view, _)) = self.views.iter().find(|(view, shown)| shown == name && !is_ours(view)) {
            return no(format!("the view {view} shows it: it stays"));
        }
        match self.pointers.iter().find(|pointer| pointer.active.has(name)) {
            Some(pointer) => Droppable::active(&pointer.projection),
            None => yes(format!("{} is {}", owner.id, owner.state)),
        }
    }

    /// The pointer of a view that we switch: one that shows the active generation.
    #[must_use]
    pub(crate) fn view_of_ours(&self, view: &str) -> Option<&KnownPointer> {
        let (_, shown) = self.views.iter().find(|(name, _)| name == view)?;
        self.pointers.iter().find(|pointer| pointer.by_view && pointer.active.has(shown))
    }

    /// The verdict on the checkpoints, heads and failed streams of a build.
    #[must_use]
    pub(crate) fn records(&self, id: &str, rules: &KeepRules) -> Droppable {
        let Some(build) = self.builds.iter().find(|build| build.id == id) else {
            return match rules.older_than_ms {
                Some(older) => no(format!("not known to be older than {}", time(older))),
                None => yes("there is no such build any more"),
            };
        };
        if !build.state.is_over() {
            return no(format!("{id} is {}", build.state));
        }
        let age = self.now_ms.saturating_sub(build.changed_ms);
        match rules.older_than_ms.filter(|older| age < *older) {
            Some(older) => no(format!("younger than {}", time(older))),
            None => yes(format!("{id} is {}", build.state)),
        }
    }

    /// A running server that can read no newer generation than this one, in words.
    fn needed(&self, build: &KnownBuild, pointer: Option<&KnownPointer>) -> Option<String> {
        let active = pointer.map(|pointer| pointer.active.projection_version);
        let version = build.projection_version;
        // A server reads the newest generation of its version.
        let same = |former: &&KnownGeneration| former.projection_version == version;
        let newest = pointer.and_then(|pointer| pointer.previous.iter().find(same));
        let newest = newest.is_some_and(|former| former.generation == build.generation);
        let needs = |instance: &&KnownInstance| {
            let reads = instance.reads.iter().find(|(projection, _)| *projection == build.projection);
            reads.is_some_and(|(_, versions)| {
                versions.contains(&version) && active.is_none_or(|active| !versions.contains(&active))
            })
        };
        let instance = self.instances.iter().find(needs).filter(|_| newest)?;
        Some(format!("{} runs and can read version {version} only", instance.name))
    }

    fn shown(&self, build: &KnownBuild) -> Option<String> {
        let (view, _) = self.views.iter().find(|(_, shown)| build.collections().any(|name| name == shown))?;
        Some(format!("the view {view} shows it"))
    }
}

impl KnownBuild {
    /// Its published collections.
    pub(crate) fn collections(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(|target| target.collection.as_str())
    }

    fn drops(&self, name: &str, uuid: &str) -> bool {
        self.targets
            .iter()
            .any(|target| target.collection == name && target.dropping.as_deref() == Some(uuid))
    }
}

impl KnownGeneration {
    fn has(&self, collection: &str) -> bool {
        self.collections.iter().any(|name| name == collection)
    }
}

/// A duration in its largest unit: `3 d`.
fn time(milliseconds: i64) -> String {
    let seconds = milliseconds / 1000;
    let units = [(86_400, "d"), (3600, "h"), (60, "min")];
    let unit = units.iter().find(|(length, _)| seconds >= *length && seconds % length * 10 < *length);
    let unit = unit.or_else(|| units.iter().find(|(length, _)| seconds >= 2 * length));
    unit.map_or_else(|| format!("{seconds} s"), |(length, name)| format!("{} {name}", seconds / length))
}

#[cfg(test)]
mod tests;
