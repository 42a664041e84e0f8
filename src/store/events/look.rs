//! Looks into an event store for the author of a projection: types of events, and single streams.

use bson::{Document, RawDocumentBuf, doc};
use futures::TryStreamExt;

use crate::error::Result;
use crate::store::connection::{Events, LONG_CALL_SECONDS, call, call_within};

/// Stream of a commit, and the types of its events.
pub(crate) type TypesOfCommit = (String, Vec<String>);

impl Events<'_> {
    /// Stream and types of so many random commits; of all, if there are fewer. What is no commit of the
    /// layout is left out.
    pub(crate) async fn sampled_types(self, commits: u32) -> Result<Vec<TypesOfCommit>> {
        let layout = &self.store.layout;
        let pipeline = [
            doc! { "$sample": { "size": i64::from(commits) } },
            doc! { "$project": {
                "_id": 0, "s": format!("${}", layout.stream),
                "t": format!("${}.{}", layout.events, layout.event_type),
            } },
        ];
        let events = self.store.collection(&layout.collection);
        let sample = async move { events.aggregate(pipeline).await?.try_collect::<Vec<Document>>().await };
        let found = call_within(LONG_CALL_SECONDS, "sampling the event store", sample).await?;
        let read = |commit: Document| {
            let types = commit.get_array("t").ok()?.iter().filter_map(bson::Bson::as_str);
            Some((commit.get_str("s").ok()?.to_owned(), types.map(str::to_owned).collect()))
        };
        Ok(found.into_iter().filter_map(read).collect())
    }

    /// The first commits of a stream, in order; all of them if `limit` is 0.
    pub(crate) async fn commits_of(self, stream: &str, limit: i64) -> Result<Vec<RawDocumentBuf>> {
        let layout = &self.store.layout;
        let events = self.store.db.collection::<RawDocumentBuf>(&layout.collection);
        let (filter, order) = (doc! { &layout.stream: stream }, doc! { &layout.offset: 1 });
        let find = async move { events.find(filter).sort(order).limit(limit).await?.try_collect().await };
        call("reading the stream", find).await
    }
}
