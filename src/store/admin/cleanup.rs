//! Reads and drops of clean-up and purge. Every drop names the UUID that was listed, so that a collection
//! created later under the same name stays.

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
use crate::store::snapshots::{DropOutcome, NameHolder, listed_uuid};

/// A collection or view of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedCollection {
    pub(crate) name: String,
    /// Its UUID; absent for a view.
    pub(crate) uuid: Option<Uuid>,
    /// The collection it shows, if it is a view.
    pub(crate) shows: Option<String>,
}

/// Size of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    pub(crate) documents: u64,
    /// Bytes on disk, with indexes.
    pub(crate) bytes: u64,
}

impl Admin<'_> {
    /// All collections and views, in the order of their names.
    pub(crate) async fn listing(self) -> Result<Vec<ListedCollection>> {
        let found = self.store.list("listing the collections").await?;
        let read = |collection: &Document| {
            let options = collection.get_document("options").ok();
            let shows = options.and_then(|options| options.get_str("viewOn").ok());
            Some(ListedCollection {
                name: collection.get_str("name").ok()?.to_owned(),
                uuid: listed_uuid(collection),
                shows: shows.map(str::to_owned),
            })
        };
        let mut listed: Vec<ListedCollection> = found.iter().filter_map(read).collect();
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }

    /// Documents and bytes of a collection.
    pub(crate) async fn size_of(self, name: &str) -> Result<Size> {
        let reply = self
            .store
            .command_for(name, "asking for the size of a collection", doc! { "collStats": name })
            .await?;
        // Some servers send a count beyond 32 bits as a double.
        let number = |name: &str| {
            let value = reply.get(name)?;
            #[expect(clippy::cast_possible_truncation, reason = "a size")]
            let number = number_of(value).or_else(|| value.as_f64().map(|number| number as i64))?;
            u64::try_from(number).ok()
        };
        let bytes = number("storageSize").unwrap_or(0) + number("totalIndexSize").unwrap_or(0);
        Ok(Size { documents: number("count").unwrap_or(0), bytes })
    }

    /// Everything that decides which collections may be dropped.
    pub(crate) async fn known(self, listed: &[ListedCollection]) -> Result<Known> {
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
                .map(|instance| KnownInstance {
                    name: instance.pid.map_or_else(
                        || instance.host.clone(),
                        |pid| format!("{} (pid {pid})", instance.host),
                    ),
                    reads: instance.reads.into_iter().collect(),
                })
                .collect(),
            views: listed.iter().filter_map(|view| Some((view.name.clone(), view.shows.clone()?))).collect(),
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
                "_id": "$Build", "Documents": { "$sum": 1_i64 },
                "Bytes": { "$sum": { "$bsonSize": "$$ROOT" } },
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

    /// Removes a generation from its pointer's list of previous generations.
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
    pub(crate) async fn drop_listed(self, name: &str, uuid: Uuid, mandate: &Mandate) -> Result<DropOutcome> {
        self.store.snapshots().drop_listed(name, uuid, mandate).await
    }

    /// Drops a view if it still shows this collection.
    pub(crate) async fn drop_view(self, name: &str, shows: &str, mandate: &Mandate) -> Result<DropOutcome> {
        mandate.check()?;
        match self.store.snapshots().shown(name).await? {
            NameHolder::View(collection) if collection == shows => {}
            NameHolder::Nothing => return Ok(DropOutcome::Gone),
            _ => return Ok(DropOutcome::AnotherCollection),
        }
        let command = doc! { "drop": name, "writeConcern": { "w": "majority" } };
        self.store.command_for(name, "dropping a view", command).await.map(|_| DropOutcome::Dropped)
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

/// Condition on ids: further control documents of ours, whose ids begin with that of the control document
/// and a dot.
fn others(control_id: &str) -> Document {
    doc! { "$gt": format!("{control_id}."), "$lt": format!("{control_id}/") }
}

fn known_pointer(projection: &str, pointer: ActiveGeneration) -> KnownPointer {
    let previous = pointer.previous.into_iter().map(|former| KnownGeneration {
        generation: former.generation,
        projection_version: former.projection_version,
        collections: former.collections,
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
        asides: {
            let swapped = build.swap.iter().flatten().map(|swap| swap.aside.clone());
            swapped.chain(build.asides.iter().map(|aside| aside.name.clone())).collect()
        },
        changed_ms: build.updated_at.timestamp_millis(),
        targets: targets.collect(),
    }
}

impl Admin<'_> {
    /// Prefix of the names of all collections of records.
    pub(crate) const RECORDS: &'static str = "Statefold_";
    /// The collection of the build records.
    pub(crate) const BUILD_RECORDS: &'static str = BUILDS;

    /// Name of the collection of the control document, if there is one.
    pub(crate) async fn has_control(self) -> Result<Option<String>> {
        Ok(self.store.control().document().await?.map(|_| self.store.names.collection.clone()))
    }

    /// Holders of leases of ours other than the one in the control document, in words.
    pub(crate) async fn others_leading(self) -> Result<Vec<String>> {
        let control = self.store.collection(&self.store.names.collection);
        let mut held = doc! { "_id": others(&self.store.names.control_id) };
        held.insert("Lease", doc! { "$exists": true });
        let find = async move { control.find(held).await?.try_collect::<Vec<Document>>().await };
        let found = call("looking for other leases", find).await?;
        let holder = |document: &Document| {
            format!(
                "{}, held {}",
                document.get_str("_id").unwrap_or("?"),
                describe(document.get_document("Lease").ok())
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

    /// Removes the control document, if nobody has taken the lease since this token was released. Removes
    /// then also our further control documents, our signature, a version document that only has default
    /// values, and the collection if it is empty. Returns whether the control document was removed.
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
            // The document that taking the migration lock creates: it means the same as none.
            let nothing = doc! { "_id": version, "IsLocked": false, "Version": 0 };
            // By `$cmp`: MongoDB 4.4 fails to optimize a plain `$eq` of the whole document.
            let nothing = doc! { "$expr": { "$eq": [{ "$cmp": ["$$ROOT", nothing] }, 0] } };
            control.delete_one(nothing).await?;
            control.estimated_document_count().await
        };
        if call("removing what is left", rest).await? == 0
            && let Some(empty) = self.listing().await?.into_iter().find(|listed| listed.name == name)
            && let Some(uuid) = empty.uuid
        {
            // The lease was released, so no mandate of a leader exists.
            let mandate = Mandate::new(
                token,
                crate::store::control::BootInstant::now() + std::time::Duration::from_secs(5),
            );
            self.drop_listed(&name, uuid, &mandate).await?;
        }
        Ok(true)
    }
}
