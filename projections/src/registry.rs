//! The projections of an application, by name, over one layout.

use std::fmt;
use std::sync::Arc;

use crate::states::Slab;
use crate::{Layout, Projection, RegistryError, Spec, States};

/// A projection in a registry, its state type erased. Cheap to clone.
#[derive(Clone)]
pub struct Registered {
    spec: Arc<Spec>,
    states: Arc<dyn Fn() -> Box<dyn States> + Send + Sync>,
}

impl Registered {
    /// Erases the state type of a projection that is used without a registry.
    pub fn new<P: Projection>(projection: P) -> Self {
        let projection = Arc::new(projection);
        let spec = Arc::new(projection.spec().clone());
        Self { spec, states: Arc::new(move || Box::new(Slab::new(Arc::clone(&projection)))) }
    }

    /// The specification of the projection.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// An empty slab of states.
    #[must_use]
    pub fn states(&self) -> Box<dyn States> {
        (self.states)()
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registered").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// A step of the application's own version, with the projections that have to be built before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionStep {
    /// The version that the step leads to.
    pub version: i32,
    /// Names of the projections that have to reach their registered version first.
    pub projections: Vec<String>,
}

/// Targets that a projection has at most.
const TARGETS_MAX: usize = 10_000;

/// All projections of an application and the layout of its event store.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    layout: Layout,
    projections: Vec<Registered>,
    former: Vec<Registered>,
    path: Vec<VersionStep>,
}

