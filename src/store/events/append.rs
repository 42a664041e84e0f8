//! Inserts one commit, and tells why it was refused.

use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::IndexModel;
use mongodb::error::{Error as DriverError, ErrorKind, WriteError, WriteFailure};
use mongodb::options::{Collation, IndexOptions};

use crate::error::{Error, Result};
use crate::store::connection::{DUPLICATE_KEY, Events, VALIDATION_FAILED, call, classify, number_of};
use crate::store::control::Fence;

const DOING: &str = "appending to the event store";

/// Outcome of the insert of a commit.
pub(crate) enum Inserted {
    /// The commit was inserted.
    Done,
    /// The place is taken, by another commit or by this one, which was inserted before.
    Taken,
    /// A fence of ours refused it.
    Fenced(Fence),
    /// A validator refused it. `surely`: the validator certainly isn't a fence of ours; else it was none when
    /// it was read a moment later.
    Refused { error: Error, surely: bool },
}

impl Events<'_> {
    /// Ensures that no two commits of a stream can have the same offset: creates the unique index with the
    /// event store, or checks that it exists.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the event store exists without such an index.
    pub(crate) async fn prepare_append(self) -> Result<()> {
        let events = self.store.collection(&self.store.layout.collection);
        let (stream, offset) = (self.store.layout.stream.clone(), self.store.layout.offset.clone());
        if !self.store.has_events().await? {
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
            "{collection} has no unique index on {{{stream}: 1, {offset}: -1}}: two writers could give the \
             same \
             number to different events"
        )))
    }

    /// The number of a stream's last event.
    pub(crate) async fn stream_head(self, stream: &str) -> Result<Option<i64>> {
        let layout = &self.store.layout;
        let events = self.store.collection(&layout.collection);
        let pipeline = [
            doc! { "$match": { &layout.stream: stream } },
            doc! { "$sort": { &layout.offset: -1 } },
            doc! { "$limit": 1 },
            doc! { "$project": {
                "offset": format!("${}", layout.offset), "count": { "$size": format!("${}", layout.events) },
            } },
        ];
        let simple = Collation::builder().locale("simple").build();
        let find = async move { events.aggregate(pipeline).collation(simple).await?.try_next().await };
        let Some(last) = call("looking for the stream's last event", find).await? else { return Ok(None) };
        let number = |name: &str| last.get(name).and_then(number_of);
        match number("offset").zip(number("count")) {
            Some((offset, count)) => Ok(Some(layout.first_number(offset) + count - 1)),
            None => Err(Error::Mismatch(format!("the last commit of {stream} has no offset"))),
        }
    }

    /// The id of the commit that follows this event of a stream.
    pub(crate) async fn commit_behind(self, stream: &str, head: i64) -> Result<Option<Bson>> {
        let events = self.store.collection(&self.store.layout.collection);
        let layout = &self.store.layout;
        let filter = doc! { &layout.stream: stream, &layout.offset: layout.offset_behind(head) };
        let find = async move { events.find_one(filter).projection(doc! { "_id": 1 }).await };
        let found = call("looking for the commit", find).await?;
        Ok(found.and_then(|mut commit| commit.remove("_id")))
    }

    /// Inserts a commit, acknowledged by a majority.
    ///
    /// # Errors
    /// Errors of the server other than the refusals in [`Inserted`].
    pub(crate) async fn insert_commit(self, commit: Document) -> Result<Inserted> {
        let events = self.store.collection(&self.store.layout.collection);
        let insert = async move { Ok(events.insert_one(commit).await.map(|_| ())) };
        let Err(error) = call(DOING, insert).await? else { return Ok(Inserted::Done) };
        match write_error(&error) {
            Some(write) if write.code == DUPLICATE_KEY => Ok(Inserted::Taken),
            Some(write) if write.code == VALIDATION_FAILED => match &write.details {
                Some(details) => Ok(match Fence::in_error_details(details) {
                    Some(fence) => Inserted::Fenced(fence),
                    None => Inserted::Refused { error: classify(DOING, error), surely: true },
                }),
                // Servers before 5.0 don't say which validator refused it.
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
