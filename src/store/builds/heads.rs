//! `Statefold_Heads`: the last folded offset of each stream, in small documents by the hashes of their names.
//!
//! A partition's heads are in 2^bits *buckets* `{build}/{partition}/{bucket}`, by the first bits of the
//! hash, so that the heads of a few streams are found by id, however many there are. A later refold of a
//! stream doesn't change the buckets: it writes a document of its own, `{build}/{partition}/s{hash}`, which
//! takes precedence. All heads of a partition are in one range of ids.

use std::collections::{HashMap, HashSet};

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, RawDocumentBuf, Timestamp, doc, rawdoc};
use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::fold::Documents;
use crate::lifecycle::Heads;
use crate::pipeline::ports::Term;
use crate::store::builds::build::BuildStore;
use crate::store::connection::{FORMAT, LONG_CALL_SECONDS, call, call_within, insertion, read_concern};
use crate::store::records::{HEADS, bits_for, bucket_id, bucket_of, ids_of, refolded_id};

/// Buckets of one insert: some megabytes.
const BUCKETS_PER_INSERT: usize = 1000;

impl BuildStore {
    /// Writes the heads of a partition, acknowledged by the primary alone, and returns the terms.
    pub(in crate::store) async fn write_heads(
        &self,
        partition: u32,
        heads: &[(u64, i64)],
    ) -> Result<Vec<Term>> {
        let bits = bits_for(heads.len());
        let mut heads = heads.to_vec();
        heads.sort_unstable();
        let build = self.record.id.as_str();
        let same_bucket =
            |head: &(u64, i64), next: &(u64, i64)| bucket_of(head.0, bits) == bucket_of(next.0, bits);
        let buckets: Vec<RawDocumentBuf> = heads
            .chunk_by(same_bucket)
            .map(|chunk| {
                let bucket = chunk.first().map_or(0, |(hash, _)| bucket_of(*hash, bits));
                let packed = Binary { subtype: BinarySubtype::Generic, bytes: Heads::pack(chunk) };
                rawdoc! {
                    "_id": bucket_id(build, partition, bucket), "Format": FORMAT, "Build": build,
                    "Partition": i64::from(partition), "Token": self.record.token, "Heads": packed,
                }
            })
            .collect();
        let mut terms = Vec::new();
        for chunk in buckets.chunks(BUCKETS_PER_INSERT) {
            let documents: Vec<&[u8]> = chunk.iter().map(|bucket| bucket.as_bytes()).collect();
            // Always as a repeated insert: a bucket that exists already comes from a late write of a former
            // attempt.
            terms.push(insertion(&self.store.db, HEADS, "recording heads", &documents, true).await?);
        }
        Ok(terms)
    }

    /// All recorded heads of a partition.
    pub(in crate::store) async fn read_heads(&self, partition: u32) -> Result<Vec<(u64, i64)>> {
        let collection = self.store.db.collection::<RawDocumentBuf>(HEADS);
        let filter = doc! { "_id": ids_of(&self.record.id, Some(partition)) };
        let find = async move { collection.find(filter).await?.try_collect::<Vec<_>>().await };
        let documents = call_within(LONG_CALL_SECONDS, "reading heads", find).await?;
        Ok(self.merged(&documents)?.into_iter().collect())
    }

    /// The recorded heads of some streams, where there are any. `wanted`: partition, its bits, hashes.
    pub(in crate::store) async fn heads_of_streams(
        &self,
        wanted: &[(u32, u32, Vec<u64>)],
        since: Option<Timestamp>,
    ) -> Result<HashMap<u64, i64>> {
        let build = &self.record.id;
        let (mut ids, mut all) = (HashSet::new(), HashSet::new());
        for (partition, bits, hashes) in wanted {
            for hash in hashes {
                ids.insert(bucket_id(build, *partition, bucket_of(*hash, *bits)));
                ids.insert(refolded_id(build, *partition, *hash));
                all.insert(*hash);
            }
        }
        let ids: Vec<String> = ids.into_iter().collect();
        let documents = self.find_since(HEADS, doc! { "_id": { "$in": ids } }, since).await?;
        let mut heads = self.merged(&documents)?;
        heads.retain(|hash, _| all.contains(hash));
        Ok(heads)
    }

    /// Merged heads: the documents of refolded streams take precedence over the buckets.
    fn merged(&self, documents: &[RawDocumentBuf]) -> Result<HashMap<u64, i64>> {
        let broken = || Error::Mismatch(format!("the recorded heads of {} are broken", self.record.id));
        let (mut heads, mut refolded) = (HashMap::new(), Vec::new());
        for document in documents {
            if let Ok(hash) = document.get_i64("Hash") {
                refolded.push((hash.cast_unsigned(), document.get_i64("Head").ok()));
                continue;
            }
            let packed = document.get_binary("Heads").ok().and_then(|packed| Heads::unpack(packed.bytes));
            heads.extend(packed.ok_or_else(broken)?);
        }
        for (hash, head) in refolded {
            match head {
                Some(head) => heads.insert(hash, head),
                // The stream was deleted.
                None => heads.remove(&hash),
            };
        }
        Ok(heads)
    }

    /// Documents of a collection, read with majority read concern after an operation time.
    pub(in crate::store) async fn find_since(
        &self,
        collection: &str,
        filter: Document,
        since: Option<Timestamp>,
    ) -> Result<Vec<RawDocumentBuf>> {
        let command = doc! { "find": collection, "filter": filter, "readConcern": read_concern(since) };
        let db = self.store.db.clone();
        let find = async move {
            let mut batches = db.run_cursor_command(command).batch().await?;
            // The stored bytes: digests are computed from them.
            let mut found = Vec::new();
            while let Some(batch) = batches.try_next().await? {
                let documents = Documents::of(batch.doc_slices()?);
                found.extend(documents.map(|entry| entry.map(|(_, document)| document.to_owned())));
            }
            Ok(found)
        };
        let found = call("reading what was folded", find).await?;
        let broken = || Error::Mismatch("the server sent a broken batch".into());
        found.into_iter().map(|document| document.ok_or_else(broken)).collect()
    }

    /// The update that writes the head of a refolded stream.
    pub(in crate::store) fn refolded_head(&self, partition: u32, hash: u64, head: Option<i64>) -> Document {
        let build = &self.record;
        doc! {
            "q": { "_id": refolded_id(&build.id, partition, hash) }, "upsert": true,
            "u": { "$set": {
                "Format": FORMAT, "Build": &build.id, "Partition": i64::from(partition), "Token": build.token,
                "Hash": hash.cast_signed(), "Head": head.map_or(Bson::Null, Bson::Int64),
            } },
        }
    }
}
