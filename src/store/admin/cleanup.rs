//! What clean-up reads and drops. Every drop names the UUID that was listed, so that a collection made
//! anew under the same name stays.

use bson::{Document, Uuid, doc};
use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::lifecycle::{
    CutOverMode, Known, KnownBuild, KnownGeneration, KnownInstance, KnownPointer, KnownTarget,
};
use crate::plan::{is_our_name, staging_token};
use crate::store::connection::{Admin, LONG_CALL_SECONDS, call, call_within, number_of, readable};
use crate::store::control::{ActiveGeneration, Mandate, describe};
use crate::store::records::{BUILDS, BuildRecord, CHECKPOINTS, FAILED_STREAMS, HEADS};
use crate::store::snapshots::{Named, is_missing};

/// The UUID is that of another collection.
const ANOTHER_UUID: i32 = 361;

/// A collection or view of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    /// Absent for a view.
    pub(crate) uuid: Option<Uuid>,
    /// What it shows, if it is a view.
    pub(crate) shows: Option<String>,
}

/// Size of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    pub(crate) documents: u64,
    /// On disk, with indexes.
    pub(crate) bytes: u64,
}

/// How a drop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    Done,
    /// It wasn't there any more.
    Gone,
    /// Another collection stands under the name now.
    Another,
}

