//! Replaces the results of refolded streams in the collections of a build: snapshots, heads, failed streams,
//! digests and counts change together, in one transaction (one after the other where there are none).
//!
//! The checkpoints of the partitions are written in the same transaction, under their token and under the
//! revisions that were read *before the streams were*: a process that was replaced can't write, and an older
//! fold never overwrites a newer one, not even that of a process that was suspended in between.
//!
//! Snapshots that readers may use, the application may write as well: each of them is replaced only if it
//! still is what it was *before the streams were read*. What the application wrote then is of events that
//! were stored by that time, so that the fold includes them; what it writes later is left alone, and the
//! streams are folded again.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bson::{Document, RawDocument, RawDocumentBuf, doc};
use mongodb::error::{Error as DriverError, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::{ClientSession, Database};

use crate::error::{Error, Result};
use crate::fold::Digest;
use crate::lifecycle::stream_hash;
use crate::pipeline::ports::{Refolded, Replaced};
use crate::plan::Topology;
use crate::store::builds::{BuildStore, failed_streams};
use crate::store::connection::{DUPLICATE_KEY, call, classify, refused_writes};
use crate::store::records::{CHECKPOINTS, Checkpoint, Counts, FAILED_STREAMS, HEADS};
use crate::store::snapshots::before::{BeforeRefold, PriorState};
use crate::store::snapshots::guarded::{Batch, Write};

/// Attempts at a transaction that conflicts with another one.
const TRIES: u32 = 5;
/// Pause before the second attempt; the pause grows by as much before each further one.
const PAUSE: Duration = Duration::from_millis(5);

/// The changes of one partition.
#[derive(Default)]
struct PartitionChange {
    before: Digest,
    after: Digest,
    streams: i64,
    failed_streams: i64,
}

/// The commands of a replacement.
struct Commands {
    writes: Vec<Write>,
    checkpoints: Write,
    /// Marks the partitions as done again, which the command of the checkpoints marks as not done: only
    /// without transactions.
    done: Option<Write>,
}

impl BuildStore {
    /// Replaces the prior results of refolded streams.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process took the build over; the server's error.
    pub(in crate::store) async fn replace_streams(
        &self,
        before: BeforeRefold,
        refolded: Refolded,
    ) -> Result<Replaced> {
        let (checkpoints, prior) = before.prior().await?;
        let Some(prior) = prior else { return Ok(Replaced::TooLarge) };
        let commands = Replacing { build: self, checkpoints: &checkpoints, prior, refolded }.commands()?;
        self.mandate.check()?;
        let build = self.clone();
        // Spawned as a whole: a session must not be dropped within a transaction.
        let run = async move { Ok(commands.run(&build).await) };
        if call("replacing refolded streams", run).await?? {
            return Ok(Replaced::Done);
        }
        let (now, _) = self.checkpoints_of(checkpoints.into_keys()).await?;
        if now.values().all(|checkpoint| checkpoint.token == self.record.token && checkpoint.done) {
            return Ok(Replaced::Stale);
        }
        Err(self.fenced("the checkpoints"))
    }

    /// The collection with the snapshots of a target: staging, published, or with the name of another
    /// generation.
    pub(crate) fn collection_of(&self, target: usize) -> Option<&str> {
        self.record.collection_of(target)
    }
}

impl Commands {
    /// Whether everything was written; if not, nothing was.
    async fn run(&self, build: &BuildStore) -> Result<bool> {
        if build.store.facts.topology == Topology::Standalone {
            return self.one_by_one(build).await;
        }
        let client = build.store.db.client().clone();
        let failed = |error| classify("replacing refolded streams", error);
        let mut session = client.start_session().await.map_err(failed)?;
        build.store.control().note_session(&build.mandate, session.id()).await?;
        let mut tries = 0;
        loop {
            tries += 1;
            session.start_transaction().await.map_err(failed)?;
            let result = match self.in_transaction(build, &mut session).await {
                Ok(true) => commit(&mut session).await.map_err(transaction_error).map(|()| true),
                other => {
                    let _ = session.abort_transaction().await;
                    other
                }
            };
            match result {
                Err(Error::Server { transient: true, .. }) if tries < TRIES => {
                    tokio::time::sleep(PAUSE * tries).await;
                }
                other => return other,
            }
        }
    }

    /// Sends the checkpoints first: if they have changed meanwhile, nothing else needs to be sent.
    async fn in_transaction(&self, build: &BuildStore, session: &mut ClientSession) -> Result<bool> {
        for write in std::iter::once(&self.checkpoints).chain(&self.writes) {
            let db = addressed(build, &write.command);
            for look in write.looks() {
                let found = db.run_raw_command(look.command).session(&mut *session).await;
                if !look.stored.is_in(&found.map_err(transaction_error)?) {
                    return Ok(false);
                }
            }
            let reply = db.run_raw_command(write.command.clone()).session(&mut *session).await;
            if !accepted(write, reply.map_err(transaction_error))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends the commands without a transaction. The checkpoints come first as well: they keep out stale
    /// folds. The partitions of an unfinished build are marked as not done until the rest is written: if
    /// this is interrupted, they are rebuilt.
    async fn one_by_one(&self, build: &BuildStore) -> Result<bool> {
        for write in std::iter::once(&self.checkpoints).chain(&self.writes).chain(&self.done) {
            let db = addressed(build, &write.command);
            for look in write.looks() {
                if !look.stored.is_in(&db.run_raw_command(look.command).await.map_err(transaction_error)?) {
                    return Ok(false);
                }
            }
            if !accepted(write, db.run_raw_command(write.command.clone()).await.map_err(transaction_error))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a command found what it had to find. A snapshot that the application has inserted first isn't an
/// error: the streams are folded again.
fn accepted(write: &Write, reply: Result<Document>) -> Result<bool> {
    let doing = "replacing refolded streams";
    match reply.and_then(|reply| refused_writes(doing, &reply).map(|()| reply)) {
        Ok(reply) => Ok(write.expected.is_none_or(|expected| reply.get_i32("n").unwrap_or(0) == expected)),
        Err(Error::Server { code: Some(DUPLICATE_KEY), source, .. })
            if write.expected.is_some() && source.to_string().contains("_id_") =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The database of the collection that a command writes to, which is its first value.
fn addressed<'a>(build: &'a BuildStore, command: &RawDocument) -> &'a Database {
    let collection = command.iter().next().and_then(|first| first.ok()?.1.as_str());
    build.store.database_of(collection.unwrap_or_default())
}

/// A replacement, to be turned into commands.
struct Replacing<'a> {
    build: &'a BuildStore,
    checkpoints: &'a BTreeMap<u32, Checkpoint>,
    prior: PriorState,
    refolded: Refolded,
}

impl Replacing<'_> {
    fn commands(&self) -> Result<Commands> {
        let mut changes: BTreeMap<u32, PartitionChange> = BTreeMap::new();
        let mut writes = Vec::new();
        self.snapshots(&mut changes, &mut writes)?;
        self.failed_streams(&mut changes, &mut writes)?;
        self.heads(&mut changes, &mut writes)?;
        let partitions = i32::try_from(self.checkpoints.len()).unwrap_or(i32::MAX);
        let checkpoints = Write::all_of(partitions, self.checkpoints(&changes)?);
        let done = self.is_undone_meanwhile().then(|| self.done()).transpose()?;
        Ok(Commands { writes, checkpoints, done: done.map(|done| Write::all_of(partitions, done)) })
    }

    /// Whether the partitions are marked as not done meanwhile, so that an interruption is noticed and they
    /// are rebuilt. Those of a generation that readers use never are.
    fn is_undone_meanwhile(&self) -> bool {
        let standalone = self.build.store.facts.topology == Topology::Standalone;
        standalone && self.build.record.state.is_resumable()
    }

    fn streams(&self) -> impl Iterator<Item = (u32, &String)> {
        let parts = self.refolded.parts.iter();
        parts.flat_map(|part| part.streams.iter().map(move |stream| (part.partition, stream)))
    }

    fn snapshots(&self, changes: &mut BTreeMap<u32, PartitionChange>, writes: &mut Vec<Write>) -> Result<()> {
        let prefix = self.build.prefix.as_str();
        let partitions: HashMap<&str, u32> = self
            .streams()
            .filter_map(|(partition, stream)| Some((stream.strip_prefix(prefix)?, partition)))
            .collect();
        for (target, stored) in self.prior.snapshots.iter().enumerate() {
            let Some(collection) = self.build.collection_of(target) else { continue };
            let mut gone: Vec<(&str, &RawDocumentBuf)> = Vec::new();
            let mut kept = HashMap::new();
            for document in self.refolded.snapshots(target) {
                let document = RawDocument::from_bytes(document)
                    .map_err(|error| Error::Bug(format!("a snapshot isn't BSON: {error}")))?;
                kept.insert(document.get_str("_id").unwrap_or_default(), document);
            }
            for (id, document) in stored {
                let Some(partition) = partitions.get(id.as_str()) else { continue };
                changes.entry(*partition).or_default().before.add(target, document.as_bytes());
                if !kept.contains_key(id.as_str()) {
                    gone.push((id, document));
                }
            }
            let mut batch = Batch::of(collection, self.build.is_shared());
            for (id, document) in &kept {
                let Some(partition) = partitions.get(id) else {
                    return Err(Error::Bug(format!("the snapshot {id} is of none of its streams")));
                };
                changes.entry(*partition).or_default().after.add(target, document.as_bytes());
                match stored.get(*id) {
                    Some(stored) if stored.as_bytes() == document.as_bytes() => {}
                    stored => batch.put(id, stored, document),
                }
            }
            gone.into_iter().for_each(|(id, stored)| batch.remove(id, stored));
            writes.extend(batch.finish());
        }
        Ok(())
    }

    /// Replaces the failed streams.
    fn failed_streams(
        &self,
        changes: &mut BTreeMap<u32, PartitionChange>,
        writes: &mut Vec<Write>,
    ) -> Result<()> {
        let partitions: HashMap<&str, u32> =
            self.streams().map(|(partition, stream)| (stream.as_str(), partition)).collect();
        for stream in &self.prior.failed_streams {
            if let Some(partition) = partitions.get(stream.as_str()) {
                changes.entry(*partition).or_default().failed_streams -= 1;
            }
        }
        if !self.prior.failed_streams.is_empty() {
            let failed_streams = self.prior.failed_streams.iter();
            let ids: Vec<String> = failed_streams.map(|stream| self.build.failed_stream_id(stream)).collect();
            let deletes = doc! { "q": { "_id": { "$in": ids } }, "limit": 0 };
            writes.push(Write::any(raw(&doc! { "delete": FAILED_STREAMS, "deletes": [deletes] })?));
        }
        let mut documents: Vec<Document> = Vec::new();
        for failed_stream in self.refolded.failed_streams() {
            let Some(partition) = partitions.get(failed_stream.stream.as_str()) else { continue };
            changes.entry(*partition).or_default().failed_streams += 1;
            documents.push(failed_streams::document(self.build, *partition, failed_stream));
        }
        if !documents.is_empty() {
            writes.push(Write::any(raw(&doc! { "insert": FAILED_STREAMS, "documents": documents })?));
        }
        Ok(())
    }

    /// Writes the heads.
    fn heads(&self, changes: &mut BTreeMap<u32, PartitionChange>, writes: &mut Vec<Write>) -> Result<()> {
        let heads = self.refolded.heads();
        let mut updates = Vec::new();
        for part in &self.refolded.parts {
            let named = part.streams.iter().map(|stream| stream_hash(stream));
            for hash in named.chain(part.gone.iter().copied()) {
                let (before, after) = (self.prior.heads.get(&hash).copied(), heads.get(&hash).copied());
                if before == after {
                    continue;
                }
                let change = changes.entry(part.partition).or_default();
                change.streams += i64::from(after.is_some()) - i64::from(before.is_some());
                updates.push(self.build.refolded_head(part.partition, hash, after));
            }
        }
        if !updates.is_empty() {
            writes.push(Write::any(raw(&doc! { "update": HEADS, "updates": updates })?));
        }
        Ok(())
    }

    /// Updates digests and counts of the partitions, under their token and revision.
    fn checkpoints(&self, changes: &BTreeMap<u32, PartitionChange>) -> Result<RawDocumentBuf> {
        let token = self.build.record.token;
        let mut updates = Vec::new();
        for (partition, found) in self.checkpoints {
            let change = changes.get(partition);
            let (before, after) = change.map(|change| (change.before, change.after)).unwrap_or_default();
            let digest = found
                .digest()
                .ok_or_else(|| Error::Mismatch(format!("the digest of {} is broken", found.id)))?;
            let digest = digest.without(before).with(after);
            let number = |count: u64| i64::try_from(count).unwrap_or(0);
            let counts = Counts {
                streams: found.counts.streams + change.map_or(0, |change| change.streams),
                snapshots: found.counts.snapshots + number(after.documents()) - number(before.documents()),
                failed_streams: found.counts.failed_streams
                    + change.map_or(0, |change| change.failed_streams),
                ..found.counts
            };
            let counts = bson::serialize_to_document(&counts)
                .map_err(|error| Error::Bug(format!("the checkpoint can't be encoded: {error}")))?;
            let done = !self.is_undone_meanwhile();
            let set =
                doc! { "Digest": digest.to_string(), "Counts": counts, "RefoldedBy": token, "Done": done };
            updates.push(doc! {
                "q": { "_id": &found.id, "Token": token, "Done": true, "Revision": found.revision },
                "u": { "$set": set, "$inc": { "Revision": 1_i64 } },
            });
        }
        raw(&doc! { "update": CHECKPOINTS, "updates": updates })
    }

    /// Marks the partitions as done again.
    fn done(&self) -> Result<RawDocumentBuf> {
        let token = self.build.record.token;
        let updates = self.checkpoints.values().map(|found| {
            doc! {
                "q": { "_id": &found.id, "Token": token, "Revision": found.revision + 1 },
                "u": { "$set": { "Done": true } },
            }
        });
        raw(&doc! { "update": CHECKPOINTS, "updates": updates.collect::<Vec<_>>() })
    }
}

async fn commit(session: &mut ClientSession) -> mongodb::error::Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        match session.commit_transaction().await {
            Err(error) if tries < TRIES && error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) => {}
            other => return other,
        }
    }
}

/// Classifies an error as [`classify`] does; one after which the whole transaction may be retried is
/// transient.
fn transaction_error(error: DriverError) -> Error {
    let again = error.contains_label(TRANSIENT_TRANSACTION_ERROR);
    match classify("replacing refolded streams", error) {
        Error::Server { doing, code, source, .. } if again => {
            Error::Server { doing, code, transient: true, source }
        }
        other => other,
    }
}

fn raw(document: &Document) -> Result<RawDocumentBuf> {
    RawDocumentBuf::try_from(document).map_err(|error| Error::Bug(format!("a command isn't BSON: {error}")))
}
