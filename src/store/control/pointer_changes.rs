//! Changes of the pointers: a change stream on the control document, where the server has change streams.

use std::time::Duration;

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::change_stream::ChangeStream;
use mongodb::options::{AggregateOptions, ReadConcern};

use crate::error::{Error, Result};
use crate::plan::Topology;
use crate::store::connection::{Control, call, check_format, classify};
use crate::store::control::pointer::{ActiveGeneration, active_in};

/// Time the server waits for a change before it replies that there is none.
const AWAIT: Duration = Duration::from_secs(1);
/// Time its reply may take beyond that: a dead connection never gives one.
const ANSWER: Duration = Duration::from_secs(30);

/// The change stream of the control document.
pub(crate) struct PointerChanges(ChangeStream<Document>);

impl Control<'_> {
    /// The pointer of a projection, read with majority read concern: an election can't roll it back.
    pub(crate) async fn pointer(self, projection: &str) -> Result<Option<ActiveGeneration>> {
        let control = self.store.collection(&self.store.names.collection);
        let pipeline = [doc! { "$match": { "_id": &self.store.names.control_id } }];
        let options = AggregateOptions::builder().read_concern(ReadConcern::majority()).build();
        let find = async move { control.aggregate(pipeline).with_options(options).await?.try_next().await };
        let Some(control) = call("reading the pointer", find).await? else { return Ok(None) };
        check_format(&control, "the control document")?;
        active_in(&control, projection)
    }

    /// Opens the change stream of the pointers, from now on. `None` if the server has no change streams, or
    /// this user may not open them.
    pub(crate) async fn pointer_changes(self) -> Result<Option<PointerChanges>> {
        if self.store.facts.topology == Topology::Standalone {
            return Ok(None);
        }
        let control = self.store.collection(&self.store.names.collection);
        let pipeline = [
            doc! { "$match": { "documentKey._id": &self.store.names.control_id } },
            doc! { "$project": { "operationType": 1, "updateDescription": 1 } },
        ];
        let open = async move {
            let watch = control.watch().pipeline(pipeline).max_await_time(AWAIT);
            Ok(watch.await?.with_type::<Document>())
        };
        match call("watching the pointer", open).await {
            Ok(changes) => Ok(Some(PointerChanges(changes))),
            Err(Error::Permission { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl PointerChanges {
    /// Waits for a change, at most a second. Returns whether a pointer may have changed.
    ///
    /// # Errors
    /// The server's error; the change stream has to be reopened then.
    pub(crate) async fn next(&mut self) -> Result<bool> {
        let doing = "watching the pointer";
        match tokio::time::timeout(AWAIT + ANSWER, self.0.next_if_any()).await {
            Ok(Ok(Some(change))) => Ok(moves_a_pointer(&change)),
            Ok(Ok(None)) if self.0.is_alive() => Ok(false),
            Ok(Ok(None)) => Err(Error::Mismatch("the control document's collection was dropped".into())),
            Ok(Err(error)) => Err(classify(doing, error)),
            Err(_) => Err(Error::Deadline { doing: doing.to_owned(), seconds: (AWAIT + ANSWER).as_secs() }),
        }
    }
}

/// Whether a change of the control document may concern a pointer: most are renewals of the lease.
fn moves_a_pointer(change: &Document) -> bool {
    let Ok(update) = change.get_document("updateDescription") else { return true };
    let set = update.get_document("updatedFields").ok();
    let set = set.into_iter().flat_map(Document::keys).map(String::as_str);
    let removed = update.get_array("removedFields").ok();
    let removed = removed.into_iter().flatten().filter_map(bson::Bson::as_str);
    set.chain(removed).any(|name| name.split('.').next() == Some("Generations"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_of_the_lease_moves_no_pointer() {
        let update = |set: Document, removed: Vec<&str>| {
            let description = doc! { "updatedFields": set, "removedFields": removed };
            doc! { "operationType": "update", "updateDescription": description }
        };
        assert!(!moves_a_pointer(&update(doc! { "Lease.Beat": 7 }, vec!["Fence"])));
        assert!(moves_a_pointer(&update(doc! { "LeaseToken": 7, "Generations.Assets": {} }, vec![])));
        assert!(moves_a_pointer(&update(doc! {}, vec!["Generations"])));
        assert!(moves_a_pointer(&doc! { "operationType": "insert" }));
    }
}
