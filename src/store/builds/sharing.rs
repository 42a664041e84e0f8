//! Partitions that several processes share: opened, claimed, sealed.
//!
//! `Claim {Worker, Host, At}` and the number `Claims` are in the checkpoint of a partition. A claim is taken
//! by one conditional write, and raises the number; what a process writes of a partition afterwards is
//! conditional on its claim, so that a partition counts as what its last claimant made it. Parts of the
//! natural order are claimed alike; while any isn't read, no partition can be claimed.

use std::collections::BTreeMap;

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::lifecycle::BuildState;
use crate::plan::{Partition, sealed_name};
use crate::store::builds::BuildStore;
use crate::store::builds::claims::{Task, Unfinished};
use crate::store::builds::parts::{part_of, parts_of};
use crate::store::connection::{call, number_of};
use crate::store::control::ProcessIdentity;
use crate::store::records::{CHECKPOINTS, ids_of};

impl BuildStore {
    /// Opens these partitions to all workers. `touched` says that the staging collections may hold something
    /// of them.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process took the build over.
    pub(crate) async fn open_to_workers(&mut self, todo: &[Partition], touched: bool) -> Result<()> {
        self.mandate.check()?;
        let ids: Vec<String> = todo.iter().map(|partition| self.checkpoint_id(partition.number)).collect();
        let checkpoints = self.store.collection(CHECKPOINTS);
        let filter = doc! { "_id": { "$in": ids }, "Token": self.record.token };
        let open = doc! {
            "$set": { "Done": false, "Open": true }, "$max": { "Claims": i64::from(touched) },
            "$unset": { "Claim": "", "DoneBy": "", "Failure": "", "Failures": "" },
        };
        let update = async move { checkpoints.update_many(filter, open).await };
        let matched = call("opening the partitions", update).await?.matched_count;
        if matched != todo.len() as u64 {
            return Err(self.fenced("the checkpoints"));
        }
        if self.record.exchange.is_some() {
            self.open_parts().await?;
        }
        self.advance(BuildState::Building, |record| record.shared = true).await
    }

