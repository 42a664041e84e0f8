//! The databases of the collections of snapshots: the store's own, unless their target names another one.

use std::sync::Arc;

use mongodb::Database;
use statefold_projections::{Registry, Target};

/// Where the collections of targets are, staging collections and copies among them.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Places(Arc<[Place]>);

#[derive(Debug, Clone)]
struct Place {
    /// What stands before the generation's number, and behind it.
    stem: String,
    suffix: String,
    /// Their database; absent if it is the store's own.
    database: Option<Database>,
}

impl Place {
    fn has(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(&self.stem) else { return false };
        let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        rest.strip_prefix(&self.suffix).is_some_and(|rest| rest.is_empty() || rest.starts_with("__"))
    }
}

impl Places {
    /// The places of all targets of a registry, for a store with this database of its own.
    pub(super) fn of(registry: &Registry, own: &Database) -> Self {
        let specs = registry.projections().iter().map(|registered| registered.spec());
        let place = |target: &Target| {
            let (stem, suffix) = target.parts();
            let other = target.database().filter(|name| *name != own.name());
            Place {
                stem: stem.to_owned(),
                suffix: suffix.to_owned(),
                database: other.map(|name| own.client().database(name)),
            }
        };
        let mut places: Vec<Place> = specs.flat_map(|spec| spec.targets().iter().map(place)).collect();
        // What fits best is looked for first: States_All3_1 is a shard of States_All.
        places.sort_by_key(|place| std::cmp::Reverse((place.stem.len(), place.suffix.len())));
        if places.iter().all(|place| place.database.is_none()) {
            places.clear();
        }
        Self(places.into())
    }

    /// The database of a collection, if it isn't the store's own. Staging collections and copies are where
    /// the collection is whose name they begin with; views have it without a number.
    pub(super) fn of_collection(&self, name: &str) -> Option<&Database> {
        self.0.iter().find(|place| place.has(name)).and_then(|place| place.database.as_ref())
    }

    /// All databases other than the store's own, each once.
    pub(super) fn others(&self) -> Vec<&Database> {
        let mut others: Vec<&Database> = self.0.iter().filter_map(|place| place.database.as_ref()).collect();
        others.sort_unstable_by_key(|database| database.name());
        others.dedup_by_key(|database| database.name());
        others
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use statefold_projections::squidex::{SquidexOptions, registry_with};

    use super::*;

    #[tokio::test]
    async fn whatever_belongs_to_a_target_is_in_its_database() {
        let client = mongodb::Client::with_uri_str("mongodb://127.0.0.1:1").await.unwrap();
        let content_database = Some("Content".to_owned());
        let options = SquidexOptions { content_database, content_shards: 2, ..SquidexOptions::default() };
        let places = Places::of(&registry_with(options), &client.database("Squidex"));
        let names = |name: &str| places.of_collection(name).map(Database::name);
        for name in
            ["States_Contents_All3_1", "States_Contents_All4_0__t7", "States_Contents_Published3_0__g3"]
        {
            assert_eq!(names(name), Some("Content"), "{name}");
        }
        for name in ["States_Assets2", "States_Contents_All4", "States_Contents_All4_2", "Events2"] {
            assert_eq!(names(name), None, "{name}");
        }
        assert_eq!(places.others().len(), 1);
    }
}
