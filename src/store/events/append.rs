//! Inserting one commit, and telling why it was refused.

use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::IndexModel;
use mongodb::error::{Error as DriverError, ErrorKind, WriteError, WriteFailure};
use mongodb::options::IndexOptions;

use crate::error::{Error, Result};
use crate::store::connection::{Events, call, classify, number_of};
use crate::store::control::Fence;

const DOING: &str = "appending to the event store";
/// A document with this key exists.
const DUPLICATE_KEY: i32 = 11000;
/// A validator refused the document.
const REFUSED: i32 = 121;

/// How the insert of a commit ended.
pub(crate) enum Inserted {
    /// It is there.
    Done,
    /// Another commit has its place, or it was there already.
    Taken,
    /// A fence of ours refused it.
    Fenced(Fence),
    /// A validator refused it, which surely isn't a fence of ours, or wasn't a moment later.
    Refused { error: Error, surely: bool },
}

impl Events<'_> {
    /// Makes sure that no two commits of a stream can have the same offset.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if an event store is there that doesn't.
    pub(crate) async fn prepare_append(self) -> Result<()> {
        let events = self.store.collection(&self.store.layout.collection);
        let (stream, offset) = (self.store.layout.stream.clone(), self.store.layout.offset.clone());
        if !self.store.collection_names().await?.contains(&self.store.layout.collection) {
            let unique = IndexOptions::builder().unique(true).build();
            let index = IndexModel::builder().keys(doc! { &stream: 1, &offset: -1 }).options(unique).build();
            return call("making the event store", async move { events.create_index(index).await })
                .await
                .map(|_| ());
        }
        let list = async move { events.list_indexes().await?.try_collect::<Vec<IndexModel>>().await };
        let indexes = call("listing the event store's indexes", list).await?;
        let is_unique = |index: &IndexModel| {
            let unique = index.options.as_ref().is_some_and(|options| {
                options.unique == Some(true) && options.partial_filter_expression.is_none()
            });
            let keys = &index.keys;
            unique && keys.len() == 2 && keys.contains_key(&stream) && keys.contains_key(&offset)
        };
        if indexes.iter().any(is_unique) {
            return Ok(());
        }
        let collection = &self.store.layout.collection;
        Err(Error::Unsupported(format!(
            "{collection} has no unique index on {{{stream}: 1, {offset}: -1}}: two writers could give the same \
             number to different events"
        )))
    }

    /// Number of a stream's last event.
    pub(crate) async fn stream_head(self, stream: &str) -> Result<Option<i64>> {
        let layout = &self.store.layout;
        let events = self.store.collection(&layout.collection);
        let pipeline = [
            doc! { "$match": { &layout.stream: stream } },
            doc! { "$sort": { &layout.offset: -1 } },
            doc! { "$limit": 1 },
            doc! { "$project": { "offset": format!("${}", layout.offset), "count": { "$size": format!("${}", layout.events) } } },
        ];
        let find = async move { events.aggregate(pipeline).await?.try_next().await };
        let Some(last) = call("looking for the stream's last event", find).await? else { return Ok(None) };
        let number = |name: &str| last.get(name).and_then(number_of);
        match number("offset").zip(number("count")) {
            Some((offset, count)) => Ok(Some(layout.first_number(offset) + count - 1)),
            None => Err(Error::Mismatch(format!("the last commit of {stream} has no offset"))),
        }
    }

    /// Id of the commit that comes behind this event of a stream.
    pub(crate) async fn commit_behind(self, stream: &str, head: i64) -> Result<Option<Bson>> {
        let events = self.store.collection(&self.store.layout.collection);
        let filter = doc! { &self.store.layout.stream: stream, &self.store.layout.offset: self.store.layout.offset_behind(head) };
        let find = async move { events.find_one(filter).projection(doc! { "_id": 1 }).await };
        let found = call("looking for the commit", find).await?;
        Ok(found.and_then(|mut commit| commit.remove("_id")))
    }

    /// Inserts a commit, acknowledged by a majority.
    ///
    /// # Errors
    /// What the server said, but for what [`Inserted`] tells.
    pub(crate) async fn insert_commit(self, commit: Document) -> Result<Inserted> {
        let events = self.store.collection(&self.store.layout.collection);
        let insert = async move { Ok(events.insert_one(commit).await.map(|_| ())) };
        let Err(error) = call(DOING, insert).await? else { return Ok(Inserted::Done) };
        match write_error(&error) {
            Some(write) if write.code == DUPLICATE_KEY => Ok(Inserted::Taken),
            Some(write) if write.code == REFUSED => match &write.details {
                Some(details) => Ok(match Fence::in_error_details(details) {
                    Some(fence) => Inserted::Fenced(fence),
                    None => Inserted::Refused { error: classify(DOING, error), surely: true },
                }),
                // Before 5.0 the server doesn't say what refused it.
                None => Ok(match self.store.control().fence().await? {
                    Some(fence) => Inserted::Fenced(fence),
                    None => Inserted::Refused { error: classify(DOING, error), surely: false },
                }),
            },
            _ => Err(classify(DOING, error)),
        }
    }
}

fn write_error(error: &DriverError) -> Option<&WriteError> {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write),
        _ => None,
    }
}
