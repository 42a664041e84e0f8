//! Schemas whose contents Squidex also keeps in databases of single apps.

use std::collections::{BTreeMap, BTreeSet};

use statefold_projections::Target;
use statefold_projections::squidex::{self, DedicatedSchema};

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::lifecycle::BuildState;
use crate::store::{BuildRecord, Store};

/// Name of the projection of contents.
const CONTENTS: &str = "Contents";
/// Beginning of the names of the targets of all contents.
const ALL: &str = "States_Contents_All";

/// The schemas whose contents are also in databases of single apps, for
/// [`SquidexOptions::dedicated`](squidex::SquidexOptions::dedicated): those of the generation of `Contents`
/// that is active or being built, so that all generations have the same; else those for which Squidex has
/// such collections; else all schemas in the event store. `content_database`: the database of the contents,
/// if it isn't that of the settings.
///
/// # Errors
/// [`Error::Unsupported`] if two apps have a schema of one id, or there are too many; the server's error.
pub async fn dedicated_contents(
    settings: &Settings,
    content_database: Option<&str>,
) -> Result<Vec<DedicatedSchema>> {
    let store = Store::connect(settings, &squidex::registry()).await?;
    let base = content_database.unwrap_or(store.database());
    // By their ids.
    let mut schemas = BTreeMap::new();
    for stream in store.events().names_of("schema-").await? {
        let Some((app_id, schema_id)) = stream.strip_prefix("schema-").and_then(|key| key.split_once("--"))
        else {
            continue;
        };
        let database = format!("{base}_{app_id}");
        let (app_id, schema_id) = (app_id.to_owned(), schema_id.to_owned());
        let schema = DedicatedSchema { database, app_id, schema_id: schema_id.clone() };
        if let Some(other) = schemas.insert(schema_id.clone(), schema) {
            return Err(Error::Unsupported(format!(
                "two apps have a schema of the id {schema_id}, one of them {}: with dedicated_contents their \
                 collections can't be told apart",
                other.app_id
            )));
        }
    }
    if let Some(record) = generation(&store).await? {
        // In the order of that generation's collections.
        let ids =
            record.targets.iter().filter_map(|target| target.target.strip_prefix(ALL)?.strip_prefix('_'));
        return limited(ids.filter_map(|id| schemas.remove(id)).collect());
    }
    let there = store.collections_beside(base, &[Target::new(ALL)]).await;
    let there: BTreeSet<(&str, &str)> =
        there.iter().map(|beside| (beside.part.as_str(), beside.suffix.as_str())).collect();
    let mut all: Vec<DedicatedSchema> = schemas.into_values().collect();
    if !there.is_empty() {
        all.retain(|schema| there.contains(&(schema.app_id.as_str(), schema.schema_id.as_str())));
    }
    all.sort_unstable();
    limited(all)
}

/// The generation that is active, or else one that is being built.
async fn generation(store: &Store) -> Result<Option<BuildRecord>> {
    let active = store.control().active(CONTENTS).await?.map(|active| active.active);
    let records = store.builds().records(Some(CONTENTS)).await?;
    let is_it = |record: &BuildRecord| match active {
        Some(active) => record.generation == active,
        None => record.state.is_resumable() || record.state == BuildState::Published,
    };
    Ok(records.into_iter().find(is_it))
}

/// Schemas that there may be: each has two collections.
const SCHEMAS_MAX: usize = 4_800;

fn limited(schemas: Vec<DedicatedSchema>) -> Result<Vec<DedicatedSchema>> {
    if schemas.len() > SCHEMAS_MAX {
        let count = schemas.len();
        return Err(Error::Unsupported(format!(
            "there are {count} schemas with collections of their own, of at most {SCHEMAS_MAX}"
        )));
    }
    Ok(schemas)
}
