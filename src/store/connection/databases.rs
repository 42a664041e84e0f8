//! Looks into other databases of the server, as far as this user may list them.

use bson::{Document, doc};
use futures::TryStreamExt;
use statefold_projections::Target;

use crate::store::connection::call::call;
use crate::store::connection::client::Store;

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

    /// A collection whose name is one of these with a number and more behind it, as `States3_x`, in a
    /// database beside theirs: `{database}_…`. Names of shards, staging collections and copies don't count.
    /// `None` if there is none, as far as they can be listed.
    pub(crate) async fn collection_beside(&self, stems: Vec<String>) -> Option<String> {
        let theirs = stems.first().map_or(&self.db, |stem| self.database_of(stem));
        let (client, ours) = (self.client.clone(), format!("{}_", theirs.name()));
        let search = async move {
            for name in client.list_database_names().await? {
                if !name.starts_with(&ours) {
                    continue;
                }
                let Ok(collections) = client.database(&name).list_collection_names().await else {
                    tracing::warn!(database = name, "it may have snapshots, too, but can't be looked into");
                    continue;
                };
                let is_part = |rest: &str| {
                    let (number, part) = rest.split_once('_').unwrap_or_default();
                    let is_shard = part.bytes().all(|byte| byte.is_ascii_digit());
                    number.parse::<u32>().is_ok() && !is_shard && !part.starts_with('_')
                };
                let found = |collection: &&String| {
                    stems.iter().filter_map(|stem| collection.strip_prefix(stem)).any(is_part)
                };
                if let Some(collection) = collections.iter().find(found) {
                    return Ok(Some(format!("{name}.{collection}")));
                }
            }
            Ok(None)
        };
        call("listing the databases", search).await.unwrap_or_else(|error| {
            tracing::warn!(error = %error.with_sources(), "databases beside this one can't be listed");
            None
        })
    }

    /// A generation of a target that isn't empty, in a database that has no event store: the name of the
    /// database, and that of the collection. `None` if there is none, as far as they can be listed.
    pub(crate) async fn generation_elsewhere(&self, target: &Target) -> Option<(String, String)> {
        let (client, ours) = (self.client.clone(), self.database().to_owned());
        let (target, events) = (target.clone(), self.layout.collection.clone());
        let search = async move {
            for name in client.list_database_names().await? {
                if name == ours {
                    continue;
                }
                let Ok(collections) = client.database(&name).list_collection_names().await else { continue };
                let found = collections.iter().find(|collection| target.number_of(collection).is_some());
                let Some(found) = found.filter(|_| !collections.contains(&events)) else { continue };
                let documents = client.database(&name).collection::<Document>(found);
                if documents.estimated_document_count().await? > 0 {
                    return Ok(Some((name, found.clone())));
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
