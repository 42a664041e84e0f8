//! The records of one build: created, advanced from state to state, taken over, removed.

use std::sync::Arc;

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
use mongodb::Collection;

use crate::error::{Error, Result};
use crate::fold::{Digest, FoldCounts};
use crate::lifecycle::BuildState;
use crate::pipeline::ports::{PartitionRecord, Term};
use crate::plan::Partition;
use crate::store::builds::claims::{Claims, Task};
use crate::store::connection::{Builds, FORMAT, Store, call, readable, refused_writes, term};
use crate::store::control::Mandate;
use crate::store::records::{
    AsideRecord, BUILDS, BuildRecord, CHECKPOINTS, Checkpoint, Counts, SwapRecord, bits_for, ids_of,
};

/// One build, and the mandate of the process that works on it.
#[derive(Clone)]
pub(crate) struct BuildStore {
    pub(in crate::store) store: Store,
    /// Prefix of the names of its streams.
    pub(in crate::store) prefix: String,
    /// The record, as last written.
    pub(crate) record: BuildRecord,
    /// The mandate to write it.
    pub(in crate::store) mandate: Mandate,
    /// The claims of this process, while several work on its partitions.
    pub(crate) claims: Option<Arc<Claims>>,
}

impl Builds<'_> {
    fn recorded(self) -> Collection<BuildRecord> {
        self.store.db.collection(BUILDS)
    }

    /// All build records of a projection (or of all), newest generation first.
    ///
    /// # Errors
    /// [`Error::Newer`] if one of them was written by a newer statefold.
    pub(crate) async fn records(self, projection: Option<&str>) -> Result<Vec<BuildRecord>> {
        let filter = projection.map_or_else(Document::new, |name| doc! { "Projection": name });
        self.matching("reading the build records", filter).await
    }

    /// The builds whose partitions are open to workers, newest generation first.
    pub(crate) async fn open_to_all(self) -> Result<Vec<BuildRecord>> {
        let open = doc! { "Shared": true, "State": BuildState::Building.name() };
        self.matching("looking for builds", open).await
    }

    async fn matching(self, doing: &str, filter: Document) -> Result<Vec<BuildRecord>> {
        let builds: Collection<Document> = self.store.db.collection(BUILDS);
        let find = async move {
            builds
                .find(filter)
                .sort(doc! { "Projection": 1, "Generation": -1 })
                .await?
                .try_collect::<Vec<_>>()
                .await
        };
        let documents = call(doing, find).await?;
        documents.into_iter().map(|document| readable(document, "a build record")).collect()
    }

    /// Records a new build.
    pub(crate) async fn create(
        self,
        record: BuildRecord,
        prefix: &str,
        mandate: &Mandate,
    ) -> Result<BuildStore> {
        mandate.check()?;
        let builds = self.recorded();
        let copy = record.clone();
        call("recording the build", async move { builds.insert_one(copy).await }).await?;
        let build = BuildStore { mandate: mandate.clone(), ..self.open(record, prefix) };
        build.make_checkpoints().await?;
        Ok(build)
    }

    /// A recorded build, for read-only use.
    pub(crate) fn open(self, record: BuildRecord, prefix: &str) -> BuildStore {
        let (store, prefix) = (self.store.clone(), prefix.to_owned());
        BuildStore { store, prefix, record, mandate: Mandate::none(), claims: None }
    }

    /// A recorded build to write into, under the token of its record.
    pub(crate) fn open_for_writing(self, record: BuildRecord, prefix: &str, mandate: &Mandate) -> BuildStore {
        BuildStore { mandate: mandate.clone(), ..self.open(record, prefix) }
    }

    /// Takes over the records of a build for a newer token: first the build, then its checkpoints, so that a
    /// process with the older token can't finish a partition any more.
    pub(crate) async fn adopt(
        self,
        mut record: BuildRecord,
        prefix: &str,
        mandate: &Mandate,
    ) -> Result<BuildStore> {
        let token = mandate.token;
        let former = record.token;
        // Whoever takes it over opens it to workers again, once everything of it has the new token.
        (record.token, record.shared, record.exchange) = (token, false, None);
        let adopted = BuildStore { mandate: mandate.clone(), ..self.open(record, prefix) };
        let filter = doc! { "_id": &adopted.record.id, "Token": former };
        let take = doc! {
            "$set": { "Token": token, "UpdatedAt": DateTime::now() },
            "$unset": { "Shared": "", "Exchange": "" },
        };
        adopted.update(filter, take).await?;
        adopted.take_checkpoints_over().await?;
        adopted.forget_parts().await?;
        Ok(adopted)
    }
}

impl BuildStore {
    async fn update(&self, filter: Document, change: Document) -> Result<()> {
        self.mandate.check()?;
        let builds = self.store.builds().recorded();
        let result =
            call("updating the build record", async move { builds.update_one(filter, change).await }).await?;
        if result.matched_count == 1 {
            return Ok(());
        }
        // Either the token or the state has changed: the error tells which.
        let now = self.store.builds().records(Some(&self.record.projection)).await?;
        let now = now.into_iter().find(|record| record.id == self.record.id);
        match now {
            Some(now) if now.token == self.record.token => Err(Error::State {
                build: now.id,
                expected: format!("to be {} as last written", self.record.state),
                actual: now.state.to_string(),
            }),
            _ => Err(self.fenced("the build record")),
        }
    }

