//! Checks of collections whose name another one is about to take, and the indexes that are carried over.
//!
//! A renamed collection keeps its own options, so that the special options of the one it replaces would be
//! lost unnoticed. A collection with options that can't be carried over is refused before the fence.

use std::collections::HashSet;

use bson::{Bson, Document, doc};
use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::lifecycle::aside_name;
use crate::plan::Topology;
use crate::store::connection::{LONG_CALL_SECONDS, Snapshots, call, call_within};
use crate::store::control::{ActiveGeneration, Mandate, active_in};

impl Snapshots<'_> {
    /// Refuses to take these names if one of them isn't that of a plain collection, before anything is
    /// changed.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the obstacle and a remedy.
    pub(crate) async fn check_replaceable(self, names: &[String]) -> Result<()> {
        if !self.store.facts.drops_by_uuid() {
            return Err(Error::Unsupported(format!(
                "MongoDB {} may drop another collection than the one that is meant to give way (6.0 and \
                 newer name it \
                 by its UUID): use the mode pointer or view",
                self.store.facts.version
            )));
        }
        for name in names {
            if let Some(reason) = obstacle(name, self.listed(name).await?.as_ref()) {
                return Err(Error::Unsupported(reason));
            }
        }
        Ok(())
    }

    /// Prepares the copies of the active generation's collections: drops an old copy that has other indexes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if no record or pointer of ours names it.
    pub(crate) async fn clear_asides(self, active: &ActiveGeneration, mandate: &Mandate) -> Result<()> {
        for name in &active.collections {
            let aside = aside_name(name, active.active);
            if self.listed(&aside).await?.is_none() {
                continue;
            }
            let wanted = self.indexes(name).await?;
            if self.indexes(&aside).await?.iter().all(|index| wanted.contains(index)) {
                continue;
            }
            if !self.names_of_ours().await?.contains(&aside) {
                return Err(Error::Unsupported(format!(
                    "{aside} is where {name} would be copied to, but it has indexes that {name} doesn't \
                     have, and \
                     statefold knows nothing of it: rename it, or drop it (db.{aside}.drop())"
                )));
            }
            mandate.check()?;
            tracing::info!(collection = %aside, "dropping an old copy that has other indexes");
            let collection = self.store.collection(&aside);
            call("dropping an old copy", async move { collection.drop().await }).await?;
        }
        Ok(())
    }

    /// Creates the indexes on collection `to` that only `from` has, so that queries find them after `to`
    /// has taken the name of `from`.
    ///
    /// # Errors
    /// The server's error.
    pub(crate) async fn carry_indexes(self, from: &str, to: &str, mandate: &Mandate) -> Result<()> {
        let missing = beyond(self.indexes(from).await?, &self.indexes(to).await?);
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = missing.iter().filter_map(|index| index.get_str("name").ok()).collect();
        tracing::info!(%from, %to, ?names, "creating the application's indexes too");
        let mut command =
            doc! { "createIndexes": to, "indexes": missing, "writeConcern": { "w": "majority" } };
        if self.store.facts.topology != Topology::Standalone {
            // The default waits for every member, also one that is down.
            command.insert("commitQuorum", "majority");
        }
        mandate.check()?;
        let db = self.store.db.clone();
        let create = async move { db.run_command(command).await };
        call_within(LONG_CALL_SECONDS, &format!("creating the indexes of {from} on {to}"), create)
            .await
            .map(|_| ())
    }

    /// Names of all collections in pointers and build records.
    pub(in crate::store) async fn names_of_ours(self) -> Result<HashSet<String>> {
        let mut names = HashSet::new();
        let control = self.store.control().document().await?.unwrap_or_default();
        for projection in control.get_document("Generations").into_iter().flat_map(Document::keys) {
            let Some(active) = active_in(&control, projection)? else { continue };
            names.extend(active.collections);
            names.extend(active.previous.into_iter().flat_map(|former| former.collections));
        }
        for record in self.store.builds().records(None).await? {
            names.extend(record.targets.into_iter().flat_map(|target| [target.collection, target.staging]));
            names.extend(
                record.swap.into_iter().flatten().flat_map(|swap| [swap.from, swap.into, swap.aside]),
            );
        }
        names.remove("");
        Ok(names)
    }

    /// The server's listing of the collection or view with a name.
    pub(super) async fn listed(self, name: &str) -> Result<Option<Document>> {
        let (db, filter) = (self.store.db.clone(), doc! { "name": name });
        let command = doc! { "listCollections": 1, "filter": filter };
        let list = async move { db.run_cursor_command(command).await?.try_collect::<Vec<Document>>().await };
        Ok(call("looking at a collection", list).await?.pop())
    }

    /// The indexes of a collection except that on `_id`, without fields that the server adds.
    async fn indexes(self, name: &str) -> Result<Vec<Document>> {
        let (db, command) = (self.store.db.clone(), doc! { "listIndexes": name });
        let list = async move { db.run_cursor_command(command).await?.try_collect::<Vec<Document>>().await };
        let found = call("listing indexes", list).await?;
        let others = found.into_iter().filter(|index| index.get_str("name").ok() != Some("_id_"));
        let plain = |mut index: Document| {
            ["ns", "v", "background"].iter().for_each(|added| _ = index.remove(added));
            index
        };
        Ok(others.map(plain).collect())
    }
}

