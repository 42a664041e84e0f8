//! Checks of collections whose name another one is about to take, and the indexes that are carried over.
//!
//! A renamed collection keeps its own options, so that the special options of the one it replaces would be
//! lost unnoticed. A collection with options that can't be carried over is refused before the fence.

use std::collections::HashSet;

use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use statefold_projections::Spec;

use crate::error::{Error, Result};
use crate::plan::Topology;
use crate::store::connection::{LONG_CALL_SECONDS, Snapshots, call, call_within};
use crate::store::control::{Mandate, active_in};
use crate::store::snapshots::staging::index_document;

/// What is about to take the names of collections.
#[derive(Clone, Copy)]
pub(crate) enum Successors<'a> {
    /// Collections that exist.
    Built(&'a [String]),
    /// Those that a projection would be built into.
    Planned(&'a Spec),
}

impl Snapshots<'_> {
    /// Refuses to take these names if one of them isn't that of a plain collection, or if it has an index
    /// whose name another index of its `successors` has, before anything is changed.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the obstacle and a remedy.
    pub(crate) async fn check_replaceable(self, names: &[String], successors: Successors<'_>) -> Result<()> {
        if !self.store.facts.drops_by_uuid() {
            return Err(Error::Unsupported(format!(
                "MongoDB {} may drop another collection than the one that is meant to give way (6.0 and \
                 newer name it \
                 by its UUID): use the mode pointer or view",
                self.store.facts.version
            )));
        }
        for name in names {
            if let Some(reason) =
                obstacle(name, &self.store.in_shell(name), self.listed(name).await?.as_ref())
            {
                return Err(Error::Unsupported(reason));
            }
        }
        for (at, name) in names.iter().enumerate() {
            let there = match successors {
                Successors::Built(collections) => match collections.get(at) {
                    Some(collection) => self.indexes(collection).await?,
                    None => Vec::new(),
                },
                Successors::Planned(spec) => {
                    let target = spec.targets().get(at);
                    target.into_iter().flat_map(|target| target.indexes()).map(index_document).collect()
                }
            };
            if let Some(index) = self.indexes(name).await?.iter().find_map(|index| clash(index, &there)) {
                return Err(Error::Unsupported(format!(
                    "{name} has an index {index} that differs from the one of that name that the new \
                     collection has, which would replace it: give it another name or drop it \
                     ({}.{name}.dropIndex(\"{index}\")), or use the mode pointer",
                    self.store.in_shell(name)
                )));
            }
        }
        Ok(())
    }

    /// Switches pre-images on for collection `to` if `from` has them, so that the application's change
    /// streams go on showing them.
    ///
    /// # Errors
    /// The server's error.
    pub(crate) async fn carry_options(self, from: &str, to: &str, mandate: &Mandate) -> Result<()> {
        let listed = self.listed(from).await?.unwrap_or_default();
        let options = listed.get_document("options").ok();
        let Some(images) = options.and_then(|options| options.get_document(PRE_IMAGES).ok()) else {
            return Ok(());
        };
        tracing::info!(%from, %to, "switching pre-images on, too");
        mandate.check()?;
        let command = doc! { "collMod": to, PRE_IMAGES: images, "writeConcern": { "w": "majority" } };
        self.store.command_for(to, "switching pre-images on", command).await.map(|_| ())
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
        let db = self.store.database_of(to).clone();
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
        self.store.list_one("looking at a collection", name).await
    }

    /// The indexes of a collection except that on `_id`, without fields that the server adds.
    async fn indexes(self, name: &str) -> Result<Vec<Document>> {
        let (db, command) = (self.store.database_of(name).clone(), doc! { "listIndexes": name });
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

/// The option that lets change streams show documents as they were.
const PRE_IMAGES: &str = "changeStreamPreAndPostImages";
/// Options that say nothing, or are [carried over](Snapshots::carry_options).
const PLAIN: [&str; 6] = ["validationLevel", "validationAction", "uuid", "autoIndexId", "flags", PRE_IMAGES];

/// The name of an index that another one there has.
fn clash(index: &Document, there: &[Document]) -> Option<String> {
    let name = index.get_str("name").ok()?;
    let same = there.iter().find(|other| other.get_str("name").ok() == Some(name))?;
    (plain(same) != plain(index)).then(|| name.to_owned())
}

/// An index without what says nothing: the type of a number, and options that are off.
fn plain(index: &Document) -> Document {
    let value = |value: &Bson| match value {
        Bson::Int32(number) => Bson::Double(f64::from(*number)),
        #[expect(clippy::cast_precision_loss, reason = "directions and sizes are small")]
        Bson::Int64(number) => Bson::Double(*number as f64),
        Bson::Document(inner) => Bson::Document(plain(inner)),
        other => other.clone(),
    };
    let is_on = |value: &Bson| !matches!(value, Bson::Boolean(false) | Bson::Null);
    let fields = index.iter().filter(|(_, value)| is_on(value));
    fields.map(|(name, field)| (name.clone(), value(field))).collect()
}

/// The reason that a collection can't be replaced by another one; `None` if it is a plain collection.
/// `database`: its database, for a shell.
fn obstacle(name: &str, database: &str, listed: Option<&Document>) -> Option<String> {
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
                 ({database}.runCommand({{collMod: \"{name}\", validator: {{}}}})), or use the mode pointer"
            ));
        }
        _ => {
            // Options that aren't known here would be lost unnoticed.
            let is_plain = |option: &str| PLAIN.contains(&option) || !has(option);
            let odd = options.keys().find(|option| !is_plain(option))?;
            return Some(format!(
                "{name} has the option {odd}, which the new collection wouldn't have: use the mode pointer"
            ));
        }
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
        names.contains(&named(index)) || there.iter().any(|existing| meaning(existing) == meaning(index))
    };
    indexes.into_iter().filter(|index| !is_there(index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_collection_gives_way() {
        let listed = |kind: &str, options: Document| doc! { "name": "S", "type": kind, "options": options };
        let said = |kind: &str, options: Document| obstacle("S", "db", Some(&listed(kind, options)));
        assert_eq!(said("collection", doc! {}), None);
        assert_eq!(said("collection", doc! { "validator": {}, "capped": false }), None);
        assert_eq!(said("collection", doc! { PRE_IMAGES: { "enabled": true } }), None);
        assert!(obstacle("S", "db", None).is_some_and(|text| text.contains("isn't there")));
        for (kind, options, word) in [
            ("view", doc! { "viewOn": "T", "pipeline": [] }, "is a view"),
            ("timeseries", doc! { "timeseries": { "timeField": "t" } }, "time series"),
            ("collection", doc! { "capped": true, "size": 4096 }, "capped"),
            ("collection", doc! { "collation": { "locale": "de" } }, "collation"),
            ("collection", doc! { "validator": { "a": 1 } }, "collMod"),
            ("collection", doc! { "clusteredIndex": { "key": { "_id": 1 } } }, "clustered"),
            ("collection", doc! { "storageEngine": { "wiredTiger": {} } }, "the option storageEngine"),
        ] {
            assert!(
                said(kind, options).is_some_and(|text| text.contains(word) && text.contains("use the mode"))
            );
        }
    }

    #[test]
    fn an_index_clashes_with_another_one_of_its_name() {
        let index = |unique: bool| doc! { "key": { "a": 1 }, "name": "a_1", "unique": unique };
        assert_eq!(clash(&index(true), &[index(false)]).as_deref(), Some("a_1"));
        assert_eq!(clash(&index(true), &[index(true)]), None);
        let by_shell = doc! { "key": { "a": 1.0 }, "name": "a_1" };
        assert_eq!(clash(&by_shell, &[index(false)]), None);
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
