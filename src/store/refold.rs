//! Replaces what refolded streams left in the collections of a build: snapshots, heads, dead letters,
//! digest and counts change together, in one transaction (one after the other where there are none).
//!
//! The checkpoint of the partition is written in the same transaction, under its token: whoever was
//! taken over from gets nothing in.

use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc, rawdoc};
use futures::TryStreamExt;
use mongodb::ClientSession;
use mongodb::error::{Error as DriverError, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};

use crate::error::{Error, Result};
use crate::fold::Digest;
use crate::lifecycle::stream_hash;
use crate::pipeline::ports::Refolded;
use crate::plan::Topology;
use crate::store::BuildStore;
use crate::store::build::readable;
use crate::store::client::call;
use crate::store::error::classify;
use crate::store::records::{CHECKPOINTS, Checkpoint, Counts, DEAD_LETTERS, FORMAT, HEADS};

/// How often a transaction is tried that ran into another one.
const TRIES: u32 = 5;

/// One try.
struct Replacing {
    build: BuildStore,
    partition: u32,
    refolded: Refolded,
}

impl BuildStore {
    /// Puts the results of refolded streams of one partition in the place of what was there.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process took the build over; what the server said.
    pub(super) async fn replace_streams(&self, partition: u32, refolded: Refolded) -> Result<()> {
        self.mandate.check()?;
        let replacing = Replacing { build: self.clone(), partition, refolded };
        let doing = "replacing refolded streams";
        // Spawned as a whole: a session must not be dropped within a transaction.
        call(doing, async move { Ok(replacing.run().await) }).await?
    }

    /// Where the snapshots of a target are: in staging, or published.
    pub(crate) fn collection_of(&self, target: usize) -> Option<&str> {
        let found = self.record.targets.get(target)?;
        Some(if self.record.state.is_resumable() { &found.staging } else { &found.collection })
    }
}

impl Replacing {
    async fn run(self) -> Result<()> {
        if self.build.store.facts.topology == Topology::Standalone {
            return self.writes(&mut None).await;
        }
        let client = self.build.store.db.client().clone();
        let failed = |error| classify("replacing refolded streams", error);
        let mut session = client.start_session().await.map_err(failed)?;
        let mut tries = 0;
        loop {
            tries += 1;
            session.start_transaction().await.map_err(failed)?;
            let mut with = Some(session);
            let written = self.writes(&mut with).await;
            let Some(back) = with else { return Err(Error::Bug("the session is gone".into())) };
            session = back;
            let result = match written {
                Ok(()) => commit(&mut session).await.map_err(failed),
                Err(error) => {
                    let _ = session.abort_transaction().await;
                    Err(error)
                }
            };
            match result {
                Err(Error::Server { transient: true, .. }) if tries < TRIES => {}
                other => return other,
            }
        }
    }

    async fn command(
        &self,
        session: &mut Option<ClientSession>,
        command: RawDocumentBuf,
    ) -> Result<Document> {
        let db = &self.build.store.db;
        let reply = match session {
            Some(session) => db.run_raw_command(command).session(session).await,
            None => db.run_raw_command(command).await,
        };
        let reply = reply.map_err(transaction_error)?;
        crate::store::build::refused_writes("replacing refolded streams", &reply)?;
        Ok(reply)
    }

    async fn writes(&self, session: &mut Option<ClientSession>) -> Result<()> {
        let build = &self.build;
        let ids: Vec<&str> = self
            .refolded
            .streams
            .iter()
            .filter_map(|stream| stream.strip_prefix(build.prefix.as_str()))
            .collect();
        let (mut before, mut after) = (Digest::default(), Digest::default());
        for target in 0..build.record.targets.len() {
            let Some(collection) = build.collection_of(target).map(str::to_owned) else { continue };
            for document in self.stored(session, &collection, &ids).await? {
                before.add(target, document.as_bytes());
            }
            let mut kept = Vec::new();
            let mut updates = bson::RawArrayBuf::new();
            for document in self.refolded.snapshots(target) {
                after.add(target, document);
                let document = RawDocument::from_bytes(document)
                    .map_err(|error| Error::Bug(format!("a snapshot isn't BSON: {error}")))?;
                let id = document.get_str("_id").unwrap_or_default();
                kept.push(id);
                updates.push(rawdoc! { "q": { "_id": id }, "u": document.to_owned(), "upsert": true });
            }
            let gone: Vec<&str> = ids.iter().copied().filter(|id| !kept.contains(id)).collect();
            if !gone.is_empty() {
                let deletes = doc! {
                    "delete": &collection, "deletes": [{ "q": { "_id": { "$in": gone } }, "limit": 0 }],
                };
                self.command(session, raw(&deletes)?).await?;
            }
            if !kept.is_empty() {
                self.command(session, rawdoc! { "update": collection.as_str(), "updates": updates }).await?;
            }
        }
        let letters = self.letters(session).await?;
        let streams = self.heads(session).await?;
        self.checkpoint(session, before, after, streams, letters).await
    }

