//! The databases of the collections of snapshots: the store's own, unless their target names another one.
//!
//! Records say where the generations are that there are, whatever the settings of this program; where others
//! are to be, its registry says.

use std::collections::HashMap;
use std::sync::Arc;

use mongodb::Database;
use statefold_projections::{Registered, Registry, Spec};

/// Databases by what names have before the number, then by what they have behind it; absent is the store's
/// own.
type ByName = HashMap<String, HashMap<String, Option<Database>>>;

/// Where the collections of targets are, staging collections and copies among them. Empty if all are in the
/// store's own database.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Places(Arc<ByName>);

impl Places {
    /// The places of all targets of a registry, for a store with this database of its own.
    pub(super) fn of(registry: &Registry, own: &Database) -> Self {
        let specs = registry.projections().iter().map(Registered::spec);
        let mut places = ByName::new();
        for target in specs.flat_map(Spec::targets) {
            let (stem, suffix) = target.parts();
            put(&mut places, (stem, suffix), target.database(), own);
        }
        let is_elsewhere = |database: &Option<Database>| database.is_some();
        let any = places.values().flat_map(HashMap::values).any(is_elsewhere);
        Self(Arc::new(if any { places } else { ByName::new() }))
    }

    /// These places and more, which come before these.
    pub(super) fn with<'a>(
        self,
        more: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
        own: &Database,
    ) -> Self {
        let mut places = Arc::unwrap_or_clone(self.0);
        for (stem, suffix, database) in more {
            put(&mut places, (stem, suffix), Some(database), own);
        }
        Self(Arc::new(places))
    }

    /// The database of a collection, if it isn't the store's own. Staging collections and copies are where
    /// the collection is whose name they begin with; views have it without a number.
    pub(super) fn of_collection(&self, name: &str) -> Option<&Database> {
        if self.0.is_empty() {
            return None;
        }
        // Whole, then without the marks of staging collections and copies.
        let marks = name.rmatch_indices("__").map(|(at, _)| at);
        let found = std::iter::once(name.len()).chain(marks).find_map(|end| self.of_target(name.get(..end)?));
        found?.as_ref()
    }

    fn of_target(&self, name: &str) -> Option<&Option<Database>> {
        let suffixes = name.match_indices('_').map(|(at, _)| at).chain([name.len()]);
        suffixes.map(|at| name.split_at(at)).find_map(|(head, suffix)| {
            let least = head.trim_end_matches(|digit: char| digit.is_ascii_digit()).len();
            let stems = (least..=head.len()).rev().filter_map(|end| head.get(..end));
            stems.filter_map(|stem| self.0.get(stem)?.get(suffix)).next()
        })
    }

    /// All databases other than the store's own, each once.
    pub(super) fn others(&self) -> Vec<&Database> {
        let mut others: Vec<&Database> = self.0.values().flat_map(HashMap::values).flatten().collect();
        others.sort_unstable_by_key(|database| database.name());
        others.dedup_by_key(|database| database.name());
        others
    }
}

fn put(places: &mut ByName, (stem, suffix): (&str, &str), database: Option<&str>, own: &Database) {
    let other = database.filter(|name| *name != own.name()).map(|name| own.client().database(name));
    places.entry(stem.to_owned()).or_default().insert(suffix.to_owned(), other);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use statefold_projections::squidex::{DedicatedSchema, SquidexOptions, registry_with};

    use super::*;

    #[tokio::test]
    async fn whatever_belongs_to_a_target_is_in_its_database() {
        let client = mongodb::Client::with_uri_str("mongodb://127.0.0.1:1").await.unwrap();
        let dedicated = |id: &str| DedicatedSchema {
            database: "Content_app".to_owned(),
            app_id: "app".to_owned(),
            schema_id: id.to_owned(),
        };
        let options = SquidexOptions {
            content_database: Some("Content".to_owned()),
            content_shards: 2,
            dedicated: ["my_67", "blog__texts", "12", "a b"].map(dedicated).into(),
            ..SquidexOptions::default()
        };
        let places = Places::of(&registry_with(options), &client.database("Squidex"));
        let names = |name: &str| places.of_collection(name).map(Database::name);
        for name in ["All3_1", "All4_0__t7", "Published3_0__g3", "Published4_1__g3__t12", "All_1"] {
            assert_eq!(names(&format!("States_Contents_{name}")), Some("Content"), "{name}");
        }
        for name in
            ["All3_my_67", "All4_blog__texts", "All4_blog__texts__t7", "Published3_12__g3", "All4_a b"]
        {
            assert_eq!(names(&format!("States_Contents_{name}")), Some("Content_app"), "{name}");
        }
        for name in ["States_Assets2", "States_Contents_All4", "States_Contents_All4_2", "Events2"] {
            assert_eq!(names(name), None, "{name}");
        }
        assert_eq!(places.others().len(), 2);
    }
}
