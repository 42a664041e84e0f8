//! What a build has recorded, removed: of one partition, or all of it.

use bson::doc;

use crate::error::Result;
use crate::store::builds::BuildStore;
use crate::store::connection::call;
use crate::store::records::{CHECKPOINTS, FAILED_STREAMS, HEADS, ids_of};

impl BuildStore {
    /// Resets the checkpoint of a partition, and removes its heads and failed streams. False if this process
    /// has finished it, and only the answer was lost: then nothing changes.
    pub(in crate::store) async fn forget(&self, partition: u32) -> Result<bool> {
        self.mandate.check()?;
        // The checkpoint first: nothing else of a partition counts unless it is done.
        let checkpoints = self.store.collection(CHECKPOINTS);
        let mut filter = self.own_checkpoint(partition);
        if self.claims.is_some() {
            filter.insert("Done", false);
        }
        let reset = async move {
            checkpoints
                .update_one(filter, doc! { "$set": { "Done": false }, "$unset": { "DoneBy": "" } })
                .await
        };
        if call("clearing a partition", reset).await?.matched_count == 0 {
            return if self.is_finished_here(partition).await? {
                Ok(false)
            } else {
                Err(self.fenced("the checkpoints"))
            };
        }
        let heads = doc! { "_id": ids_of(&self.record.id, Some(partition)) };
        let failed_streams = doc! { "Build": &self.record.id, "Partition": partition };
        for (name, mut filter) in [(HEADS, heads), (FAILED_STREAMS, failed_streams)] {
            let collection = self.store.collection(name);
            filter.insert("Token", doc! { "$lte": self.record.token });
            if let Some(number) = self.claim_number(partition) {
                // What a later claimant wrote stays.
                filter.insert("Claims", doc! { "$not": { "$gt": number } });
            }
            self.mandate.check()?;
            call("clearing a partition", async move { collection.delete_many(filter).await }).await?;
        }
        Ok(true)
    }

    /// Removes the checkpoints, heads and failed streams of the build.
    pub(crate) async fn forget_all(&self) -> Result<()> {
        let of_build = || doc! { "Build": &self.record.id };
        let heads = doc! { "_id": ids_of(&self.record.id, None) };
        for (name, filter) in [(CHECKPOINTS, of_build()), (HEADS, heads), (FAILED_STREAMS, of_build())] {
            let collection = self.store.collection(name);
            call("clearing the build's records", async move { collection.delete_many(filter).await }).await?;
        }
        Ok(())
    }
}
