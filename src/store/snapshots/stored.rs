//! Reads of collections of snapshots.

use std::collections::HashMap;

use bson::{Bson, RawDocumentBuf, doc};
use futures::TryStreamExt;
use mongodb::Collection;
use statefold_projections::Layout;

use crate::error::Result;
use crate::store::connection::{LONG_CALL_SECONDS, Snapshots, call, call_within, number_of, read_concern};
use crate::store::events::EventStore;

impl Snapshots<'_> {
    /// A collection of snapshots as a source, to be read in natural order like an event store.
    pub(crate) fn as_source(self, collection: &str, like: &EventStore) -> EventStore {
        let mut source = like.clone();
        source.db = self.store.database_of(collection).clone();
        source.layout = Layout {
            collection: collection.to_owned(),
            stream: "_id".to_owned(),
            timestamp: None,
            ..like.layout.clone()
        };
        source
    }

    /// The number of documents whose `_id` isn't a string: they can't be snapshots.
    ///
    /// # Errors
    /// The server's error.
    pub(crate) async fn count_foreign(self, collection: &str) -> Result<u64> {
        let command = doc! {
            "count": collection, "query": { "_id": { "$not": { "$type": "string" } } },
            "readConcern": read_concern(None),
        };
        let db = self.store.database_of(collection).clone();
        let count = async move { db.run_command(command).await };
        let reply = call_within(LONG_CALL_SECONDS, "counting documents that are no snapshots", count).await?;
        Ok(reply.get("n").and_then(number_of).and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    /// Whether there is a document whose `_id` isn't a string: two looks at the ends of the index.
    ///
    /// # Errors
    /// The server's error.
    pub(crate) async fn has_foreign(self, collection: &str) -> Result<bool> {
        // Bounds of an index, unlike conditions, include the other types: strings lie between "" and {}.
        let below = doc! { "min": { "_id": Bson::MinKey }, "max": { "_id": "" } };
        let above = doc! { "min": { "_id": {} }, "max": { "_id": Bson::MaxKey } };
        for bounds in [below, above] {
            let mut command = doc! {
                "find": collection, "hint": { "_id": 1 }, "projection": { "_id": 1 }, "limit": 1,
                "singleBatch": true, "readConcern": read_concern(None),
            };
            command.extend(bounds);
            let doing = "looking for documents that are no snapshots";
            let reply = self.store.command_for(collection, doing, command).await?;
            let found = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
            if found.is_ok_and(|found| !found.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The documents with these ids, by their ids.
    ///
    /// # Errors
    /// The server's error.
    pub(crate) async fn of(self, collection: &str, ids: &[&str]) -> Result<HashMap<String, RawDocumentBuf>> {
        let collection: Collection<RawDocumentBuf> =
            self.store.database_of(collection).collection(collection);
        let filter = doc! { "_id": { "$in": ids } };
        let find = async move { collection.find(filter).await?.try_collect::<Vec<_>>().await };
        let found = call("reading snapshots", find).await?;
        let by_id = |document: RawDocumentBuf| Some((document.get_str("_id").ok()?.to_owned(), document));
        Ok(found.into_iter().filter_map(by_id).collect())
    }
}
