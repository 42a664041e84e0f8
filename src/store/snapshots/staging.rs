//! The staging collections of a build: created, filled, cleared, indexed, renamed, dropped.

use backon::Retryable;
use bson::{Document, doc};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use mongodb::options::RunCursorCommandOptions;
use statefold_projections::{IndexDefinition, Spec};

use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, Head};
use crate::pipeline::pauses;
use crate::pipeline::ports::{PartitionRecord, RefoldPart, Refolded, Replaced, SnapshotSink, Staging, Term};
use crate::plan::{Partition, StreamRange, exchange_name, is_exchange, staging_name, staging_token};
use crate::store::builds::{BuildStore, failed_streams};
use crate::store::connection::{
    INDEX_BUILD, LONG_CALL_SECONDS, NAMESPACE_EXISTS, call, call_within, classify, code, insertion,
    refused_writes,
};
use crate::store::snapshots::before::BeforeRefold;

const IDS_PER_BATCH: u32 = 10_000;

impl BuildStore {
    /// Creates the staging collections.
    pub(crate) async fn create_staging(&self) -> Result<()> {
        for target in &self.record.targets {
            let (db, name) = (self.store.database_of(&target.staging).clone(), target.staging.clone());
            let create = async move {
                match db.create_collection(name).await {
                    Err(error) if code(&error) == Some(NAMESPACE_EXISTS) => Ok(()),
                    other => other,
                }
            };
            call("creating a staging collection", create).await?;
        }
        Ok(())
    }

    /// Names the staging collections after our token, before they are created.
    pub(crate) fn name_staging(&mut self) {
        let token = self.record.token;
        for target in &mut self.record.targets {
            target.staging = staging_name(&target.collection, token);
        }
    }

    /// Aborts the build: drops its collections and removes its records but its own, which is marked as
    /// aborted. Readers must not use it.
    ///
    /// # Errors
    /// [`Error::State`] if it is or was active.
    pub(crate) async fn abort(&mut self) -> Result<Vec<String>> {
        let published = self.record.state == BuildState::Published;
        if published {
            self.unswap().await?;
        }
        // The state first: from then on no run resumes the build.
        self.advance(BuildState::Aborted, |_| {}).await?;
        let mut dropped = self.drop_staging().await?;
        if published {
            let uuids = self.store.snapshots().uuids().await?;
            for target in &self.record.targets {
                let Some(uuid) = uuids.get(&target.collection) else { continue };
                self.store.snapshots().drop_listed(&target.collection, *uuid, &self.mandate).await?;
                dropped.push(target.collection.clone());
            }
        }
        self.forget_all().await?;
        Ok(dropped)
    }

    /// Renames the staging collections of a build that was taken over to the names of our token, whichever
    /// token they carry now, and drops collections that a process with an older token created again.
    ///
    /// # Errors
    /// [`Error::State`] if one of them is gone.
    pub(crate) async fn adopt_staging(&mut self) -> Result<()> {
        let names = self.store.collection_names().await?;
        for at in 0..self.record.targets.len() {
            let Some(target) = self.record.targets.get(at).cloned() else { continue };
            let ours = staging_name(&target.collection, self.record.token);
            let mut found: Vec<(i64, &String)> = names
                .iter()
                .filter_map(|name| Some((staging_token(&target.collection, name)?, name)))
                .filter(|(token, _)| *token <= self.record.token)
                .collect();
            // The collection the record names is the build's; one with a higher token is from an interrupted
            // takeover. One with a lower token was created again by a process that was replaced.
            found.sort_unstable();
            // What was exchanged is read again.
            let exchanged: Vec<(i64, &String)> =
                found.extract_if(.., |(_, name)| is_exchange(name)).collect();
            let named = staging_token(&target.collection, &target.staging).unwrap_or(i64::MIN);
            let newest = found.pop_if(|(token, _)| *token >= named);
            match newest {
                Some((_, name)) if *name == ours => {}
                Some((_, name)) => self.rename(name, &ours).await?,
                // Interrupted while it was published: no pointer names it yet, so it becomes staging again.
                None if names.contains(&target.collection) => self.rename(&target.collection, &ours).await?,
                None => {
                    return Err(Error::State {
                        build: self.record.id.clone(),
                        expected: format!("its staging collection {}", target.staging),
                        actual: "without it".to_owned(),
                    });
                }
            }
            for (_, stale) in found.into_iter().chain(exchanged) {
                tracing::warn!(collection = %stale, "dropping a staging collection that nobody uses");
                self.drop_collection(stale).await?;
            }
            if let Some(target) = self.record.targets.get_mut(at) {
                target.staging = ours;
            }
        }
        Ok(())
    }