/// The reason that a collection can't be replaced by another one; `None` if it is a plain collection.
fn obstacle(name: &str, listed: Option<&Document>) -> Option<String> {
    let Some(listed) = listed else {
        return Some(format!(
            "the active generation's collection {name} isn't there: its name can't be taken; use the mode \
             pointer, or \
             restore it"
        ));
    };
    let none = Document::new();
    let options = listed.get_document("options").unwrap_or(&none);
    let has = |option: &str| match options.get(option) {
        None | Some(Bson::Boolean(false) | Bson::Null) => false,
        Some(Bson::Document(document)) => !document.is_empty(),
        Some(_) => true,
    };
    let what = match listed.get_str("type") {
        Ok("view") => {
            return Some(format!("{name} is a view, not a collection: use the mode view or pointer"));
        }
        Ok("timeseries") => "is a time series",
        _ if has("capped") => "is capped",
        _ if has("clusteredIndex") => "is clustered",
        _ if has("encryptedFields") => "has encrypted fields",
        _ if has("collation") => "has a collation of its own",
        _ if has("validator") => {
            return Some(format!(
                "{name} has a validator, which the new collection wouldn't have: remove it \
                 (db.runCommand({{collMod: \"{name}\", validator: {{}}}})), or use the mode pointer"
            ));
        }
        _ => return None,
    };
    Some(format!("{name} {what}, which the new collection wouldn't be or have: use the mode pointer"))
}

/// The missing indexes: those with neither an equal one nor one of the same name in `there`.
fn beyond(indexes: Vec<Document>, there: &[Document]) -> Vec<Document> {
    let named = |index: &Document| index.get_str("name").unwrap_or_default().to_owned();
    // The server refuses an index that differs from an existing one only in its name.
    let meaning = |index: &Document| {
        let mut index = index.clone();
        index.remove("name");
        index
    };
    let names: HashSet<String> = there.iter().map(named).collect();
    let is_there = |index: &Document| {
        let same_name = names.contains(&named(index));
        if same_name && !there.contains(index) {
            let name = named(index);
            tracing::warn!(name, "an index of the application has the name of another one, and is left out");
        }
        same_name || there.iter().any(|existing| meaning(existing) == meaning(index))
    };
    indexes.into_iter().filter(|index| !is_there(index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_collection_gives_way() {
        let listed = |kind: &str, options: Document| doc! { "name": "S", "type": kind, "options": options };
        let said = |kind: &str, options: Document| obstacle("S", Some(&listed(kind, options)));
        assert_eq!(said("collection", doc! {}), None);
        assert_eq!(said("collection", doc! { "validator": {}, "capped": false }), None);
        assert!(obstacle("S", None).is_some_and(|text| text.contains("isn't there")));
        for (kind, options, word) in [
            ("view", doc! { "viewOn": "T", "pipeline": [] }, "is a view"),
            ("timeseries", doc! { "timeseries": { "timeField": "t" } }, "time series"),
            ("collection", doc! { "capped": true, "size": 4096 }, "capped"),
            ("collection", doc! { "collation": { "locale": "de" } }, "collation"),
            ("collection", doc! { "validator": { "a": 1 } }, "collMod"),
            ("collection", doc! { "clusteredIndex": { "key": { "_id": 1 } } }, "clustered"),
        ] {
            assert!(
                said(kind, options).is_some_and(|text| text.contains(word) && text.contains("use the mode"))
            );
        }
    }

    #[test]
    fn what_is_there_under_another_name_is_not_missing() {
        let index = |name: &str, key: Document| doc! { "key": key, "name": name };
        let there = [index("a_1", doc! { "a": 1 }), index("b_1", doc! { "b": 1 })];
        let wanted = vec![
            index("mine", doc! { "a": 1 }),
            index("b_1", doc! { "c": 1 }),
            doc! { "key": { "a": 1 }, "name": "unique", "unique": true },
            index("d_1", doc! { "d": 1 }),
        ];
        let names: Vec<String> = beyond(wanted, &there)
            .iter()
            .map(|index| index.get_str("name").unwrap_or_default().into())
            .collect();
        assert_eq!(names, ["unique", "d_1"]);
    }
}