    /// Checks that this process may still write.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub(crate) fn check_mandate(&self) -> Result<()> {
        self.mandate.check()
    }

    /// Whether a partition that this process has claimed is finished.
    pub(in crate::store) async fn is_finished_here(&self, partition: u32) -> Result<bool> {
        let Some(claims) = &self.claims else { return Ok(false) };
        let checkpoints = self.store.collection(CHECKPOINTS);
        let mut filter =
            doc! { "_id": self.checkpoint_id(partition), "Token": self.record.token, "Done": true };
        filter.extend(claims.condition(Task::Build(partition)));
        let find = async move { checkpoints.find_one(filter).await };
        Ok(call("looking at a checkpoint", find).await?.is_some())
    }

    /// Number of this process's claim of a partition, while several work on the build.
    pub(in crate::store) fn claim_number(&self, partition: u32) -> Option<i64> {
        self.claims.as_ref().map(|claims| claims.number(Task::Build(partition)))
    }

    /// Closes the build to workers: from now on no claim counts, nor of parts. Returns the partitions that
    /// aren't finished all the same.
    pub(crate) async fn close_to_workers(&self) -> Result<Vec<Partition>> {
        self.mandate.check()?;
        let checkpoints = self.store.collection(CHECKPOINTS);
        let ids = [ids_of(&self.record.id, None), parts_of(&self.record.id)].map(|ids| doc! { "_id": ids });
        let filter = doc! { "$or": ids.to_vec(), "Token": self.record.token };
        let close = async move { checkpoints.update_many(filter, doc! { "$unset": { "Open": "" } }).await };
        call("closing the partitions", close).await?;
        let done = self.checkpoints().await?;
        let is_done = |partition: &Partition| done.iter().any(|one| one.partition == partition.number);
        Ok(self.partitions().into_iter().filter(|partition| !is_done(partition)).collect())
    }

    /// The parts that aren't read, in order; if all are, the partitions that aren't finished.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process took the build over.
    pub(crate) async fn unfinished(&self) -> Result<Vec<Unfinished>> {
        if self.record.exchange.is_some() {
            let parts = self.unfinished_of(parts_of(&self.record.id)).await?;
            if !parts.is_empty() {
                return Ok(parts);
            }
            self.check_read().await?;
        }
        self.unfinished_of(ids_of(&self.record.id, None)).await
    }

    async fn unfinished_of(&self, ids: Document) -> Result<Vec<Unfinished>> {
        let checkpoints = self.store.collection(CHECKPOINTS);
        let filter = doc! { "_id": ids, "Done": false, "Open": true };
        let find = async move {
            let others = doc! { "Counts": 0, "Digest": 0 };
            checkpoints.find(filter).projection(others).await?.try_collect::<Vec<Document>>().await
        };
        let found = call("looking for something to do", find).await?;
        let mut unfinished = Vec::with_capacity(found.len());
        for checkpoint in &found {
            let number = |name: &str| checkpoint.get(name).and_then(number_of);
            if number("Token") != Some(self.record.token) {
                return Err(self.fenced("the checkpoints"));
            }
            let worker = checkpoint.get_document("Claim").ok().and_then(|claim| claim.get_str("Worker").ok());
            let part = part_of(checkpoint);
            let partition = number("Partition").and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
            unfinished.push(Unfinished {
                task: part.as_ref().map_or(Task::Build(partition), |part| Task::Read(part.number)),
                part,
                claims: number("Claims").unwrap_or(0),
                worker: worker.map(str::to_owned),
                failures: number("Failures").unwrap_or(0),
                failure: checkpoint.get_str("Failure").ok().map(str::to_owned),
            });
        }
        unfinished.sort_by_key(|one| one.task);
        Ok(unfinished)
    }

    /// Claims a task that is as it was seen. Returns whether it was.
    pub(crate) async fn claim(&self, seen: &Unfinished) -> Result<bool> {
        self.mandate.check()?;
        let Some(claims) = &self.claims else { return Err(Error::Bug("nobody claims here".into())) };
        let mut filter = doc! {
            "_id": self.task_id(seen.task), "Token": self.record.token, "Done": false,
            "Open": true, "Claims": seen.claims,
        };
        match &seen.worker {
            Some(worker) => filter.insert("Claim.Worker", worker),
            None => filter.insert("Claim", doc! { "$exists": false }),
        };
        let host = ProcessIdentity::me().document().remove("Host");
        let claim = doc! {
            "$set": { "Claim": { "Worker": &claims.worker, "Host": host, "At": DateTime::now() } },
            "$inc": { "Claims": 1_i64 },
        };
        let checkpoints = self.store.collection(CHECKPOINTS);
        let update = async move { checkpoints.update_one(filter, claim).await };
        let is_ours = call("claiming a task", update).await?.matched_count == 1;
        if is_ours {
            claims.hold(seen.task, seen.claims + 1);
        }
        Ok(is_ours)
    }

    /// Notes that this process failed at a task that it has claimed, and gives it back.
    pub(crate) async fn note_failure(&self, task: Task, failure: &str) -> Result<()> {
        let Some(claims) = &self.claims else { return Ok(()) };
        let mut filter = doc! { "_id": self.task_id(task), "Token": self.record.token, "Done": false };
        filter.extend(claims.condition(task));
        let change = doc! {
            "$set": { "Failure": failure }, "$inc": { "Failures": 1_i64 }, "$unset": { "Claim": "" },
        };
        let checkpoints = self.store.collection(CHECKPOINTS);
        claims.release(task);
        call("noting a failure", async move { checkpoints.update_one(filter, change).await })
            .await
            .map(|_| ())
    }

    fn task_id(&self, task: Task) -> String {
        match task {
            Task::Read(part) => self.part_id(part),
            Task::Build(partition) => self.checkpoint_id(partition),
        }
    }

    /// How many partitions each host has built, by its name; and whether other processes than this one did.
    pub(crate) async fn built_by(&self) -> Result<(BTreeMap<String, u64>, bool)> {
        let checkpoints = self.store.collection(CHECKPOINTS);
        let filter = doc! { "_id": ids_of(&self.record.id, None), "Claim": { "$exists": true } };
        let find = async move {
            checkpoints
                .find(filter)
                .projection(doc! { "Claim": 1 })
                .await?
                .try_collect::<Vec<Document>>()
                .await
        };
        let found = call("looking who built", find).await?;
        let own = self.claims.as_ref().map(|claims| claims.worker.as_str());
        let (mut hosts, mut others) = (BTreeMap::new(), false);
        for claim in found.iter().filter_map(|checkpoint| checkpoint.get_document("Claim").ok()) {
            *hosts.entry(claim.get_str("Host").unwrap_or("?").to_owned()).or_insert(0) += 1;
            others |= claim.get_str("Worker").ok() != own;
        }
        Ok((hosts, others))
    }

    /// Gives the staging collections names that no worker knows: what one still writes, late, doesn't reach
    /// them. To be called when all partitions are finished.
    pub(crate) async fn seal(&mut self) -> Result<()> {
        let names = self.store.collection_names().await?;
        for at in 0..self.record.targets.len() {
            let Some(target) = self.record.targets.get(at).cloned() else { continue };
            let sealed = sealed_name(&target.collection, self.record.token);
            // An earlier attempt may have got so far.
            if !names.contains(&sealed) {
                self.rename(&target.staging, &sealed).await?;
            }
            if let Some(target) = self.record.targets.get_mut(at) {
                target.staging = sealed;
            }
        }
        Ok(())
    }
}
