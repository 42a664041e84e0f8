//! A generation under another one's name: the collection with that name is copied aside on the server, then
//! one `renameCollection` puts the new one in its place. Two renames would leave a gap that readers see.
//!
//! The rename names the UUID of the collection it drops, so that no other one is ever dropped; and after a
//! crash UUIDs tell which of two collections has the name.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bson::{Document, Uuid, doc};

use crate::error::{Class, Error, Result};
use crate::lifecycle::{BuildState, aside_name};
use crate::plan::staging_name;
use crate::store::builds::BuildStore;
use crate::store::connection::{INDEX_BUILD, OUT_OF_TIME, Snapshots, UUID_MISMATCH, call, refused_writes};
use crate::store::control::ActiveGeneration;
use crate::store::records::{BuildRecord, SwapRecord};
use crate::store::snapshots::dropping::listed_uuid;

/// Time that a rename inside the fence may wait: inserts into both collections queue behind it.
const RENAME_MS_MAX: i64 = 500;
/// Renames at a time, once the first one is done.
const RENAMES: usize = 8;
/// Pause before an obstructed rename is retried inside the fence.
const RENAME_PAUSE: Duration = Duration::from_millis(20);

/// Whether the obstacle passes by itself: an open transaction, an index build, an election.
pub(crate) fn is_busy(error: &Error) -> bool {
    let busy = matches!(error, Error::Server { code: Some(OUT_OF_TIME | INDEX_BUILD), .. });
    busy || error.class() == Class::Transient
}

impl Snapshots<'_> {
    /// Whether readers use a generation already, because it has the name of the collection they read.
    pub(crate) async fn is_swapped(self, record: &BuildRecord) -> Result<bool> {
        let Some(swap) = &record.swap else { return Ok(false) };
        let uuids = self.uuids().await?;
        Ok(swap.iter().any(|swap| uuids.get(&swap.into) == Some(&swap.uuid)))
    }

    /// Whether a generation is published, but was never active, and readers don't use it.
    pub(crate) async fn is_unused(self, record: &BuildRecord) -> Result<bool> {
        if record.state != BuildState::Published || record.adopted {
            return Ok(false);
        }
        let known = self.store.control().active(&record.projection).await?.is_some_and(|active| {
            let number = record.generation;
            active.active == number || active.previous.iter().any(|former| former.generation == number)
        });
        Ok(!known && !self.is_swapped(record).await?)
    }

    /// UUIDs of all collections, by name.
    pub(crate) async fn uuids(self) -> Result<HashMap<String, Uuid>> {
        let found = self.store.list("listing the collections").await?;
        let uuid = |listed: Document| Some((listed.get_str("name").ok()?.to_owned(), listed_uuid(&listed)?));
        Ok(found.into_iter().filter_map(uuid).collect())
    }
}

impl BuildStore {
    /// The renames that give this build the names of the active generation, whose content is copied aside.
    ///
    /// # Errors
    /// [`Error::State`] if one of the collections isn't there.
    pub(crate) async fn swap(&self, active: &ActiveGeneration) -> Result<Vec<SwapRecord>> {
        let uuids = self.store.snapshots().uuids().await?;
        let uuid = |name: &str| {
            uuids.get(name).copied().ok_or_else(|| Error::State {
                build: self.record.id.clone(),
                expected: format!("the collection {name}"),
                actual: "without it".to_owned(),
            })
        };
        let mut swap = Vec::new();
        for (target, into) in active.collections.iter().enumerate() {
            let from = self.collection_of(target).unwrap_or_default().to_owned();
            swap.push(SwapRecord {
                uuid: uuid(&from)?,
                former_uuid: uuid(into)?,
                aside: aside_name(into, active.active),
                into: into.clone(),
                from,
                done: false,
            });
        }
        Ok(swap)
    }

