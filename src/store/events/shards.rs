//! Which shard has which streams, from the cluster's own records: `config.collections` and `config.chunks`.
//!
//! Formats: the manual's pages on the config database. A chunk names its collection by `uuid` since 5.0, by
//! `ns` before.

use bson::{Bson, Document, doc};
use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::plan::{Chunk, ShardMap};
use crate::store::connection::call;
use crate::store::events::source::EventStore;

impl EventStore {
    /// The shards of the event store.
    pub(in crate::store) async fn shard_map(&self) -> Result<ShardMap> {
        match self.known_shards().await {
            Err(error @ Error::Permission { .. }) => {
                tracing::warn!(error = %error.with_sources(), "the shards of the event store aren't known");
                Ok(ShardMap { by_stream: false, chunks: Vec::new() })
            }
            known => known,
        }
    }

    async fn known_shards(&self) -> Result<ShardMap> {
        let namespace = format!("{}.{}", self.db.name(), self.layout.collection);
        let doing = "asking for the shards of the event store";
        let collections = self.config(doing, collection_command(&namespace)).await?;
        let Some(collection) = collections.into_iter().find(|one| !one.get_bool("dropped").unwrap_or(false))
        else {
            // Not divided: it is on the primary shard of its database.
            let databases = self.config(doing, database_command(self.db.name())).await?;
            return Ok(on_one_shard(databases.first()));
        };
        let chunks = self.config(doing, chunks_command(&namespace, collection.get("uuid"))).await?;
        Ok(shard_map(&self.layout.stream, &collection, &chunks))
    }

    /// All documents of a short cursor on the config database.
    async fn config(&self, doing: &str, command: Document) -> Result<Vec<Document>> {
        let config = self.db.client().database("config");
        let run =
            async move { config.run_cursor_command(command).await?.try_collect::<Vec<Document>>().await };
        call(doing, run).await
    }
}

fn collection_command(namespace: &str) -> Document {
    doc! { "find": "collections", "filter": { "_id": namespace }, "limit": 1 }
}

fn database_command(database: &str) -> Document {
    doc! { "find": "databases", "filter": { "_id": database }, "limit": 1 }
}

fn chunks_command(namespace: &str, uuid: Option<&Bson>) -> Document {
    let mut of_collection = vec![doc! { "ns": namespace }];
    of_collection.extend(uuid.map(|uuid| doc! { "uuid": uuid.clone() }));
    doc! {
        "find": "chunks", "filter": { "$or": of_collection }, "sort": { "min": 1 },
        "projection": { "_id": 0, "min": 1, "max": 1, "shard": 1 },
    }
}

fn on_one_shard(database: Option<&Document>) -> ShardMap {
    let shard = database.and_then(|database| database.get_str("primary").ok()).unwrap_or("unknown");
    let chunk = Chunk { first: None, end: None, shard: shard.to_owned() };
    ShardMap { by_stream: true, chunks: vec![chunk] }
}

/// The map of a divided collection. Its chunks are ranges of streams if the key begins with the stream, and
/// not with its hash.
fn shard_map(stream: &str, collection: &Document, chunks: &[Document]) -> ShardMap {
    let key = collection.get_document("key").ok();
    let by_stream = key
        .and_then(|key| key.iter().next())
        .is_some_and(|(field, order)| field == stream && order.as_str().is_none());
    let chunk = |chunk: &Document| {
        // Beyond all names are the bounds MinKey and MaxKey, which are no strings.
        let name = |bound: &str| Some(chunk.get_document(bound).ok()?.get_str(stream).ok()?.to_owned());
        Some(Chunk { first: name("min"), end: name("max"), shard: chunk.get_str("shard").ok()?.to_owned() })
    };
    ShardMap { by_stream, chunks: chunks.iter().filter_map(chunk).collect() }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    const NAMESPACE: &str = "Squidex.Events2";

    #[test]
    fn chunks_are_asked_for_by_uuid_and_by_name() {
        let uuid = Bson::from(bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16] });
        assert_eq!(
            chunks_command(NAMESPACE, Some(&uuid)),
            doc! {
                "find": "chunks", "filter": { "$or": [{ "ns": NAMESPACE }, { "uuid": uuid }] },
                "sort": { "min": 1 }, "projection": { "_id": 0, "min": 1, "max": 1, "shard": 1 },
            }
        );
        assert_eq!(
            chunks_command(NAMESPACE, None).get_document("filter").ok(),
            Some(&doc! { "$or": [{ "ns": NAMESPACE }] })
        );
        assert_eq!(
            collection_command(NAMESPACE),
            doc! { "find": "collections", "filter": { "_id": NAMESPACE }, "limit": 1 }
        );
        let database = doc! { "find": "databases", "filter": { "_id": "Squidex" }, "limit": 1 };
        assert_eq!(database_command("Squidex"), database);
    }

    #[test]
    fn ranges_of_streams_are_known_by_their_shard_and_hashes_are_not() {
        let chunks = [
            doc! { "min": { "EventStream": Bson::MinKey, "EventStreamOffset": Bson::MinKey },
            "max": { "EventStream": "asset-8", "EventStreamOffset": 3_i64 }, "shard": "rs0" },
            doc! { "min": { "EventStream": "asset-8", "EventStreamOffset": 3_i64 },
            "max": { "EventStream": Bson::MaxKey, "EventStreamOffset": Bson::MaxKey }, "shard": "rs1" },
        ];
        let key = doc! { "_id": NAMESPACE, "key": { "EventStream": 1, "EventStreamOffset": 1 } };
        let map = shard_map("EventStream", &key, &chunks);
        assert!(map.by_stream && map.cuts().eq(["asset-8"]), "{map:?}");
        assert_eq!((map.chunks[0].first.as_deref(), map.chunks[1].end.as_deref()), (None, None));
        for other in [doc! { "EventStream": "hashed" }, doc! { "Timestamp": 1, "EventStream": 1 }] {
            let map = shard_map("EventStream", &doc! { "key": other }, &chunks);
            assert!(!map.by_stream && map.shards().len() == 2, "{map:?}");
        }
        let undivided = on_one_shard(Some(&doc! { "_id": "Squidex", "primary": "rs1" }));
        assert_eq!(undivided.shards()[0].shard, "rs1");
    }
}
