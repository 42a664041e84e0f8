//! A batch of commits, in the server's encoding.

use bson::{RawArray, RawBson, RawDocument};
use mongodb::raw_batch_cursor::RawBatch;

use crate::error::Result;
use crate::fold::Documents;
use crate::pipeline::ports::RawCommits;
use crate::store::connection::classify;

/// A batch of the driver, with a limit of documents.
pub(in crate::store) struct Batch {
    raw: RawBatch,
    limit: usize,
}

impl Batch {
    pub(in crate::store) fn new(raw: RawBatch) -> Self {
        Self { raw, limit: usize::MAX }
    }

    /// Record id up to which the batch has been read, if its reply tells.
    pub(in crate::store) fn read_up_to(&self) -> Option<i64> {
        read_up_to(self.raw.as_raw_document())
    }

    /// Cuts the batch after the document with this `_id` and returns true, if the batch reaches this record.
    pub(in crate::store) fn cut_behind(&mut self, record: i64, id: &RawBson) -> bool {
        if read_up_to(self.raw.as_raw_document()).is_none_or(|read| read < record) {
            return false;
        }
        let is_it = |document: Option<&RawDocument>| {
            document.is_some_and(|document| document.get("_id").ok().flatten() == Some(id.as_raw_bson_ref()))
        };
        // If the document is gone, the next part reads the rest of this batch again.
        let found = self.raw.doc_slices().ok().and_then(|batch| Documents::of(batch).position(is_it));
        self.limit = found.map_or(usize::MAX, |position| position + 1);
        true
    }
}

impl RawCommits for Batch {
    fn documents(&self) -> Result<&RawArray> {
        self.raw.doc_slices().map_err(|error| classify("reading the event store", error))
    }

    fn limit(&self) -> usize {
        self.limit
    }
}

/// Record id up to which a batch has been read, from its resume token.
fn read_up_to(reply: &RawDocument) -> Option<i64> {
    let token = reply.get_document("cursor").ok()?.get_document("postBatchResumeToken").ok()?;
    token.get_i64("$recordId").ok()
}
