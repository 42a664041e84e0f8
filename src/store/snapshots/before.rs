//! The prior state of streams in a build, read before they are refolded, with the revisions of their
//! partitions.
//!
//! The checkpoints are read first, the rest while the streams are read and folded: a replacement is made only
//! if the checkpoints still have these revisions, and every change of ours changes a revision. What the
//! application may write as well is read before the streams are, with nothing beside it: its writes change no
//! revision, and only so does the fold include the events of what was there.

use std::collections::{BTreeMap, HashMap, HashSet};

use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::lifecycle::{Head, stream_hash};
use crate::pipeline::ports::{Before, RefoldPart};
use crate::store::builds::BuildStore;
use crate::store::connection::{read_concern, readable};
use crate::store::records::{CHECKPOINTS, Checkpoint, FAILED_STREAMS};

/// The state of a build before streams are refolded.
pub(crate) struct BeforeRefold {
    /// The checkpoints of the streams' partitions.
    pub(in crate::store) checkpoints: BTreeMap<u32, Checkpoint>,
    since: Option<Timestamp>,
    prior: JoinHandle<Result<Option<PriorState>>>,
}

/// The results of the last fold of some streams.
pub(in crate::store) struct PriorState {
    /// Snapshots, by target.
    pub(in crate::store) snapshots: Vec<HashMap<String, RawDocumentBuf>>,
    /// Recorded heads by hash.
    pub(in crate::store) heads: HashMap<u64, Head>,
    /// Names of the failed streams among them.
    pub(in crate::store) failed_streams: HashSet<String>,
}

impl Before for BeforeRefold {
    fn since(&self) -> Option<Timestamp> {
        self.since
    }
}

impl BeforeRefold {
    /// Awaits the prior state; `None` if it has too many bytes. Returns it with the checkpoints.
    pub(in crate::store) async fn prior(self) -> Result<(BTreeMap<u32, Checkpoint>, Option<PriorState>)> {
        let prior = self.prior.await.map_err(|error| Error::Bug(error.to_string()))??;
        Ok((self.checkpoints, prior))
    }
}

impl BuildStore {
    /// Reads the checkpoints of streams that are about to be refolded, and begins to read their prior state.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process took the build over; the server's error.
    pub(in crate::store) async fn before_refold(
        &self,
        parts: &[RefoldPart],
        bytes_max: usize,
    ) -> Result<BeforeRefold> {
        self.mandate.check()?;
        let (checkpoints, since) = self.checkpoints_of(parts.iter().map(|part| part.partition)).await?;
        let ours = |checkpoint: &Checkpoint| checkpoint.done && checkpoint.token == self.record.token;
        if checkpoints.len() != parts.len() || !checkpoints.values().all(ours) {
            return Err(self.fenced("the checkpoints"));
        }
        let (build, parts, bits) = (self.clone(), parts.to_vec(), checkpoints.clone());
        let prior = tokio::spawn(async move { build.prior_state(&parts, &bits, since, bytes_max).await });
        if !self.is_shared() {
            return Ok(BeforeRefold { checkpoints, since, prior });
        }
        let read = prior.await.map_err(|error| Error::Bug(error.to_string()))?;
        let since = self.store.operation_time().await?;
        Ok(BeforeRefold { checkpoints, since, prior: tokio::spawn(async move { read }) })
    }

    /// Whether the application may write the snapshots as well.
    pub(in crate::store) fn is_shared(&self) -> bool {
        !self.record.state.is_resumable()
    }

    /// The checkpoints of some partitions, and the operation time at which they were read.
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
        let by_partition =
            checkpoints?.into_iter().map(|checkpoint| (checkpoint.partition, checkpoint)).collect();
        Ok((by_partition, reply.get_timestamp("operationTime").ok()))
    }

    async fn prior_state(
        &self,
        parts: &[RefoldPart],
        checkpoints: &BTreeMap<u32, Checkpoint>,
        since: Option<Timestamp>,
        bytes_max: usize,
    ) -> Result<Option<PriorState>> {
        let streams: Vec<&String> = parts.iter().flat_map(|part| &part.streams).collect();
        let ids: Vec<&str> =
            streams.iter().filter_map(|stream| stream.strip_prefix(self.prefix.as_str())).collect();
        let targets = (0..self.record.targets.len()).filter_map(|target| self.collection_of(target));
        let snapshots = targets.map(|collection| {
            let filter = doc! { "_id": { "$in": &ids } };
            self.find_since(collection, filter, since, bytes_max)
        });
        let failed_ids: Vec<String> = streams.iter().map(|stream| self.failed_stream_id(stream)).collect();
        let failed_streams =
            self.find_since(FAILED_STREAMS, doc! { "_id": { "$in": failed_ids } }, since, usize::MAX);
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
        let (snapshots, failed_streams, heads) = futures::try_join!(snapshots, failed_streams, heads)?;
        let failed_streams = failed_streams.unwrap_or_default();
        let snapshots: Option<Vec<Vec<RawDocumentBuf>>> = snapshots.into_iter().collect();
        let Some(snapshots) = snapshots else { return Ok(None) };
        let by_id = |documents: Vec<RawDocumentBuf>| {
            let id = |document: &RawDocumentBuf| document.get_str("_id").unwrap_or_default().to_owned();
            documents.into_iter().map(|document| (id(&document), document)).collect()
        };
        let stream = |failed: &RawDocumentBuf| failed.get_str("Stream").ok().map(str::to_owned);
        Ok(Some(PriorState {
            snapshots: snapshots.into_iter().map(by_id).collect(),
            heads,
            failed_streams: failed_streams.iter().filter_map(stream).collect(),
        }))
    }
}