    /// The documents that are there now.
    async fn stored(
        &self,
        session: &mut Option<ClientSession>,
        collection: &str,
        ids: &[&str],
    ) -> Result<Vec<RawDocumentBuf>> {
        let collection = self.build.store.db.collection::<RawDocumentBuf>(collection);
        let filter = doc! { "_id": { "$in": ids } };
        match session {
            Some(session) => {
                let mut cursor =
                    collection.find(filter).session(&mut *session).await.map_err(transaction_error)?;
                let mut found = Vec::new();
                while let Some(document) = cursor.next(session).await {
                    found.push(document.map_err(transaction_error)?);
                }
                Ok(found)
            }
            None => {
                let found = async { collection.find(filter).await?.try_collect().await };
                found.await.map_err(transaction_error)
            }
        }
    }

    /// Replaces the dead letters. Returns how many fewer or more there are.
    async fn letters(&self, session: &mut Option<ClientSession>) -> Result<i64> {
        let build = &self.build.record;
        let filter = doc! { "Build": &build.id, "Stream": { "$in": &self.refolded.streams } };
        let delete = doc! { "delete": DEAD_LETTERS, "deletes": [{ "q": filter, "limit": 0 }] };
        let reply = self.command(session, raw(&delete)?).await?;
        let before = i64::from(reply.get_i32("n").unwrap_or(0));
        let letters: Vec<Document> = self
            .refolded
            .dead_letters()
            .map(|letter| crate::store::dead_letters::document(&self.build, self.partition, letter))
            .collect();
        let after = i64::try_from(letters.len()).unwrap_or(0);
        if !letters.is_empty() {
            self.command(session, raw(&doc! { "insert": DEAD_LETTERS, "documents": letters })?).await?;
        }
        Ok(after - before)
    }

    /// Notes the heads. Returns how many streams there are more or fewer.
    async fn heads(&self, session: &mut Option<ClientSession>) -> Result<i64> {
        let build = &self.build.record;
        let partition = i64::from(self.partition);
        let mut updates = Vec::new();
        let mut hashes: Vec<u64> = self.refolded.streams.iter().map(|stream| stream_hash(stream)).collect();
        hashes.extend(&self.refolded.gone);
        let known = self.build.read_heads(self.partition).await?;
        let (mut before, mut after) = (0, 0);
        for hash in hashes {
            before += i64::from(known.iter().any(|(one, _)| *one == hash));
            let head = self.refolded.head(hash);
            after += i64::from(head.is_some());
            let value = head.map_or(Bson::Null, Bson::Int64);
            updates.push(doc! {
                "q": { "_id": format!("{}/{partition}/s{hash:016x}", build.id) }, "upsert": true,
                "u": { "$set": {
                    "Format": FORMAT, "Build": &build.id, "Partition": partition, "Token": build.token,
                    "Hash": hash.cast_signed(), "Head": value,
                } },
            });
        }
        if !updates.is_empty() {
            self.command(session, raw(&doc! { "update": HEADS, "updates": updates })?).await?;
        }
        Ok(after - before)
    }

    /// Moves digest and counts of the partition, under the token.
    async fn checkpoint(
        &self,
        session: &mut Option<ClientSession>,
        before: Digest,
        after: Digest,
        streams: i64,
        letters: i64,
    ) -> Result<()> {
        let build = &self.build;
        let id = build.checkpoint_id(self.partition);
        let checkpoints = build.store.db.collection::<Document>(CHECKPOINTS);
        let filter = doc! { "_id": &id, "Token": build.record.token, "Done": true };
        let found = match session {
            Some(session) => checkpoints.find_one(filter.clone()).session(&mut *session).await,
            None => checkpoints.find_one(filter.clone()).await,
        };
        let Some(found) = found.map_err(transaction_error)? else {
            return Err(build.fenced("the checkpoints"));
        };
        let found: Checkpoint = readable(found, "a checkpoint")?;
        let digest =
            found.digest().ok_or_else(|| Error::Mismatch(format!("the digest of {id} is broken")))?;
        let digest = digest.without(before).with(after);
        let written =
            i64::try_from(after.documents()).unwrap_or(0) - i64::try_from(before.documents()).unwrap_or(0);
        let counts = Counts {
            streams: found.counts.streams + streams,
            snapshots: found.counts.snapshots + written,
            dead_letters: found.counts.dead_letters + letters,
            ..found.counts
        };
        let counts = bson::serialize_to_document(&counts)
            .map_err(|error| Error::Bug(format!("the checkpoint can't be encoded: {error}")))?;
        let set = doc! { "Digest": digest.to_string(), "Counts": counts, "RefoldedBy": build.record.token };
        let update = doc! { "update": CHECKPOINTS, "updates": [{ "q": filter, "u": { "$set": set } }] };
        let reply = self.command(session, raw(&update)?).await?;
        if reply.get_i32("n").unwrap_or(0) == 1 { Ok(()) } else { Err(build.fenced("the checkpoints")) }
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

/// As [`classify`]; what says that the whole transaction may be tried again is transient.
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
