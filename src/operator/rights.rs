//! The rights that a user lacks for what a run does.

use serde::Serialize;
use statefold_projections::Registered;

use crate::plan::{Need, Resource, missing, needs};
use crate::store::Store;

/// A right that a step needs and this user lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MissingRight {
    /// The step, in words.
    pub step: String,
    /// The action, as the server names it.
    pub action: String,
    /// The resource: `Squidex.Events2`, `the database Squidex`, `the cluster`.
    pub resource: String,
    /// The same, as a command that grants it names it.
    pub grant: Grant,
    /// Effect of the lack; absent if the step fails.
    pub without: Option<String>,
}

/// A resource, as `createRole` names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Grant {
    /// The cluster.
    Cluster {
        /// Always true.
        cluster: bool,
    },
    /// A collection.
    Collection {
        /// Name of the database.
        db: String,
        /// Name of the collection; empty for all of them.
        collection: String,
    },
}

impl Grant {
    fn of(resource: &Resource) -> Self {
        match resource {
            Resource::Collection { database, collection } => {
                Self::Collection { db: database.clone(), collection: collection.clone() }
            }
            Resource::Any | Resource::Cluster => Self::Cluster { cluster: true },
        }
    }
}

/// Rights that the steps need and this user lacks.
pub(super) async fn missing_rights(
    store: &Store,
    selected: &[Registered],
    notes: &mut Vec<String>,
) -> Vec<MissingRight> {
    let targets = selected.iter().flat_map(|projection| projection.spec().targets());
    let views: Vec<(String, &str)> =
        targets.map(|target| (store.name_of_database(target.collection()), target.collection())).collect();
    let privileges = match store.admin().privileges().await {
        Ok(Some(privileges)) => privileges,
        Ok(None) => return Vec::new(),
        Err(error) => {
            notes.push(format!("this user's rights can't be read: {}", error.with_sources()));
            return Vec::new();
        }
    };
    let others = store.other_databases();
    let needs = needs(store.database(), &store.layout.collection, &others, &views);
    let missing = missing(&privileges, needs);
    let right = |need: Need| MissingRight {
        step: need.step.name().to_owned(),
        action: need.action.to_owned(),
        resource: need.resource.to_string(),
        grant: Grant::of(&need.resource),
        without: (!need.without.is_empty()).then(|| need.without.to_owned()),
    };
    missing.into_iter().map(right).collect()
}
