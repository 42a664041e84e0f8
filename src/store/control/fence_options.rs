//! The options of the event store in which a fence stands: read, changed, and made durable.

use std::time::Duration;

use bson::{Document, Timestamp, doc};
use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::store::connection::{Control, INDEX_BUILD, OUT_OF_TIME, call, refused_writes};
use crate::store::control::fence_record::{Fence, record_in};

/// Time in which a majority has to confirm the fence.
const DURABLE_WAIT: Duration = Duration::from_secs(1);
/// A majority didn't confirm a write in time (`WriteConcernFailed`).
const NOT_DURABLE: i32 = 64;

impl Control<'_> {
    /// Waits until a majority of the members has the options that were changed, at this time if the server
    /// tells one.
    pub(super) async fn durable(self, time: Option<Timestamp>) -> Result<()> {
        if time.is_none() {
            return Ok(());
        }
        // A write that changes nothing waits for the majority as well, and makes the server write its journal
        // at once, which a read that waits doesn't.
        let nothing =
            doc! { "q": { "_id": &self.store.names.control_id }, "u": { "$unset": { "Nothing": "" } } };
        let command = doc! {
            "update": &self.store.names.collection, "updates": [nothing],
            "writeConcern": {
                "w": "majority", "wtimeout": i64::try_from(DURABLE_WAIT.as_millis()).unwrap_or(i64::MAX),
            },
        };
        let doing = "waiting until the fence is durable";
        let reply = self.store.command(doing, command).await?;
        refused_writes(doing, &reply)
    }

    /// The validation options of the event store that are set.
    pub(super) async fn validation(self) -> Result<Document> {
        let (db, name) = (self.store.db.clone(), self.store.layout.collection.clone());
        let list = async move {
            let filter = doc! { "name": name };
            let command = doc! { "listCollections": 1, "filter": filter };
            db.run_cursor_command(command).await?.try_collect::<Vec<Document>>().await
        };
        let found = call("reading the event store's options", list).await?;
        let options = found.first().and_then(|collection| collection.get_document("options").ok());
        let is_validation = |name: &str| name == "validator" || name.starts_with("validation");
        let options = options.into_iter().flatten().filter(|(name, _)| is_validation(name));
        Ok(options.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    pub(super) async fn change_options(self, options: Document, wait: Duration) -> Result<Option<Timestamp>> {
        let mut command = doc! { "collMod": &self.store.layout.collection };
        command.extend(options);
        command.insert("maxTimeMS", i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        // Acknowledged by the primary: waiting for a majority within the same time limit would look like
        // waiting for a transaction. Who needs it waits for a majority afterwards.
        command.insert("writeConcern", doc! { "w": 1 });
        let reply = self.store.command("changing the event store's options", command).await?;
        Ok(reply.get_timestamp("operationTime").ok())
    }
}

/// The reason that the options can't be changed now, if it is a passing one.
pub(super) fn busy(error: &Error) -> Option<&'static str> {
    match error {
        Error::Server { code: Some(OUT_OF_TIME), .. } => Some("a transaction on the event store is open"),
        Error::Server { code: Some(INDEX_BUILD), .. } => Some("an index is being built on the event store"),
        Error::Server { code: Some(NOT_DURABLE), .. } => {
            Some("a majority of the members didn't confirm the fence in time")
        }
        _ => None,
    }
}

fn record_of(options: &Document) -> Option<&Document> {
    record_in(options.get_document("validator").ok()?)
}

pub(super) fn fence_of(options: &Document) -> Option<Fence> {
    record_of(options).map(Fence::read)
}

pub(super) fn is_fence(options: &Document) -> bool {
    record_of(options).is_some()
}

pub(super) fn former_of(options: &Document) -> Option<Document> {
    record_of(options)?.get_document("FormerOptions").ok().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::control::fence_record::MARK;

    #[test]
    fn a_fence_of_ours_carries_what_was_there_before() {
        let former = doc! { "validator": { "a": 1 }, "validationLevel": "moderate" };
        let record = doc! { MARK: "fence", "FormerOptions": former.clone() };
        let options = doc! { "validator": { "$expr": { "$and": [false, { "$literal": record }] } } };
        assert!(is_fence(&options));
        assert_eq!(former_of(&options), Some(former.clone()));
        assert!(!is_fence(&former) && !is_fence(&Document::new()));
    }
}