    /// Renames a collection of snapshots; the new name must be free.
    pub(in crate::store) async fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.mandate.check()?;
        let admin = self.store.db.client().database("admin");
        let (from_namespace, to_namespace) = (self.store.namespace(from), self.store.namespace(to));
        let command = doc! {
            "renameCollection": from_namespace, "to": to_namespace,
            "maxTimeMS": 30_000, "writeConcern": { "w": "majority" },
        };
        let doing = format!("renaming {from} to {to}");
        let attempt = || {
            let (admin, command) = (admin.clone(), command.clone());
            call(&doing, async move { admin.run_command(command).await })
        };
        // The index build of a dead process continues for a while.
        let busy = |error: &Error| matches!(error, Error::Server { code: Some(INDEX_BUILD), .. });
        let reply = attempt.retry(pauses()).when(busy).await?;
        refused_writes(&doing, &reply)
    }

    async fn drop_collection(&self, name: &str) -> Result<()> {
        self.store.snapshots().drop_named(name, &self.mandate).await
    }

    /// Drops collections that late writes of this process created again under its own token, after another
    /// process took the build over and renamed the staging collections.
    pub(crate) async fn drop_leftovers(&self) -> Result<Vec<String>> {
        let now = self.store.builds().records(Some(&self.record.projection)).await?;
        let now = now.into_iter().find(|record| record.id == self.record.id);
        let Some(now) = now.filter(|now| now.token > self.record.token) else { return Ok(Vec::new()) };
        let names = self.store.collection_names().await?;
        let mut dropped = Vec::new();
        for target in now.targets {
            let moved = staging_token(&target.collection, &target.staging) > Some(self.record.token);
            let (collection, token) = (&target.collection, self.record.token);
            for ours in [staging_name(collection, token), exchange_name(collection, token)] {
                let is_used = !moved && now.state.is_resumable();
                if is_used || !names.contains(&ours) {
                    continue;
                }
                let listed = self.store.snapshots().listed(&ours).await?;
                if let Some(uuid) = listed.as_ref().and_then(super::dropping::listed_uuid) {
                    self.store.snapshots().drop_uuid(&ours, uuid).await?;
                    dropped.push(ours);
                }
            }
        }
        Ok(dropped)
    }

    /// Drops all staging collections of this build, of whatever token. Returns their names.
    pub(crate) async fn drop_staging(&self) -> Result<Vec<String>> {
        let names = self.store.collection_names().await?;
        let is_staging = |name: &&String| {
            self.record.targets.iter().any(|target| staging_token(&target.collection, name).is_some())
        };
        let dropped: Vec<String> = names.into_iter().filter(|name| is_staging(&name)).collect();
        for name in &dropped {
            self.drop_collection(name).await?;
        }
        Ok(dropped)
    }

    /// Builds the missing indexes of every target.
    pub(crate) async fn create_indexes(&self, spec: &Spec) -> Result<()> {
        for (target, definition) in self.record.targets.iter().zip(spec.targets()) {
            if definition.indexes().is_empty() {
                continue;
            }
            // The server builds the indexes of a command on one thread: two commands take about half as long.
            // The first index is the widest.
            let indexes: Vec<Document> = definition.indexes().iter().map(index_document).collect();
            let (first, others) = indexes.split_at(1);
            let parts = [first, others].into_iter().filter(|part| !part.is_empty());
            let commands = parts.map(|part| {
                let mut command = doc! {
                    "createIndexes": &target.staging, "indexes": part.to_vec(),
                    "writeConcern": { "w": "majority" },
                };
                if self.record.t0.is_some() {
                    // The default waits for every member, also one that is down.
                    command.insert("commitQuorum", "majority");
                }
                let db = self.store.database_of(&target.staging).clone();
                let create = async move { db.run_command(command).await };
                call_within(LONG_CALL_SECONDS, "building indexes", create)
            });
            // Both are awaited: one that goes on would be in the way of the next attempt.
            for built in futures::future::join_all(commands).await {
                built?;
            }
        }
        Ok(())
    }

    fn staging(&self, target: usize) -> Result<&str> {
        let found = self.collection_of(target);
        found.ok_or_else(|| Error::Bug(format!("{} has no target {target}", self.record.id)))
    }

    /// Filter for the snapshots whose streams are in a range: a stream's name is a prefix and the
    /// snapshot's id.
    fn id_filter(&self, range: &StreamRange) -> Document {
        let id = |name: &str| name.strip_prefix(&self.prefix).unwrap_or_default().to_owned();
        let mut bounds = doc! { "$gte": id(&range.first) };
        if let Some(end) = range.end.as_deref().filter(|end| end.starts_with(&self.prefix)) {
            bounds.insert("$lt", id(end));
        }
        doc! { "_id": bounds }
    }
}

