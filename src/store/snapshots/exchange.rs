//! The exchange of a build: the collection in which processes that read parts of the natural order hand over
//! the commits, compressed, to whoever builds their partition.
//!
//! A frame is `{partition}/{part}/{attempt}/{number}`, and counts once the document of its part names its
//! attempt.

use std::collections::HashMap;

use bson::spec::BinarySubtype;
use bson::{Binary, Document, RawDocumentBuf, doc, rawdoc};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use mongodb::options::CreateCollectionOptions;

use crate::error::{Error, Result};
use crate::pipeline::ports::{Exchange, ExchangeFrame, Part, PartRead, Term};
use crate::plan::{Partition, exchange_name};
use crate::store::builds::BuildStore;
use crate::store::connection::{NAMESPACE_EXISTS, call, code, insertion};
use crate::store::records::ExchangeRecord;

/// Frames that are read with one reply, and folded together.
const FRAMES_PER_BATCH: u32 = 32;
/// Their bytes, at most but for one frame.
const BYTES_PER_BATCH: usize = 4 << 20;

impl BuildStore {
    /// Opens an exchange of these partitions, and these parts to all workers.
    pub(crate) async fn open_exchange(
        &self,
        parts: &[Part],
        partitions: &[Partition],
    ) -> Result<ExchangeRecord> {
        self.mandate.check()?;
        let Some(first) = self.record.targets.first() else {
            return Err(Error::Bug(format!("{} has no target", self.record.id)));
        };
        let name = exchange_name(&first.collection, self.record.token);
        // What is in it is compressed already. Another engine knows no such option.
        let stored = doc! { "wiredTiger": { "configString": "block_compressor=none" } };
        match self.create_exchange(&name, Some(stored)).await {
            Err(Error::Server { transient: false, .. }) => self.create_exchange(&name, None).await?,
            created => created?,
        }
        self.record_parts(parts).await?;
        Ok(ExchangeRecord {
            collection: name,
            parts: u32::try_from(parts.len()).unwrap_or(u32::MAX),
            partitions: partitions.iter().map(|partition| partition.number).collect(),
        })
    }

    async fn create_exchange(&self, name: &str, stored: Option<Document>) -> Result<()> {
        let (db, name) = (self.store.database_of(name).clone(), name.to_owned());
        let create = async move {
            let options = CreateCollectionOptions::builder().storage_engine(stored).build();
            let create = db.create_collection(name).with_options(options);
            match create.await {
                Err(error) if code(&error) == Some(NAMESPACE_EXISTS) => Ok(()),
                other => other,
            }
        };
        call("creating the exchange", create).await
    }

    /// Drops the exchange. The record still names it.
    pub(crate) async fn drop_exchange(&self) -> Result<()> {
        let Some(exchange) = &self.record.exchange else { return Ok(()) };
        self.forget_parts().await?;
        self.store.snapshots().drop_named(&exchange.collection, &self.mandate).await
    }

    /// The name of the exchange and its database.
    fn exchange(&self) -> Result<(mongodb::Database, String)> {
        let exchange = self.record.exchange.as_ref();
        let name = exchange.map(|exchange| exchange.collection.clone());
        let name = name.ok_or_else(|| Error::Bug(format!("{} has no exchange", self.record.id)))?;
        Ok((self.store.database_of(&name).clone(), name))
    }

    /// Reads the frames of a partition.
    async fn read_frames(
        self,
        partition: u32,
    ) -> Result<impl futures::Stream<Item = Result<Vec<Vec<u8>>>> + Send + 'static> {
        let doing = "reading what was handed over";
        let mut missing = self.expected_frames(partition).await?;
        let (db, name) = self.exchange()?;
        let filter =
            doc! { "_id": { "$gte": format!("{partition:06}/"), "$lt": format!("{partition:06}0") } };
        let collection = db.collection::<RawDocumentBuf>(&name);
        let open =
            async move { collection.find(filter).sort(doc! { "_id": 1 }).batch_size(FRAMES_PER_BATCH).await };
        let cursor = call(doing, open).await?;
        let batches = futures::stream::try_unfold(Some(cursor), move |cursor| async move {
            let Some(mut cursor) = cursor else { return Ok::<_, Error>(None) };
            let next = async move {
                let (mut frames, mut bytes) = (Vec::new(), 0);
                while frames.len() < FRAMES_PER_BATCH as usize && bytes < BYTES_PER_BATCH {
                    match cursor.try_next().await? {
                        Some(frame) => {
                            bytes += frame.as_bytes().len();
                            frames.push(frame);
                        }
                        None => return Ok((frames, None)),
                    }
                }
                Ok((frames, Some(cursor)))
            };
            Ok(Some(call(doing, next).await?))
        });
        let taken = batches.map(Some).chain(futures::stream::once(async { None })).map(move |batch| {
            match batch.transpose()? {
                Some(frames) => taken(&frames, &mut missing),
                None if missing.values().all(|frames| *frames == 0) => Ok(Vec::new()),
                // The reply of a primary that was replaced, say.
                None => Err(Error::Server {
                    doing: doing.into(),
                    code: None,
                    transient: true,
                    source: format!("frames of partition {partition} are missing").into(),
                }),
            }
        });
        Ok(taken)
    }
}

/// The compressed commits of those frames whose attempt counts, which are no longer missing.
fn taken(frames: &[RawDocumentBuf], missing: &mut HashMap<String, u64>) -> Result<Vec<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(frames.len());
    for frame in frames {
        let attempt = frame.get_str("_id").ok().and_then(|id| id.split('/').nth(2));
        let left = attempt.and_then(|attempt| missing.get_mut(attempt)).filter(|left| **left > 0);
        let Some(left) = left else { continue };
        *left -= 1;
        let commits = frame.get_binary("Commits").map_err(|error| Error::Mismatch(error.to_string()))?;
        bytes.push(commits.bytes.to_vec());
    }
    Ok(bytes)
}

impl Exchange for BuildStore {
    fn give(
        &self,
        part: u32,
        attempt: &str,
        first: u64,
        frames: &[ExchangeFrame],
    ) -> BoxFuture<'static, Result<Term>> {
        let place = self.mandate.check().and_then(|()| self.exchange());
        let (db, name) = match place {
            Ok(place) => place,
            Err(error) => return futures::future::ready(Err(error)).boxed(),
        };
        let documents = (first..).zip(frames).map(|(number, frame)| {
            let id = format!("{:06}/{part:06}/{attempt}/{number:08}", frame.partition);
            let commits = Binary { subtype: BinarySubtype::Generic, bytes: frame.bytes.clone() };
            rawdoc! { "_id": id, "Commits": commits }
        });
        let documents: Vec<RawDocumentBuf> = documents.collect();
        let documents: Vec<&[u8]> = documents.iter().map(|document| document.as_bytes()).collect();
        insertion((self.store.facts.topology, &db), &name, "handing commits over", &documents, false).boxed()
    }

    fn finish_part<'a>(&'a self, read: &'a PartRead, terms: &'a [Term]) -> BoxFuture<'a, Result<()>> {
        self.finish_reading(read, terms).boxed()
    }

    fn is_finished(&self, part: u32) -> BoxFuture<'_, Result<bool>> {
        self.is_part_read_here(part).boxed()
    }

    fn frames(&self, partition: u32) -> BoxStream<'static, Result<Vec<Vec<u8>>>> {
        let read = self.clone().read_frames(partition);
        futures::stream::once(read).try_flatten().boxed()
    }
}
