//! Looks into other databases of the server, as far as this user may list them.

use std::collections::HashSet;

use bson::{Document, doc};
use futures::TryStreamExt;
use statefold_projections::Target;

use crate::store::connection::call::call;
use crate::store::connection::client::Store;

/// A collection in a database beside the one of the snapshots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Beside {
    pub(crate) database: String,
    /// What the name of the database has behind that of the other one, and a low line.
    pub(crate) part: String,
    pub(crate) collection: String,
    /// What the name of the collection has behind its number, and a low line.
    pub(crate) suffix: String,
}

impl Beside {
    /// Whether the name may be that of a shard: it ends with a number.
    pub(crate) fn may_be_shard(&self) -> bool {
        is_number(&self.suffix)
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What stands behind a number and a low line; `None` if it is a mark of a staging collection or a copy.
fn suffix(rest: &str) -> Option<&str> {
    let (number, suffix) = rest.split_once('_')?;
    let marks = ["__t", "__g"].into_iter().filter_map(|mark| rest.rsplit_once(mark));
    let is_ours = marks.into_iter().any(|(_, number)| is_number(number));
    (is_number(number) && !suffix.is_empty() && !is_ours).then_some(suffix)
}

impl Store {
    /// Names of the databases that have an event store of this layout; empty if they can't be listed.
    pub(crate) async fn databases_with_events(&self) -> Vec<String> {
        let client = self.client.clone();
        let collection = self.layout.collection.clone();
        let search = async move {
            let mut found = Vec::new();
            for name in client.list_database_names().await? {
                let filter = doc! { "name": &collection };
                let cursor = client.database(&name).list_collections().filter(filter).await?;
                if !cursor.try_collect::<Vec<_>>().await?.is_empty() {
                    found.push(name);
                }
            }
            Ok(found)
        };
        call("listing the databases", search).await.unwrap_or_else(|error| {
            tracing::debug!(error = %error.with_sources(), "the databases can't be listed");
            Vec::new()
        })
    }

    /// Collections that have the name of a target with a number and more behind it, as `States3_x`, in
    /// databases beside that of the targets: `{database}_…`. Names of staging collections and copies don't
    /// count. Empty if they can't be listed.
    pub(crate) async fn collections_beside(&self, base: &str, targets: &[Target]) -> Vec<Beside> {
        let (client, prefix) = (self.client.clone(), format!("{base}_"));
        let stems: HashSet<String> = targets.iter().map(|target| target.parts().0.to_owned()).collect();
        let search = async move {
            let mut all = Vec::new();
            for database in client.list_database_names().await? {
                let Some(part) = database.strip_prefix(&prefix) else { continue };
                let Ok(names) = client.database(&database).list_collection_names().await else {
                    tracing::warn!(database, "it may have snapshots, too, but can't be looked into");
                    continue;
                };
                for collection in names {
                    let rests = stems.iter().filter_map(|stem| collection.strip_prefix(stem.as_str()));
                    if let Some(suffix) = rests.filter_map(suffix).next() {
                        let (part, suffix) = (part.to_owned(), suffix.to_owned());
                        all.push(Beside { database: database.clone(), part, collection, suffix });
                    }
                }
            }
            all.sort_unstable();
            Ok(all)
        };
        call("listing the databases", search).await.unwrap_or_else(|error| {
            tracing::warn!(error = %error.with_sources(), "databases beside this one can't be listed");
            Vec::new()
        })
    }

    /// A collection that isn't empty, and has the name of a generation of a target or of a shard of it, in a
    /// database that has no event store: the name of the database, and that of the collection. `None` if
    /// there is none, as far as they can be looked into.
    pub(crate) async fn generation_elsewhere(&self, target: &Target) -> Option<(String, String)> {
        let (client, ours) = (self.client.clone(), self.database().to_owned());
        let (stem, events) = (target.parts().0.to_owned(), self.layout.collection.clone());
        let search = async move {
            for name in client.list_database_names().await? {
                if name == ours {
                    continue;
                }
                let database = client.database(&name);
                let Ok(collections) = database.list_collection_names().await else { continue };
                if collections.contains(&events) {
                    continue;
                }
                let is_generation = |collection: &&String| {
                    let rest = collection.strip_prefix(&stem);
                    rest.is_some_and(|rest| {
                        let (number, shard) = rest.split_once('_').unwrap_or((rest, "0"));
                        is_number(number) && is_number(shard)
                    })
                };
                for found in collections.iter().filter(is_generation) {
                    let documents = database.collection::<Document>(found);
                    if documents.estimated_document_count().await.is_ok_and(|count| count > 0) {
                        return Ok(Some((name, found.clone())));
                    }
                }
            }
            Ok(None)
        };
        call("listing the databases", search).await.unwrap_or_else(|error| {
            tracing::debug!(error = %error.with_sources(), "the databases can't be listed");
            None
        })
    }
}