    /// Renames the collections that don't have their new names yet: the first one alone, the others some at a
    /// time. Once the first one is renamed, obstacles to the others are waited for, up to `until`.
    ///
    /// # Errors
    /// [`Error::State`] if another collection has the name by now; a [busy](is_busy) error if something is in
    /// the way; the server's error.
    pub(crate) async fn rename_into(&mut self, until: Instant) -> Result<()> {
        loop {
            let swaps = || self.record.swap.iter().flatten();
            let at_a_time = if swaps().any(|swap| swap.done) { RENAMES } else { 1 };
            let next: Vec<SwapRecord> = swaps().filter(|swap| !swap.done).take(at_a_time).cloned().collect();
            if next.is_empty() {
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            let renamed =
                futures::future::join_all(next.iter().map(|swap| self.rename_one(swap, left))).await;
            // One that doesn't pass by itself comes first.
            let failed = renamed.into_iter().filter_map(Result::err).min_by_key(is_busy);
            if failed.is_some() {
                // A collection may be renamed even so, if only the reply was lost.
                self.read_renamed().await?;
            } else {
                for swap in self.record.swap.iter_mut().flatten() {
                    swap.done |= next.iter().any(|next| next.uuid == swap.uuid);
                }
            }
            let any = self.record.swap.iter().flatten().any(|swap| swap.done);
            match failed {
                Some(error) if !any || !is_busy(&error) || Instant::now() >= until => return Err(error),
                Some(_) => tokio::time::sleep(RENAME_PAUSE).await,
                None => {}
            }
        }
    }

    async fn rename_one(&self, swap: &SwapRecord, within: Duration) -> Result<()> {
        self.mandate.check()?;
        let within = i64::try_from(within.as_millis()).unwrap_or(i64::MAX).clamp(1, RENAME_MS_MAX);
        let command = doc! {
            "renameCollection": self.store.namespace(&swap.from), "to": self.store.namespace(&swap.into),
            "dropTarget": swap.former_uuid, "maxTimeMS": within, "writeConcern": { "w": "majority" },
        };
        let admin = self.store.db.client().database("admin");
        let doing = format!("renaming {} to {}", swap.from, swap.into);
        match call(&doing, async move { admin.run_command(command).await }).await {
            Ok(reply) => refused_writes(&doing, &reply),
            Err(Error::Server { code: Some(UUID_MISMATCH), .. }) => Err(Error::State {
                build: self.record.id.clone(),
                expected: format!("the collection {} to be the one that was copied aside", swap.into),
                actual: "another one has that name".to_owned(),
            }),
            Err(error) => Err(error),
        }
    }

    /// Reads from the server which collections have their new names.
    async fn read_renamed(&mut self) -> Result<()> {
        let uuids = self.store.snapshots().uuids().await?;
        for swap in self.record.swap.iter_mut().flatten() {
            swap.done = uuids.get(&swap.into) == Some(&swap.uuid);
        }
        Ok(())
    }

    /// Renames collections that were about to take other names back to their own, and removes the swap from
    /// the record. Returns false if one of them is gone.
    ///
    /// # Errors
    /// [`Error::State`] if another collection has such a name.
    pub(crate) async fn unswap(&mut self) -> Result<bool> {
        let uuids = self.store.snapshots().uuids().await?;
        let swaps = self.record.swap.clone().unwrap_or_default();
        if swaps.is_empty() {
            return Ok(self.record.targets.iter().all(|target| uuids.contains_key(&target.collection)));
        }
        let mut all = true;
        for (swap, target) in swaps.iter().zip(&self.record.targets) {
            match uuids.iter().find(|(_, uuid)| **uuid == swap.uuid) {
                Some((now, _)) if *now == target.collection => {}
                Some((now, _)) => self.rename(now, &target.collection).await?,
                None => all = false,
            }
        }
        self.note_swap(None).await?;
        Ok(all)
    }

    /// After a takeover: finds out which collections have their new names already, and renames the others to
    /// the staging names of our token, so that the process that was replaced can't rename them.
    ///
    /// # Errors
    /// [`Error::State`] if one of them is gone.
    pub(crate) async fn adopt_swap(&mut self) -> Result<()> {
        let uuids = self.store.snapshots().uuids().await?;
        let token = self.record.token;
        let mut swaps = self.record.swap.clone().unwrap_or_default();
        for (swap, target) in swaps.iter_mut().zip(self.record.targets.clone()) {
            swap.done = uuids.get(&swap.into) == Some(&swap.uuid);
            if swap.done {
                continue;
            }
            let is_staged = crate::plan::staging_token(&target.collection, &swap.from).is_some();
            let ours = if is_staged { staging_name(&target.collection, token) } else { swap.from.clone() };
            let now = uuids.iter().find(|(_, uuid)| **uuid == swap.uuid).map(|(name, _)| name.clone());
            match now {
                Some(now) if now == ours => {}
                Some(now) => self.rename(&now, &ours).await?,
                None => {
                    return Err(Error::State {
                        build: self.record.id.clone(),
                        expected: format!("its collection {}", swap.from),
                        actual: "without it".to_owned(),
                    });
                }
            }
            swap.from = ours;
        }
        self.record.swap = Some(swaps);
        Ok(())
    }
}