pub(super) fn index_document(index: &IndexDefinition) -> Document {
    let keys: Document =
        index.keys().iter().map(|(field, direction)| (field.clone(), direction.as_i32().into())).collect();
    let mut document = doc! { "key": keys, "name": index.name() };
    if index.is_unique() {
        document.insert("unique", true);
    }
    document
}

impl SnapshotSink for BuildStore {
    fn insert(&self, target: usize, documents: &[&[u8]], again: bool) -> BoxFuture<'static, Result<Term>> {
        match self.mandate.check().and_then(|()| self.staging(target)) {
            Ok(name) => {
                let place = (self.store.facts.topology, self.store.database_of(name));
                insertion(place, name, "writing snapshots", documents, again).boxed()
            }
            Err(error) => futures::future::ready(Err(error)).boxed(),
        }
    }

    fn clear<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<bool>> {
        async move {
            if !self.forget(partition.number).await? {
                return Ok(false);
            }
            for target in &self.record.targets {
                self.mandate.check()?;
                let name = &target.staging;
                let collection = self.store.database_of(name).collection::<Document>(name);
                let filter = self.id_filter(&partition.range);
                let delete = async move { collection.delete_many(filter).await };
                call_within(LONG_CALL_SECONDS, "clearing a partition", delete).await?;
            }
            Ok(true)
        }
        .boxed()
    }

    fn finish<'a>(
        &'a self,
        partition: &'a Partition,
        record: &'a PartitionRecord,
        terms: &'a [Term],
    ) -> BoxFuture<'a, Result<()>> {
        async move {
            let mut terms = terms.to_vec();
            terms.extend(self.write_heads(partition.number, &record.heads).await?);
            failed_streams::write(self, partition.number, &record.failed_streams).await?;
            self.write_checkpoint(partition.number, record, &terms).await
        }
        .boxed()
    }
}

impl Staging for BuildStore {
    type Before = BeforeRefold;

    fn before<'a>(
        &'a self,
        parts: &'a [RefoldPart],
        bytes_max: usize,
    ) -> BoxFuture<'a, Result<BeforeRefold>> {
        self.before_refold(parts, bytes_max).boxed()
    }

    fn replace(&self, before: BeforeRefold, refolded: Refolded) -> BoxFuture<'_, Result<Replaced>> {
        self.replace_streams(before, refolded).boxed()
    }

    fn recorded_heads<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<Vec<(u64, Head)>>> {
        self.read_heads(partition.number).boxed()
    }

    fn ids(&self, target: usize, partition: &Partition) -> BoxStream<'static, Result<Vec<String>>> {
        let doing = "reading the snapshots' ids";
        let name = self.staging(target).unwrap_or_default().to_owned();
        let db = self.store.database_of(&name).clone();
        let command = doc! {
            "find": name, "filter": self.id_filter(&partition.range), "projection": { "_id": 1 },
            "hint": { "_id": 1 }, "batchSize": i64::from(IDS_PER_BATCH),
        };
        let options = RunCursorCommandOptions::builder().batch_size(IDS_PER_BATCH).build();
        let opened = async move {
            let open = async move { db.run_cursor_command(command).with_options(options).await };
            let cursor = call(doing, open).await?;
            let ids = cursor.map_err(move |error| classify(doing, error)).try_chunks(IDS_PER_BATCH as usize);
            Ok::<_, Error>(ids.map(|chunk| {
                match chunk {
                    Ok(documents) => Ok(documents
                        .iter()
                        .filter_map(|document| document.get_str("_id").ok().map(str::to_owned))
                        .collect()),
                    Err(error) => Err(error.1),
                }
            }))
        };
        futures::stream::once(opened).try_flatten().boxed()
    }
}
