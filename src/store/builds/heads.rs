//! `Statefold_Heads`: the head of each folded stream, in small documents by the hashes of their names.
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
use crate::lifecycle::{Head, Heads};
use crate::pipeline::ports::Term;
use crate::store::builds::build::BuildStore;
use crate::store::connection::{FORMAT, LONG_CALL_SECONDS, call, call_within, insertion, read_concern};
use crate::store::records::{HEADS, bits_for, bucket_id, bucket_of, ids_of, refolded_id};

/// Field of a bucket of older versions, which recorded offsets alone.
const OFFSETS: &str = "Heads";

/// Buckets of one insert: some megabytes.
const BUCKETS_PER_INSERT: usize = 1000;

impl BuildStore {
    /// Writes the heads of a partition, acknowledged by the primary alone, and returns the terms.
    pub(in crate::store) async fn write_heads(
        &self,
        partition: u32,
        heads: &[(u64, Head)],
    ) -> Result<Vec<Term>> {
        let bits = bits_for(heads.len());
        let mut heads = heads.to_vec();
        heads.sort_unstable_by_key(|(hash, _)| *hash);
        let (build, claim) = (self.record.id.as_str(), self.claim_number(partition));
        let same_bucket =
            |head: &(u64, Head), next: &(u64, Head)| bucket_of(head.0, bits) == bucket_of(next.0, bits);
        let buckets: Vec<RawDocumentBuf> = heads
            .chunk_by(same_bucket)
            .map(|chunk| {
                let bucket = chunk.first().map_or(0, |(hash, _)| bucket_of(*hash, bits));
                let packed = Binary { subtype: BinarySubtype::Generic, bytes: Heads::pack(chunk) };
                let mut document = rawdoc! {
                    "_id": bucket_id(build, partition, bucket), "Format": FORMAT, "Build": build,
                    "Partition": i64::from(partition), "Token": self.record.token, "IdentifiedHeads": packed,
                };
                if let Some(number) = claim {
                    document.append(bson::cstr!("Claims"), number);
                }
                document
            })
            .collect();
        let mut terms = Vec::new();
        for chunk in buckets.chunks(BUCKETS_PER_INSERT) {
            let documents: Vec<&[u8]> = chunk.iter().map(|bucket| bucket.as_bytes()).collect();
            self.mandate.check()?;
            // Always as a repeated insert: a bucket that exists already comes from a late write of a former
            // attempt.
            terms.push(
                insertion(
                    (self.store.facts.topology, &self.store.db),
                    HEADS,
                    "recording heads",
                    &documents,
                    true,
                )
                .await?,
            );
        }
        Ok(terms)
    }

    /// All recorded heads of a partition.
    pub(in crate::store) async fn read_heads(&self, partition: u32) -> Result<Vec<(u64, Head)>> {
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
    ) -> Result<HashMap<u64, Head>> {
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
        let documents = self.find_since(HEADS, doc! { "_id": { "$in": ids } }, since, usize::MAX).await?;
        let mut heads = self.merged(&documents.unwrap_or_default())?;
        heads.retain(|hash, _| all.contains(hash));
        Ok(heads)
    }

    /// Merged heads: the documents of refolded streams take precedence over the buckets.
    fn merged(&self, documents: &[RawDocumentBuf]) -> Result<HashMap<u64, Head>> {
        let broken = || Error::Mismatch(format!("the recorded heads of {} are broken", self.record.id));
        let (mut heads, mut refolded) = (HashMap::new(), Vec::new());
        for document in documents {
            if let Ok(hash) = document.get_i64("Hash") {
                refolded.push((hash.cast_unsigned(), refolded_of(document)));
                continue;
            }
            let packed = match document.get_binary("IdentifiedHeads") {
                Ok(packed) => Heads::unpack(packed.bytes),
                Err(_) => {
                    document.get_binary(OFFSETS).ok().and_then(|packed| Heads::unpack_offsets(packed.bytes))
                }
            };
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

    /// Documents of a collection, read with majority read concern after an operation time; `None` if they
    /// have more than `bytes_max` bytes.
    pub(in crate::store) async fn find_since(
        &self,
        collection: &str,
        filter: Document,
        since: Option<Timestamp>,
        bytes_max: usize,
    ) -> Result<Option<Vec<RawDocumentBuf>>> {
        let command = doc! { "find": collection, "filter": filter, "readConcern": read_concern(since) };
        let db = self.store.database_of(collection).clone();
        let find = async move {
            let mut batches = db.run_cursor_command(command).batch().await?;
            // The stored bytes: digests are computed from them.
            let (mut found, mut bytes) = (Vec::new(), 0);
            while let Some(batch) = batches.try_next().await? {
                bytes += batch.doc_slices()?.as_bytes().len();
                if bytes > bytes_max {
                    return Ok(None);
                }
                let documents = Documents::of(batch.doc_slices()?);
                found.extend(documents.map(|entry| entry.map(ToOwned::to_owned)));
            }
            Ok(Some(found))
        };
        let Some(found) = call("reading what was folded", find).await? else { return Ok(None) };
        let broken = || Error::Mismatch("the server sent a broken batch".into());
        found.into_iter().map(|document| document.ok_or_else(broken)).collect::<Result<_>>().map(Some)
    }

    /// The update that writes the head of a refolded stream.
    pub(in crate::store) fn refolded_head(&self, partition: u32, hash: u64, head: Option<Head>) -> Document {
        let build = &self.record;
        doc! {
            "q": { "_id": refolded_id(&build.id, partition, hash) }, "upsert": true,
            "u": { "$set": {
                "Format": FORMAT, "Build": &build.id, "Partition": i64::from(partition), "Token": build.token,
                "Hash": hash.cast_signed(),
                "Head": head.map_or(Bson::Null, |head| Bson::Int64(head.offset)),
                "Identity": head.map_or(Bson::Null, |head| Bson::Int64(head.identity.cast_signed())),
                "Commits": head.map_or(Bson::Null, |head| Bson::Int64(head.commits.into())),
            } },
        }
    }
}

/// The head of a refolded stream; `None` if the stream was deleted.
fn refolded_of(document: &RawDocumentBuf) -> Option<Head> {
    Some(Head {
        offset: document.get_i64("Head").ok()?,
        identity: document.get_i64("Identity").map_or(0, i64::cast_unsigned),
        commits: document
            .get_i64("Commits")
            .ok()
            .and_then(|commits| u32::try_from(commits).ok())
            .unwrap_or(0),
    })
}
