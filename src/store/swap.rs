//! A generation under another one's name: what is there is copied aside on the server, then one
//! `renameCollection` puts the new one in its place. Two renames would leave a gap that readers see.
//!
//! The rename names the UUID of what it drops, so that nothing else is ever dropped; and UUIDs tell later,
//! after a crash, which of two collections has the name.

use std::collections::HashMap;

use backon::Retryable;
use bson::{Bson, Document, Uuid, doc};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::lifecycle::aside_name;
use crate::pipeline::pauses;
use crate::plan::staging_name;
use crate::store::client::{LONG_CALL_SECONDS, call, call_within};
use crate::store::{ActiveGeneration, BuildStore, Mandate, Store};

/// Another collection has the name than the one that was to be dropped.
const UUID_MISMATCH: i32 = 361;
/// An index is being built on one of the collections.
const INDEX_BUILD: i32 = 12587;
/// How long a rename behind the fence may wait: inserts into both collections queue behind it.
const RENAME_MS_MAX: i32 = 500;

/// One collection that takes another one's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SwapRecord {
    /// Where it is before.
    pub from: String,
    /// The name it takes.
    pub into: String,
    /// Where a copy is of what had that name.
    pub aside: String,
    /// UUID of the collection.
    pub uuid: Uuid,
    /// UUID of what had the name.
    pub former_uuid: Uuid,
    /// Whether it has the name, as this process knows.
    #[serde(skip)]
    pub(crate) done: bool,
}

impl Store {
    /// UUIDs of all collections, by name.
    pub(crate) async fn uuids(&self) -> Result<HashMap<String, Uuid>> {
        let db = self.db.clone();
        let list = async move {
            db.run_cursor_command(doc! { "listCollections": 1 }).await?.try_collect::<Vec<Document>>().await
        };
        let found = call("listing the collections", list).await?;
        let uuid = |one: Document| {
            let Some(Bson::Binary(binary)) = one.get_document("info").ok()?.get("uuid").cloned() else {
                return None;
            };
            Some((one.get_str("name").ok()?.to_owned(), binary.to_uuid().ok()?))
        };
        Ok(found.into_iter().filter_map(uuid).collect())
    }

    /// Copies what the active generation has under its names, with its indexes, so that it can be rolled back
    /// to. A copy that is there already is replaced.
    ///
    /// # Errors
    /// What the server said.
    pub(crate) async fn copy_aside(&self, active: &ActiveGeneration, mandate: &Mandate) -> Result<()> {
        mandate.check()?;
        for name in &active.collections {
            let aside = aside_name(name, active.active);
            tracing::info!(collection = %name, to = %aside, "copying what will be replaced");
            let source = self.collection(name);
            let pipeline = [doc! { "$out": &aside }];
            let copy = async move { source.aggregate(pipeline).await?.try_collect::<Vec<Document>>().await };
            call_within(LONG_CALL_SECONDS, "copying a generation aside", copy).await?;
            self.copy_indexes(name, &aside).await?;
        }
        Ok(())
    }

    async fn copy_indexes(&self, from: &str, to: &str) -> Result<()> {
        let db = self.db.clone();
        let command = doc! { "listIndexes": from };
        let list = async move { db.run_cursor_command(command).await?.try_collect::<Vec<Document>>().await };
        let found = call("listing indexes", list).await?;
        let others = found.into_iter().filter(|index| index.get_str("name").ok() != Some("_id_"));
        let indexes: Vec<Document> = others
            .map(|mut index| {
                // What the server adds by itself.
                index.remove("ns");
                index
            })
            .collect();
        if indexes.is_empty() {
            return Ok(());
        }
        let command = doc! { "createIndexes": to, "indexes": indexes, "writeConcern": { "w": "majority" } };
        let db = self.db.clone();
        let create = async move { db.run_command(command).await };
        call_within(LONG_CALL_SECONDS, "copying indexes", create).await.map(|_| ())
    }
}

impl BuildStore {
    /// What it takes to give this build the names of the active generation, whose content is copied aside.
    ///
    /// # Errors
    /// [`Error::State`] if one of the collections isn't there.
    pub(crate) async fn swap(&self, active: &ActiveGeneration) -> Result<Vec<SwapRecord>> {
        let uuids = self.store.uuids().await?;
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

    /// Gives the collections their new names, those that haven't got them yet.
    ///
    /// # Errors
    /// [`Error::State`] if another collection has the name by now; what the server said.
    pub(crate) async fn rename_into(&mut self) -> Result<()> {
        let database = self.store.database().to_owned();
        let admin = self.store.db.client().database("admin");
        let id = self.record.id.clone();
        let mandate = self.mandate.clone();
        for swap in self.record.swap.iter_mut().flatten().filter(|swap| !swap.done) {
            mandate.check()?;
            let command = doc! {
                "renameCollection": format!("{database}.{}", swap.from), "to": format!("{database}.{}", swap.into),
                "dropTarget": swap.former_uuid, "maxTimeMS": RENAME_MS_MAX, "writeConcern": { "w": "majority" },
            };
            let doing = format!("renaming {} to {}", swap.from, swap.into);
            let attempt = || {
                let (admin, command) = (admin.clone(), command.clone());
                call(&doing, async move { admin.run_command(command).await })
            };
            let busy = |error: &Error| matches!(error, Error::Server { code: Some(INDEX_BUILD), .. });
            match attempt.retry(pauses()).when(busy).await {
                Ok(_) => swap.done = true,
                Err(Error::Server { code: Some(UUID_MISMATCH), .. }) => {
                    return Err(Error::State {
                        build: id,
                        expected: format!("the collection {} to be the one that was copied aside", swap.into),
                        actual: "another one has that name".to_owned(),
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// After a take-over: finds out which collections have their new names already, and brings the others
    /// under the name of our token, so that nobody who was taken over from can rename them.
    ///
    /// # Errors
    /// [`Error::State`] if one of them is gone.
    pub(crate) async fn adopt_swap(&mut self) -> Result<()> {
        let uuids = self.store.uuids().await?;
        let token = self.record.token;
        let mut swap = self.record.swap.clone().unwrap_or_default();
        for (one, target) in swap.iter_mut().zip(self.record.targets.clone()) {
            one.done = uuids.get(&one.into) == Some(&one.uuid);
            if one.done {
                continue;
            }
            let is_staged = crate::plan::staging_token(&target.collection, &one.from).is_some();
            let ours = if is_staged { staging_name(&target.collection, token) } else { one.from.clone() };
            let now = uuids.iter().find(|(_, uuid)| **uuid == one.uuid).map(|(name, _)| name.clone());
            match now {
                Some(now) if now == ours => {}
                Some(now) => self.rename(&now, &ours).await?,
                None => {
                    return Err(Error::State {
                        build: self.record.id.clone(),
                        expected: format!("its collection {}", one.from),
                        actual: "without it".to_owned(),
                    });
                }
            }
            one.from = ours;
        }
        self.record.swap = Some(swap);
        Ok(())
    }
}