    /// Takes the checkpoints over for the token of the record, or completes that where the process that took
    /// the build over ended in between.
    ///
    /// # Errors
    /// The server's error.
    pub(crate) async fn take_checkpoints_over(&self) -> Result<()> {
        self.mandate.check()?;
        let (checkpoints, token) = (self.store.collection(CHECKPOINTS), self.record.token);
        let filter = doc! { "Build": &self.record.id, "Token": { "$lt": token } };
        call("taking over the checkpoints", async move {
            checkpoints.update_many(filter, doc! { "$set": { "Token": token } }).await
        })
        .await?;
        self.make_checkpoints().await
    }

    pub(in crate::store) fn fenced(&self, what: &str) -> Error {
        Error::Fenced { token: self.record.token, what: format!("{what} of {}", self.record.id) }
    }

    /// Advances the build to another state, with further changes of the record, if its token is still ours
    /// and the transition is legal.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::State`].
    pub(crate) async fn advance(
        &mut self,
        next: BuildState,
        change: impl FnOnce(&mut BuildRecord),
    ) -> Result<()> {
        if !self.record.state.may_become(next) {
            let sources: Vec<&str> = next.sources().into_iter().map(BuildState::name).collect();
            return Err(Error::State {
                build: self.record.id.clone(),
                expected: sources.join(" or "),
                actual: self.record.state.to_string(),
            });
        }
        let filter =
            doc! { "_id": &self.record.id, "Token": self.record.token, "State": self.record.state.name() };
        let mut record = self.record.clone();
        change(&mut record);
        record.state = next;
        record.updated_at = DateTime::now();
        let mut set = bson::serialize_to_document(&record)
            .map_err(|error| Error::Bug(format!("the build record can't be encoded: {error}")))?;
        set.remove("_id");
        let mut update = doc! { "$set": set };
        let absent = [
            ("Failure", record.failure.is_none()),
            ("Swap", record.swap.is_none()),
            ("Digest", record.digest.is_none()),
            ("Shared", !record.shared),
            ("Exchange", record.exchange.is_none()),
        ];
        let absent: Document = absent
            .iter()
            .filter(|(_, gone)| *gone)
            .map(|(name, _)| ((*name).to_owned(), "".into()))
            .collect();
        if !absent.is_empty() {
            update.insert("$unset", absent);
        }
        self.update(filter, update).await?;
        self.record = record;
        Ok(())
    }

    /// Records the names the build is about to take over; `None` removes them.
    pub(crate) async fn note_swap(&mut self, swap: Option<Vec<SwapRecord>>) -> Result<()> {
        let encoded = bson::serialize_to_bson(&swap)
            .map_err(|error| Error::Bug(format!("the names can't be encoded: {error}")))?;
        let filter = doc! { "_id": &self.record.id, "Token": self.record.token };
        let change = match &swap {
            Some(_) => doc! { "$set": { "Swap": encoded, "UpdatedAt": DateTime::now() } },
            None => doc! { "$unset": { "Swap": "" }, "$set": { "UpdatedAt": DateTime::now() } },
        };
        self.update(filter, change).await?;
        self.record.swap = swap;
        Ok(())
    }

    /// Records the copies of the collections that the build replaces.
    pub(in crate::store) async fn note_asides(&mut self, asides: Vec<AsideRecord>) -> Result<()> {
        let encoded = bson::serialize_to_bson(&asides)
            .map_err(|error| Error::Bug(format!("the copies can't be encoded: {error}")))?;
        let filter = doc! { "_id": &self.record.id, "Token": self.record.token };
        self.update(filter, doc! { "$set": { "Asides": encoded, "UpdatedAt": DateTime::now() } }).await?;
        self.record.asides = asides;
        Ok(())
    }

    /// Records counts and digest, in any state of the build.
    pub(crate) async fn note_sums(&mut self, counts: Counts, digest: Option<String>) -> Result<()> {
        let encoded = bson::serialize_to_document(&counts)
            .map_err(|error| Error::Bug(format!("the counts can't be encoded: {error}")))?;
        let filter = doc! { "_id": &self.record.id, "Token": self.record.token };
        let mut update = doc! { "$set": { "Counts": encoded, "UpdatedAt": DateTime::now() } };
        match &digest {
            Some(digest) => _ = update.get_document_mut("$set").map(|set| set.insert("Digest", digest)),
            None => _ = update.insert("$unset", doc! { "Digest": "" }),
        }
        self.update(filter, update).await?;
        (self.record.counts, self.record.digest) = (counts, digest);
        Ok(())
    }

    /// The recorded partitions.
    pub(crate) fn partitions(&self) -> Vec<Partition> {
        (0..)
            .zip(&self.record.ranges)
            .map(|(number, range)| Partition { number, range: range.clone() })
            .collect()
    }

