//! What streams left in a build before they are refolded, and the revisions of their partitions.
//!
//! The checkpoints are read first. All else is read while the streams are read and folded: a replacement
//! is made only if the checkpoints still have these revisions then, and nothing changes without them.

use std::collections::{BTreeMap, HashMap, HashSet};

use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::lifecycle::stream_hash;
use crate::pipeline::ports::{Before, RefoldPart};
use crate::store::builds::BuildStore;
use crate::store::connection::{read_concern, readable};
use crate::store::records::{CHECKPOINTS, Checkpoint, FAILED_STREAMS};

/// What there is before streams are refolded.
pub(crate) struct BeforeRefold {
    /// The checkpoints of their partitions.
    pub(in crate::store) checkpoints: BTreeMap<u32, Checkpoint>,
    since: Option<Timestamp>,
    left: JoinHandle<Result<Left>>,
}

/// What the streams left behind when they were folded last.
pub(in crate::store) struct Left {
    /// Snapshots, by target.
    pub(in crate::store) snapshots: Vec<HashMap<String, RawDocumentBuf>>,
    /// Recorded heads by hash.
    pub(in crate::store) heads: HashMap<u64, i64>,
    /// Names of those that are failed streams.
    pub(in crate::store) dead: HashSet<String>,
}

impl Before for BeforeRefold {
    fn since(&self) -> Option<Timestamp> {
        self.since
    }
}

impl BeforeRefold {
    /// The rest of it.
    pub(in crate::store) async fn left(self) -> Result<(BTreeMap<u32, Checkpoint>, Left)> {
        let left = self.left.await.map_err(|error| Error::Bug(error.to_string()))??;
        Ok((self.checkpoints, left))
    }
}

impl BuildStore {
    /// Looks at the partitions of streams that are about to be refolded.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process took the build over; what the server said.
    pub(in crate::store) async fn before_refold(&self, parts: &[RefoldPart]) -> Result<BeforeRefold> {
        self.mandate.check()?;
        let (checkpoints, since) = self.checkpoints_of(parts.iter().map(|part| part.partition)).await?;
        let ours = |checkpoint: &Checkpoint| checkpoint.done && checkpoint.token == self.record.token;
        if checkpoints.len() != parts.len() || !checkpoints.values().all(ours) {
            return Err(self.fenced("the checkpoints"));
        }
        let (build, parts, bits) = (self.clone(), parts.to_vec(), checkpoints.clone());
        let left = tokio::spawn(async move { build.left(&parts, &bits, since).await });
        Ok(BeforeRefold { checkpoints, since, left })
    }

    /// The checkpoints of some partitions, and the server's time of them.
    pub(in crate::store) async fn checkpoints_of(
        &self,
        partitions: impl Iterator<Item = u32>,
    ) -> Result<(BTreeMap<u32, Checkpoint>, Option<Timestamp>)> {
        let ids: Vec<String> = partitions.map(|partition| self.checkpoint_id(partition)).collect();
        let size = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let command = doc! {
            "find": CHECKPOINTS, "filter": { "_id": { "$in": ids } }, "batchSize": size, "singleBatch": true,
            "readConcern": read_concern(None),
        };
        let reply = self.store.command("reading the checkpoints", command).await?;
        let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
        let found = batch.into_iter().flatten().filter_map(Bson::as_document).cloned();
        let read = |found: Document| readable::<Checkpoint>(found, "a checkpoint");
        let checkpoints: Result<Vec<Checkpoint>> = found.map(read).collect();
        let by_partition = checkpoints?.into_iter().map(|one| (one.partition, one)).collect();
        Ok((by_partition, reply.get_timestamp("operationTime").ok()))
    }

    async fn left(
        &self,
        parts: &[RefoldPart],
        checkpoints: &BTreeMap<u32, Checkpoint>,
        since: Option<Timestamp>,
    ) -> Result<Left> {
        let streams: Vec<&String> = parts.iter().flat_map(|part| &part.streams).collect();
        let ids: Vec<&str> =
            streams.iter().filter_map(|stream| stream.strip_prefix(self.prefix.as_str())).collect();
        let targets = (0..self.record.targets.len()).filter_map(|target| self.collection_of(target));
        let snapshots = targets.map(|collection| {
            let filter = doc! { "_id": { "$in": &ids } };
            self.find_since(collection, filter, since)
        });
        let letters: Vec<String> = streams.iter().map(|stream| self.letter_id(stream)).collect();
        let letters = self.find_since(FAILED_STREAMS, doc! { "_id": { "$in": letters } }, since);
        let wanted: Vec<(u32, u32, Vec<u64>)> = parts
            .iter()
            .map(|part| {
                let bits = checkpoints.get(&part.partition).map_or(0, |checkpoint| checkpoint.head_bits);
                let hashes = part.streams.iter().map(|stream| stream_hash(stream));
                (part.partition, bits, hashes.chain(part.gone.iter().copied()).collect())
            })
            .collect();
        let heads = self.heads_of_streams(&wanted, since);
        let snapshots = futures::future::try_join_all(snapshots);
        let (snapshots, letters, heads) = futures::try_join!(snapshots, letters, heads)?;
        let by_id = |documents: Vec<RawDocumentBuf>| {
            let id = |one: &RawDocumentBuf| one.get_str("_id").unwrap_or_default().to_owned();
            documents.into_iter().map(|one| (id(&one), one)).collect()
        };
        let stream = |letter: &RawDocumentBuf| letter.get_str("Stream").ok().map(str::to_owned);
        Ok(Left {
            snapshots: snapshots.into_iter().map(by_id).collect(),
            heads,
            dead: letters.iter().filter_map(stream).collect(),
        })
    }
}