impl Registry {
    /// A registry without projections.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout, ..Self::default() }
    }

    /// Adds a projection. The projections it requires must be registered already.
    ///
    /// # Errors
    /// [`RegistryError`] if the spec is not valid, or its name or a target is taken.
    pub fn register<P: Projection>(&mut self, projection: P) -> Result<&mut Self, RegistryError> {
        let registered = Registered::new(projection);
        self.check(registered.spec())?;
        self.projections.push(registered);
        Ok(self)
    }

    /// Adds an older version of a registered projection, so that a rollback to its generations is
    /// possible. No new generation is built with it.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] if there is no projection of this name, [`RegistryError::Former`] if
    /// the version isn't older than the registered one, is registered already, or has other targets.
    pub fn register_former<P: Projection>(&mut self, projection: P) -> Result<&mut Self, RegistryError> {
        let registered = Registered::new(projection);
        let (name, version) = (registered.spec().name(), registered.spec().version());
        let current = self.get(name)?.spec();
        let targets = |spec: &Spec| -> Vec<String> {
            spec.targets().iter().map(|target| target.collection().to_owned()).collect()
        };
        let same = targets(current) == targets(registered.spec());
        if version == 0 || version >= current.version() || self.of_version(name, version).is_some() || !same {
            return Err(RegistryError::Former { name: name.to_owned(), version, current: current.version() });
        }
        self.former.push(registered);
        Ok(self)
    }

    /// The projection of this name and version, current or [former](Self::register_former).
    #[must_use]
    pub fn of_version(&self, name: &str, version: u32) -> Option<&Registered> {
        let matches = |registered: &&Registered| {
            registered.spec().name().eq_ignore_ascii_case(name) && registered.spec().version() == version
        };
        self.projections.iter().chain(&self.former).find(matches)
    }

    fn check(&self, spec: &Spec) -> Result<(), RegistryError> {
        let name = spec.name().to_owned();
        if name.is_empty() || !name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') {
            return Err(RegistryError::Name(name));
        }
        if spec.version() == 0 || spec.first() == 0 {
            return Err(RegistryError::Version(name));
        }
        match spec.targets().len() {
            0 => return Err(RegistryError::NoTarget(name)),
            1..=TARGETS_MAX => {}
            _ => return Err(RegistryError::TooManyTargets(name)),
        }
        if self.find(&name).is_some() {
            return Err(RegistryError::DuplicateName(name));
        }
        for (at, target) in spec.targets().iter().enumerate() {
            let collection = target.collection();
            let taken =
                |other: &&Spec| other.targets().iter().any(|target| target.collection() == collection);
            let before = spec.targets().iter().take(at).any(|target| target.collection() == collection);
            let first = self.specs().find(taken).map(Spec::name).or(before.then_some(spec.name()));
            if let Some(first) = first {
                let (collection, first) = (collection.to_owned(), first.to_owned());
                return Err(RegistryError::DuplicateTarget { collection, first, second: name });
            }
        }
        for required in spec.required() {
            if required.eq_ignore_ascii_case(&name) {
                return Err(RegistryError::Circle(name));
            }
            if self.find(required).is_none() {
                return Err(RegistryError::Requires(name, required.clone()));
            }
        }
        Ok(())
    }

    /// Declares that this registry owns the application's `Version`, and adds a step: a migration sets
    /// it to `version` once these projections have reached their registered version. Without steps
    /// `Version` is never written.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] for a projection that isn't registered, [`RegistryError::Step`] if the
    /// steps don't ascend.
    pub fn version(&mut self, version: i32, projections: &[&str]) -> Result<&mut Self, RegistryError> {
        let former = self.path.last().map_or(0, |step| step.version);
        if version <= former {
            return Err(RegistryError::Step { version, former });
        }
        let names: Result<Vec<String>, RegistryError> =
            projections.iter().map(|name| Ok(self.get(name)?.spec().name().to_owned())).collect();
        self.path.push(VersionStep { version, projections: names? });
        // The versions of another application say nothing of ours.
        self.layout.since = None;
        Ok(self)
    }

    /// The steps of the application's version, in order; empty if the registry doesn't own it.
    #[must_use]
    pub fn version_path(&self) -> &[VersionStep] {
        &self.path
    }

    /// Layout of the event store.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All projections, in the order of registration, which is also a valid build order.
    #[must_use]
    pub fn projections(&self) -> &[Registered] {
        &self.projections
    }

    fn specs(&self) -> impl Iterator<Item = &Spec> {
        self.projections.iter().map(Registered::spec)
    }

    fn find(&self, name: &str) -> Option<&Registered> {
        self.projections.iter().find(|projection| projection.spec().name().eq_ignore_ascii_case(name))
    }

    /// A registry with these projections only, and those they require.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`], which lists the registered names.
    pub fn only(&self, names: &[String]) -> Result<Self, RegistryError> {
        let mut kept = Vec::new();
        for name in names {
            kept.push(self.get(name)?.spec().name().to_owned());
        }
        // What is required is registered before, so that one look from the end finds all.
        for spec in self.projections.iter().rev().map(Registered::spec) {
            if kept.iter().any(|name| name == spec.name()) {
                let required = spec.required().iter().filter_map(|required| self.find(required));
                kept.extend(required.map(|required| required.spec().name().to_owned()));
            }
        }
        let mut registry = self.clone();
        let is_kept = |registered: &Registered| kept.iter().any(|name| name == registered.spec().name());
        registry.projections.retain(is_kept);
        registry.former.retain(is_kept);
        for step in &mut registry.path {
            step.projections.retain(|name| kept.contains(name));
        }
        Ok(registry)
    }

    /// The registered projection of this name; case doesn't matter.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`], which lists the registered names.
    pub fn get(&self, name: &str) -> Result<&Registered, RegistryError> {
        self.find(name).ok_or_else(|| {
            let known: Vec<&str> = self.specs().map(Spec::name).collect();
            RegistryError::Unknown { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// The projections of these names, each once, in a valid build order; all projections if no name
    /// is given.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] for a name that isn't registered.
    pub fn select<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<Registered>, RegistryError> {
        for name in names {
            self.get(name.as_ref())?;
        }
        let named = |registered: &&Registered| {
            names.is_empty()
                || names.iter().any(|name| registered.spec().name().eq_ignore_ascii_case(name.as_ref()))
        };
        Ok(self.projections.iter().filter(named).cloned().collect())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{Event, FoldError, Lookup, Sink, StreamKey, Target};

    struct Nothing(Spec);

    impl Projection for Nothing {
        type State = ();
        fn spec(&self) -> &Spec {
            &self.0
        }
        fn apply(&self, (): &mut (), _: &Event<'_>) -> Result<(), FoldError> {
            Ok(())
        }
        fn snapshots(
            &self,
            _: &StreamKey<'_>,
            (): &(),
            _: &dyn Lookup,
            _: &mut Sink<'_>,
        ) -> Result<(), FoldError> {
            Ok(())
        }
    }

    fn nothing(name: &str, target: &str) -> Nothing {
        Nothing(Spec::new(name, 1).target(Target::new(target)))
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let mut registry = Registry::default();
        registry.register(nothing("Assets", "States_Assets")).unwrap();
        let mut refuse = |projection| registry.register(projection).err().unwrap().to_string();
        assert_eq!(refuse(nothing("assets", "X")), "projection assets is registered twice");
        assert_eq!(
            refuse(nothing("B", "States_Assets")),
            "target collection States_Assets belongs to Assets and to B"
        );
        assert_eq!(
            refuse(nothing("a b", "X")),
            "`a b` is not a projection name: use letters, digits and `_`"
        );
        assert_eq!(refuse(Nothing(Spec::new("C", 1))), "projection C has no target collection");
        assert_eq!(
            refuse(Nothing(Spec::new("C", 0).target(Target::new("C")))),
            "projection C: version and first generation start at 1"
        );
        let needs = |other: &str| Nothing(Spec::new("C", 1).target(Target::new("C")).requires(other));
        assert_eq!(refuse(needs("D")), "projection C requires D, which is not registered");
        assert_eq!(refuse(needs("c")), "projection C requires itself");
    }

    #[test]
    fn a_part_of_a_registry_has_what_it_requires() {
        let mut registry = Registry::default();
        for (name, required) in [("A", None), ("B", Some("a")), ("C", None), ("D", Some("B"))] {
            let Nothing(spec) = nothing(name, name);
            registry.register(Nothing(required.into_iter().fold(spec, Spec::requires))).unwrap();
        }
        let names = |registry: Registry| -> Vec<String> {
            registry.specs().map(|spec| spec.name().to_owned()).collect()
        };
        registry.version(1, &["A", "C"]).unwrap();
        let part = registry.only(&["d".to_owned()]).unwrap();
        assert_eq!(part.version_path(), [VersionStep { version: 1, projections: vec!["A".into()] }]);
        assert_eq!(names(part), ["A", "B", "D"]);
        assert!(registry.only(&["E".to_owned()]).unwrap_err().to_string().contains("A, B, C, D"));
    }

    #[test]
    fn steps_of_the_version_ascend_and_name_what_is_registered() {
        let mut registry = Registry::default();
        registry.register(nothing("A", "A")).unwrap().version(2, &["a"]).unwrap();
        let steps = [VersionStep { version: 2, projections: vec!["A".into()] }];
        assert_eq!(registry.version_path(), steps);
        let error = registry.version(2, &[]).err().unwrap().to_string();
        assert_eq!(error, "version 2 can't follow version 2: steps ascend, from 1 on");
        assert!(matches!(registry.version(3, &["B"]), Err(RegistryError::Unknown { .. })));
        assert_eq!(registry.version_path().len(), 1);
    }

    #[test]
    fn names_match_without_case_and_keep_the_order_of_registration() {
        let mut registry = Registry::default();
        registry.register(nothing("A", "A")).unwrap().register(nothing("B", "B")).unwrap();
        let names = |given: &[&str]| -> Vec<String> {
            registry.select(given).unwrap().iter().map(|found| found.spec().name().to_owned()).collect()
        };
        assert_eq!(names(&["b", "a", "B"]), ["A", "B"]);
        assert_eq!(names(&[]), ["A", "B"]);
        assert_eq!(
            registry.select(&["Asset"]).unwrap_err().to_string(),
            "there is no projection Asset; registered are A, B"
        );
    }
}
