//! The control document `Migration/{_id: "Statefold"}`: the token and the pointer.

use bson::{Document, Timestamp, doc};
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::build::{check_format, readable};
use crate::store::client::call;
use crate::store::records::{BuildRecord, FORMAT};

/// Collection of version document and control document.
pub(super) const MIGRATION: &str = "Migration";
const CONTROL_ID: &str = "Statefold";

/// The pointer of one projection: the generation that readers use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ActiveGeneration {
    /// Number of the generation.
    pub active: u32,
    /// Collection of the first target.
    pub collection: String,
    /// Collections of all targets, in the order of the spec.
    pub collections: Vec<String>,
    /// Version of the projection it was built with.
    pub projection_version: u32,
    /// Operation time of the flip.
    pub since: Timestamp,
    /// Generations that were active before, newest first.
    pub previous: Vec<PreviousGeneration>,
}

/// A generation that was active before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PreviousGeneration {
    /// Its number.
    pub generation: u32,
    /// Its collections.
    pub collections: Vec<String>,
    /// Version of the projection it was built with.
    pub projection_version: u32,
}

impl Store {
    async fn control(&self) -> Result<Option<Document>> {
        let migration = self.collection(MIGRATION);
        let find = async move { migration.find_one(doc! { "_id": CONTROL_ID }).await };
        let Some(document) = call("reading the control document", find).await? else { return Ok(None) };
        check_format(&document, "the control document")?;
        Ok(Some(document))
    }

    /// Takes the next token: it only ever grows.
    ///
    /// # Errors
    /// [`Error::Newer`] if the control document was written by a newer statefold.
    pub(crate) async fn next_token(&self) -> Result<i64> {
        self.control().await?;
        let migration = self.collection(MIGRATION);
        let update = doc! { "$inc": { "LeaseToken": 1_i64 }, "$setOnInsert": { "Format": FORMAT } };
        let take = async move {
            migration
                .find_one_and_update(doc! { "_id": CONTROL_ID }, update)
                .upsert(true)
                .return_document(ReturnDocument::After)
                .await
        };
        let document = call("taking a token", take).await?.unwrap_or_default();
        document.get_i64("LeaseToken").map_err(|_| {
            Error::Unsupported(format!("`LeaseToken` of {MIGRATION}/{CONTROL_ID} is not a 64-bit integer"))
        })
    }

    /// The active generation of a projection, if there is one.
    pub(crate) async fn active(&self, projection: &str) -> Result<Option<ActiveGeneration>> {
        let Some(control) = self.control().await? else { return Ok(None) };
        let generations = control.get_document("Generations").ok();
        let Some(found) = generations.and_then(|all| all.get_document(projection).ok()) else {
            return Ok(None);
        };
        readable(found.clone(), "the pointer").map(Some)
    }

    /// Sets the pointers of these builds in one update, if the token is still the newest.
    ///
    /// # Errors
    /// [`Error::Fenced`] if it isn't; no pointer has moved then.
    pub(crate) async fn flip(&self, builds: &[BuildRecord], token: i64, now: Timestamp) -> Result<()> {
        let mut set = Document::new();
        for build in builds {
            let former = self.active(&build.projection).await?;
            let previous = former.into_iter().flat_map(|former| {
                let last = PreviousGeneration {
                    generation: former.active,
                    collections: former.collections,
                    projection_version: former.projection_version,
                };
                std::iter::once(last).chain(former.previous)
            });
            let collections: Vec<String> =
                build.targets.iter().map(|target| target.collection.clone()).collect();
            let active = ActiveGeneration {
                active: build.generation,
                collection: collections.first().cloned().unwrap_or_default(),
                collections,
                projection_version: build.projection_version,
                since: now,
                previous: previous.filter(|one| one.generation != build.generation).collect(),
            };
            let active = bson::serialize_to_document(&active)
                .map_err(|error| Error::Bug(format!("the pointer can't be encoded: {error}")))?;
            set.insert(format!("Generations.{}", build.projection), active);
        }
        let migration = self.collection(MIGRATION);
        let filter = doc! { "_id": CONTROL_ID, "LeaseToken": token };
        let flip = async move { migration.update_one(filter, doc! { "$set": set }).await };
        match call("setting the pointer", flip).await?.matched_count {
            1 => Ok(()),
            _ => Err(Error::Fenced { token, what: "the pointer".into() }),
        }
    }
}
