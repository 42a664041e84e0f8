//! `Statefold_Heads`: how far each stream was folded, in small documents by the hashes of their names.
//!
//! A partition's heads are in 2^bits *buckets* `{build}/{partition}/{bucket}`, the bits being the first
//! ones of the hash, so that the heads of a few streams are found by id, whatever the number of all.
//! What is refolded later leaves the buckets alone: it writes a document of its own,
//! `{build}/{partition}/s{hash}`, which counts. Everything of a partition is one range of ids.

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
            |one: &(u64, i64), next: &(u64, i64)| bucket_of(one.0, bits) == bucket_of(next.0, bits);
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
        for some in buckets.chunks(BUCKETS_PER_INSERT) {
            let documents: Vec<&[u8]> = some.iter().map(|bucket| bucket.as_bytes()).collect();
            // As if again: what is there already is what a former try wrote late.
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

    /// Heads as they count: what was refolded later comes before the buckets.
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
                // The stream is gone.
                None => heads.remove(&hash),
            };
        }
        Ok(heads)
    }

    /// Documents that a majority has, with everything acknowledged until then.
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
            // The bytes as they are stored: digests are made of them.
            let mut found = Vec::new();
            while let Some(batch) = batches.try_next().await? {
                found
                    .extend(Documents::of(batch.doc_slices()?).map(|one| one.map(|(_, one)| one.to_owned())));
            }
            Ok(found)
        };
        let found = call("reading what was folded", find).await?;
        let broken = || Error::Mismatch("the server sent a broken batch".into());
        found.into_iter().map(|document| document.ok_or_else(broken)).collect()
    }

    /// The head of a stream that was refolded, as it is written.
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