    /// Creates the missing checkpoints of partitions.
    async fn make_checkpoints(&self) -> Result<()> {
        self.mandate.check()?;
        let missing = self.record.ranges.iter().enumerate().map(|(partition, _)| {
            let (build, token) = (&self.record.id, self.record.token);
            doc! {
                "q": { "_id": format!("{build}/{partition}") }, "upsert": true,
                "u": { "$setOnInsert": {
                    "Format": FORMAT, "Build": build,
                    "Partition": i64::try_from(partition).unwrap_or(i64::MAX),
                    "Token": token, "Done": false, "Revision": 0_i64,
                } },
            }
        });
        let missing: Vec<Document> = missing.collect();
        if missing.is_empty() {
            return Ok(());
        }
        let command = doc! { "update": CHECKPOINTS, "updates": missing, "writeConcern": { "w": "majority" } };
        let reply = self.store.command("making the checkpoints", command).await?;
        refused_writes("making the checkpoints", &reply)
    }

    /// Current counts and digest of all partitions together.
    pub(crate) async fn sums(&self) -> Result<(FoldCounts, Digest)> {
        let (mut counts, mut digest) = (FoldCounts::default(), Digest::default());
        for checkpoint in self.checkpoints().await? {
            counts.add(checkpoint.counts.into());
            digest.merge(checkpoint.digest().ok_or_else(|| {
                Error::Mismatch(format!("the digest of checkpoint {} is broken", checkpoint.id))
            })?);
        }
        Ok((counts, digest))
    }

    /// The checkpoints of the finished partitions.
    pub(crate) async fn checkpoints(&self) -> Result<Vec<Checkpoint>> {
        let checkpoints = self.store.collection(CHECKPOINTS);
        let filter = doc! { "_id": ids_of(&self.record.id, None), "Done": true };
        let find = async move { checkpoints.find(filter).await?.try_collect::<Vec<Document>>().await };
        let found = call("reading the checkpoints", find).await?;
        found.into_iter().map(|document| readable(document, "a checkpoint")).collect()
    }

    /// Writes the checkpoint of a partition, unless a process with a newer token took the build over.
    pub(in crate::store) async fn write_checkpoint(
        &self,
        partition: u32,
        record: &PartitionRecord,
        terms: &[Term],
    ) -> Result<()> {
        self.barrier("finishing a partition", terms).await?;
        let checkpoints = self.store.collection(CHECKPOINTS);
        let filter = self.own_checkpoint(partition);
        let counts = bson::serialize_to_document(&Counts::from(record.counts))
            .map_err(|error| Error::Bug(format!("the checkpoint can't be encoded: {error}")))?;
        let set = doc! {
            "Done": true, "DoneBy": self.record.token, "Counts": counts, "Digest": record.digest.to_string(),
            "HeadBits": bits_for(record.heads.len()),
        };
        let update = doc! { "$set": set, "$inc": { "Revision": 1_i64 } };
        let write = async move { checkpoints.update_one(filter, update).await };
        match call("writing a checkpoint", write).await?.matched_count {
            1 => {
                if let Some(claims) = &self.claims {
                    claims.release(Task::Build(partition));
                }
                Ok(())
            }
            _ => Err(self.fenced("the checkpoints")),
        }
    }

    /// Checks that the build is still ours, and that everything written in these terms is on a majority.
    ///
    /// # Errors
    /// [`Error::Fenced`]; a transient one if the primary changed meanwhile.
    pub(in crate::store) async fn barrier(&self, doing: &str, terms: &[Term]) -> Result<()> {
        self.mandate.check()?;
        // A takeover raises the token of the build before those of the checkpoints: both are checked. A
        // majority that has this write has all earlier ones of the same term.
        let alive = doc! {
            "update": BUILDS, "writeConcern": { "w": "majority" },
            "updates": [{
                "q": { "_id": &self.record.id, "Token": self.record.token },
                "u": { "$set": { "UpdatedAt": DateTime::now() } },
            }],
        };
        let reply = self.store.command("checking the token", alive).await?;
        refused_writes("checking the token", &reply)?;
        if reply.get_i32("n").unwrap_or(0) != 1 {
            return Err(self.fenced("the checkpoints"));
        }
        if terms.iter().any(|written| *written != term(&reply)) {
            return Err(Error::Server {
                doing: doing.into(),
                code: None,
                transient: true,
                source: "the primary changed meanwhile, and writes to the former one may be lost".into(),
            });
        }
        Ok(())
    }

    /// The checkpoint of a partition, if this process may still write it.
    pub(super) fn own_checkpoint(&self, partition: u32) -> Document {
        let mut filter = doc! { "_id": self.checkpoint_id(partition), "Token": self.record.token };
        if let Some(claims) = &self.claims {
            filter.extend(claims.condition(Task::Build(partition)));
        }
        filter
    }

    pub(in crate::store) fn checkpoint_id(&self, partition: u32) -> String {
        format!("{}/{partition}", self.record.id)
    }
}