impl Admin<'_> {
    /// All collections and views, by name.
    pub(crate) async fn listing(self) -> Result<Vec<Listed>> {
        let db = self.store.db.clone();
        let list = async move {
            let cursor = db.run_cursor_command(doc! { "listCollections": 1 }).await?;
            cursor.try_collect::<Vec<Document>>().await
        };
        let found = call("listing the collections", list).await?;
        let read = |one: &Document| {
            let uuid = one.get_document("info").ok().and_then(|info| info.get("uuid"));
            let uuid = uuid.and_then(|uuid| match uuid {
                bson::Bson::Binary(binary) => binary.to_uuid().ok(),
                _ => None,
            });
            let shows = one.get_document("options").ok().and_then(|options| options.get_str("viewOn").ok());
            Some(Listed { name: one.get_str("name").ok()?.to_owned(), uuid, shows: shows.map(str::to_owned) })
        };
        let mut listed: Vec<Listed> = found.iter().filter_map(read).collect();
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }

    /// Documents and bytes of a collection.
    pub(crate) async fn size_of(self, name: &str) -> Result<Size> {
        let reply =
            self.store.command("asking for the size of a collection", doc! { "collStats": name }).await?;
        // A count that outgrows 32 bits comes as a double from some servers.
        let number = |name: &str| {
            let value = reply.get(name)?;
            #[expect(clippy::cast_possible_truncation, reason = "a size")]
            let number = number_of(value).or_else(|| value.as_f64().map(|number| number as i64))?;
            u64::try_from(number).ok()
        };
        let bytes = number("storageSize").unwrap_or(0) + number("totalIndexSize").unwrap_or(0);
        Ok(Size { documents: number("count").unwrap_or(0), bytes })
    }

    /// Everything that decides what may go.
    pub(crate) async fn known(self, listed: &[Listed]) -> Result<Known> {
        let control = self.store.control().document().await?.unwrap_or_default();
        let mut pointers = Vec::new();
        for (projection, pointer) in control.get_document("Generations").ok().into_iter().flatten() {
            let Some(pointer) = pointer.as_document() else { continue };
            pointers.push(known_pointer(projection, readable(pointer.clone(), "the pointer")?));
        }
        let builds = self.store.builds().records(None).await?;
        let instances = self.store.control().instances().await?;
        Ok(Known {
            builds: builds.iter().map(known_build).collect(),
            pointers,
            instances: instances
                .into_iter()
                .map(|one| KnownInstance {
                    name: one.pid.map_or_else(|| one.host.clone(), |pid| format!("{} (pid {pid})", one.host)),
                    reads: one.reads.into_iter().collect(),
                })
                .collect(),
            views: listed.iter().filter_map(|one| Some((one.name.clone(), one.shows.clone()?))).collect(),
            token: control.get("LeaseToken").and_then(number_of).unwrap_or(0),
            now_ms: bson::DateTime::now().timestamp_millis(),
        })
    }

    /// Builds that have checkpoints, heads or failed streams, with their number and size.
    pub(crate) async fn recorded_of_builds(self) -> Result<Vec<(String, Size)>> {
        let mut sizes = std::collections::BTreeMap::<String, Size>::new();
        for name in [CHECKPOINTS, HEADS, FAILED_STREAMS] {
            let collection = self.store.collection(name);
            let group = doc! { "$group": {
                "_id": "$Build", "Documents": { "$sum": 1_i64 }, "Bytes": { "$sum": { "$bsonSize": "$$ROOT" } },
            } };
            let sum =
                async move { collection.aggregate([group]).await?.try_collect::<Vec<Document>>().await };
            for one in call_within(LONG_CALL_SECONDS, "summing up the builds' records", sum).await? {
                let Ok(build) = one.get_str("_id") else { continue };
                let number =
                    |name: &str| one.get(name).and_then(number_of).and_then(|sum| u64::try_from(sum).ok());
                let size = sizes.entry(build.to_owned()).or_default();
                size.documents += number("Documents").unwrap_or(0);
                size.bytes += number("Bytes").unwrap_or(0);
            }
        }
        Ok(sizes.into_iter().collect())
    }

    /// Takes a generation out of its pointer's list of former ones.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the token isn't the newest.
    pub(crate) async fn forget_previous(
        self,
        projection: &str,
        generation: u32,
        mandate: &Mandate,
    ) -> Result<()> {
        mandate.check()?;
        let control = self.store.collection(&self.store.names.collection);
        let filter = doc! { "_id": &self.store.names.control_id, "LeaseToken": mandate.token };
        let pull =
            doc! { "$pull": { format!("Generations.{projection}.Previous"): { "Generation": generation } } };
        let pulled = async move { control.update_one(filter, pull).await };
        match call("taking a generation out of the pointer", pulled).await?.matched_count {
            1 => Ok(()),
            _ => Err(Error::Fenced { token: mandate.token, what: "the pointer".into() }),
        }
    }

    /// Drops a collection if it still is the one that was listed.
    pub(crate) async fn drop_listed(self, name: &str, uuid: Uuid, mandate: &Mandate) -> Result<Dropped> {
        mandate.check()?;
        let mut command = doc! { "drop": name, "writeConcern": { "w": "majority" } };
        if self.store.facts.drops_by_uuid() {
            command.insert("collectionUUID", uuid);
        } else if let other @ (Dropped::Gone | Dropped::Another) = self.still_there(name, uuid).await? {
            return Ok(other);
        }
        match self.store.command("dropping a collection", command).await {
            Ok(_) => Ok(Dropped::Done),
            Err(error) if is_missing(&error) => Ok(Dropped::Gone),
            Err(Error::Server { code: Some(ANOTHER_UUID), .. }) => {
                // The same is said of one that isn't there.
                Ok(match self.still_there(name, uuid).await? {
                    Dropped::Gone => Dropped::Gone,
                    _ => Dropped::Another,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Drops a view if it still shows this collection.
    pub(crate) async fn drop_view(self, name: &str, shows: &str, mandate: &Mandate) -> Result<Dropped> {
        mandate.check()?;
        match self.store.snapshots().shown(name).await? {
            Named::View(of) if of == shows => {}
            Named::Nothing => return Ok(Dropped::Gone),
            _ => return Ok(Dropped::Another),
        }
        let command = doc! { "drop": name, "writeConcern": { "w": "majority" } };
        self.store.command("dropping a view", command).await.map(|_| Dropped::Done)
    }

    /// [`Dropped::Done`] if it is still there.
    async fn still_there(self, name: &str, uuid: Uuid) -> Result<Dropped> {
        let found = self.listing().await?.into_iter().find(|one| one.name == name);
        Ok(found.map_or(
            Dropped::Gone,
            |one| if one.uuid == Some(uuid) { Dropped::Done } else { Dropped::Another },
        ))
    }

    /// Removes checkpoints, heads and failed streams of a build, whether or not it still has a record.
    pub(crate) async fn forget_build(self, build: &str, mandate: &Mandate) -> Result<()> {
        for name in [CHECKPOINTS, HEADS, FAILED_STREAMS] {
            mandate.check()?;
            let (collection, filter) = (self.store.collection(name), doc! { "Build": build });
            let delete = async move { collection.delete_many(filter).await };
            call_within(LONG_CALL_SECONDS, "clearing the build's records", delete).await?;
        }
        Ok(())
    }
}

/// Ids of documents of ours beside the control document: they carry its name and a dot.
fn others(control_id: &str) -> Document {
    doc! { "$gt": format!("{control_id}."), "$lt": format!("{control_id}/") }
}

fn known_pointer(projection: &str, pointer: ActiveGeneration) -> KnownPointer {
    let previous = pointer.previous.into_iter().map(|one| KnownGeneration {
        generation: one.generation,
        projection_version: one.projection_version,
        collections: one.collections,
    });
    KnownPointer {
        projection: projection.to_owned(),
        by_view: pointer.mode == CutOverMode::View,
        previous: previous.collect(),
        active: KnownGeneration {
            generation: pointer.active,
            projection_version: pointer.projection_version,
            collections: pointer.collections,
        },
    }
}

fn known_build(build: &BuildRecord) -> KnownBuild {
    let targets = build.targets.iter().map(|target| KnownTarget {
        staging_token: staging_token(&target.collection, &target.staging),
        our_name: is_our_name(&target.target, build.generation, &target.collection),
        collection: target.collection.clone(),
        dropping: target.dropping.map(|uuid| uuid.to_string()),
    });
    KnownBuild {
        id: build.id.clone(),
        projection: build.projection.clone(),
        generation: build.generation,
        projection_version: build.projection_version,
        state: build.state,
        adopted: build.adopted,
        asides: build.swap.iter().flatten().map(|swap| swap.aside.clone()).collect(),
        changed_ms: build.updated_at.timestamp_millis(),
        targets: targets.collect(),
    }
}

impl Admin<'_> {
    /// What the names of all collections of records begin with.
    pub(crate) const RECORDS: &'static str = "Statefold_";
    /// The collection of the build records.
    pub(crate) const BUILD_RECORDS: &'static str = BUILDS;

    /// Name of the collection of the control document, if there is one.
    pub(crate) async fn has_control(self) -> Result<Option<String>> {
        Ok(self.store.control().document().await?.map(|_| self.store.names.collection.clone()))
    }

    /// Those who hold a lease of ours beside the one in the control document, in words.
    pub(crate) async fn others_leading(self) -> Result<Vec<String>> {
        let control = self.store.collection(&self.store.names.collection);
        let mut held = doc! { "_id": others(&self.store.names.control_id) };
        held.insert("Lease", doc! { "$exists": true });
        let find = async move { control.find(held).await?.try_collect::<Vec<Document>>().await };
        let found = call("looking for other leases", find).await?;
        let holder = |one: &Document| {
            format!(
                "{}, held {}",
                one.get_str("_id").unwrap_or("?"),
                describe(one.get_document("Lease").ok())
            )
        };
        Ok(found.iter().map(holder).collect())
    }

    /// Removes all pointers.
    pub(crate) async fn forget_pointers(self, mandate: &Mandate) -> Result<()> {
        mandate.check()?;
        let control = self.store.collection(&self.store.names.collection);
        let filter = doc! { "_id": &self.store.names.control_id, "LeaseToken": mandate.token };
        let unset = async move { control.update_one(filter, doc! { "$unset": { "Generations": "" } }).await };
        match call("removing the pointers", unset).await?.matched_count {
            1 => Ok(()),
            _ => Err(Error::Fenced { token: mandate.token, what: "the pointers".into() }),
        }
    }

    /// Removes the control document and others of ours beside it, if nobody has taken the lease since this
    /// token was given back, our signature, a version document that says nothing, and the collection if
    /// nothing is left in it. Returns whether the control document was removed.
    pub(crate) async fn purge_control(self, token: i64) -> Result<bool> {
        let name = self.store.names.collection.clone();
        let control = self.store.collection(&name);
        let id = self.store.names.control_id.clone();
        let ours = doc! { "_id": &id, "LeaseToken": token, "Lease": { "$exists": false } };
        let delete = {
            let control = control.clone();
            async move { control.delete_one(ours).await }
        };
        if call("removing the control document", delete).await?.deleted_count == 0 {
            return Ok(false);
        }
        let version = self.store.names.version_id.clone();
        let rest = async move {
            control.delete_many(doc! { "_id": others(&id) }).await?;
            let signature = doc! { "$unset": { "LockedBy": "" } };
            control.update_one(doc! { "_id": &version }, signature).await?;
            // As taking the lock makes it where there is none: it means the same as none.
            let nothing =
                doc! { "$expr": { "$eq": ["$$ROOT", { "_id": version, "IsLocked": false, "Version": 0 }] } };
            control.delete_one(nothing).await?;
            control.estimated_document_count().await
        };
        if call("removing what is left", rest).await? == 0
            && let Some(empty) = self.listing().await?.into_iter().find(|one| one.name == name)
            && let Some(uuid) = empty.uuid
        {
            // Nobody leads any more: there is no mandate to ask.
            let mandate = Mandate::new(token, std::time::Instant::now() + std::time::Duration::from_secs(5));
            self.drop_listed(&name, uuid, &mandate).await?;
        }
        Ok(true)
    }
}
