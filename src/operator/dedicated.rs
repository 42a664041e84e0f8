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
    let prefix = format!("{base}_");
    if let Some(record) = generation(&store).await? {
        // In the order of that generation's collections, whether their events are still there or not.
        let recorded = record.targets.iter().filter_map(|target| {
            let schema_id = target.target.strip_prefix(ALL)?.strip_prefix('_')?.to_owned();
            let database = target.place.as_ref()?.database.clone();
            let app_id = database.strip_prefix(&prefix)?.to_owned();
            Some(DedicatedSchema { database, app_id, schema_id })
        });
        return Ok(recorded.collect());
    }
    let mut all = BTreeSet::new();
    for stream in store.events().names_of("schema-").await? {
        if let Some((app_id, schema_id)) = stream.strip_prefix("schema-").and_then(|key| key.split_once("--"))
        {
            let (app_id, schema_id) = (app_id.to_owned(), schema_id.to_owned());
            all.insert(DedicatedSchema { database: format!("{prefix}{app_id}"), app_id, schema_id });
        }
    }
    let there = store.collections_beside(base, &[Target::new(ALL)]).await;
    let there: BTreeSet<(&str, &str)> =
        there.iter().map(|beside| (beside.part.as_str(), beside.suffix.as_str())).collect();
    if !there.is_empty() {
        all.retain(|schema| there.contains(&(schema.app_id.as_str(), schema.schema_id.as_str())));
    }
    checked(all.into_iter().collect())
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

fn checked(schemas: Vec<DedicatedSchema>) -> Result<Vec<DedicatedSchema>> {
    let mut apps = BTreeMap::new();
    for DedicatedSchema { app_id, schema_id, .. } in &schemas {
        if let Some(other) = apps.insert(schema_id, app_id) {
            return Err(Error::Unsupported(format!(
                "the apps {other} and {app_id} both have a schema of the id {schema_id}: with \
                 dedicated_contents their collections can't be told apart"
            )));
        }
    }
    let count = schemas.len();
    if count > SCHEMAS_MAX {
        return Err(Error::Unsupported(format!(
            "there are {count} schemas with collections of their own, of at most {SCHEMAS_MAX}"
        )));
    }
    Ok(schemas)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn two_apps_with_a_schema_of_one_id_are_refused_by_their_names() {
        let schema = |app: &str, schema: &str| DedicatedSchema {
            database: format!("Squidex_{app}"),
            app_id: app.to_owned(),
            schema_id: schema.to_owned(),
        };
        assert!(checked(vec![schema("a", "posts"), schema("b", "articles")]).is_ok());
        let refused = checked(vec![schema("a", "posts"), schema("b", "posts")]).unwrap_err().to_string();
        assert!(refused.contains("the apps a and b both have a schema of the id posts"), "{refused}");
    }
}
