//! The pointer in the control document `Migration/{_id: "Statefold"}`: which generation readers use.

use std::time::Instant;

use bson::oid::ObjectId;
use bson::{Document, Timestamp, doc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::lifecycle::CutOverMode;
use crate::store::connection::{Control, call, readable};
use crate::store::control::fence::ATTEMPT;
use crate::store::control::mandate::Mandate;
use crate::store::records::BuildRecord;

/// The pointer of one projection: the generation that readers use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct ActiveGeneration {
    /// Number of the generation.
    pub active: u32,
    /// Cut-over mode: how readers find it.
    #[serde(default)]
    pub mode: CutOverMode,
    /// Collection of the first target.
    pub collection: String,
    /// Collections of all targets, in the order of the spec.
    pub collections: Vec<String>,
    /// Version of the projection it was built with.
    pub projection_version: u32,
    /// Operation time of the flip.
    pub since: Timestamp,
    /// Token of the process that flipped.
    #[serde(default)]
    pub token: i64,
    /// What a cut-over without a fence still has to fold into it; absent once that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undrained: Option<Undrained>,
    /// Generations that were active before, newest first.
    pub previous: Vec<PreviousGeneration>,
}

/// The rest of a cut-over without a fence: streams that changed right before the flip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Undrained {
    /// Everything acknowledged up to this operation time was folded before the flip.
    pub folded: Timestamp,
}

impl ActiveGeneration {
    /// Collection of the first target of the newest generation that was built with this version of the
    /// projection: the one that a program of that version may read.
    #[must_use]
    pub fn collection_of(&self, version: u32) -> Option<&str> {
        self.generation_of(version)?.1.first().map(String::as_str)
    }

    /// The newest generation that was built with this version of the projection, and its collections.
    #[must_use]
    pub fn generation_of(&self, version: u32) -> Option<(u32, &[String])> {
        if self.projection_version == version {
            return Some((self.active, &self.collections));
        }
        let former = self.previous.iter().find(|previous| previous.projection_version == version)?;
        Some((former.generation, &former.collections))
    }
}

/// A generation that was active before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct PreviousGeneration {
    /// Its number.
    pub generation: u32,
    /// Its collections.
    pub collections: Vec<String>,
    /// Version of the projection it was built with.
    pub projection_version: u32,
}

/// A build for readers to use, with the mode of its cut-over.
pub(crate) struct Flip {
    pub(crate) record: BuildRecord,
    pub(crate) mode: CutOverMode,
    /// What is still to be folded into it after the flip.
    pub(crate) undrained: Option<Undrained>,
}

impl Control<'_> {
    /// The active generation of a projection, if there is one.
    pub(crate) async fn active(self, projection: &str) -> Result<Option<ActiveGeneration>> {
        match self.document().await? {
            Some(control) => active_in(&control, projection),
            None => Ok(None),
        }
    }

    /// The active generations of projections, in this order.
    pub(crate) async fn pointers(self, projections: &[&str]) -> Result<Vec<Option<ActiveGeneration>>> {
        let control = self.document().await?.unwrap_or_default();
        projections.iter().map(|projection| active_in(&control, projection)).collect()
    }

    /// The operation time for a flip; on a standalone server the time of this machine.
    pub(crate) async fn flip_time(self) -> Result<Timestamp> {
        let clock = || {
            let seconds = bson::DateTime::now().timestamp_millis() / 1000;
            Timestamp { time: u32::try_from(seconds).unwrap_or(u32::MAX), increment: 0 }
        };
        Ok(self.store.operation_time().await?.unwrap_or_else(clock))
    }

    /// Sets the pointers of these builds in one update, if the token is still the newest. Behind a fence: by
    /// its deadline, and only while this attempt's fence is noted, so that an update that arrives late
    /// changes nothing.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the token isn't the newest; no pointer has changed then. After a transient error
    /// the pointer may have changed.
    pub(crate) async fn flip(
        self,
        flips: &[Flip],
        mandate: &Mandate,
        now: Timestamp,
        fenced: Option<(Instant, ObjectId)>,
    ) -> Result<()> {
        let token = mandate.token;
        let mut set = Document::new();
        for Flip { record: build, mode, undrained } in flips {
            let former = self.active(&build.projection).await?;
            let swap = build.swap.as_deref();
            let previous = former.into_iter().flat_map(|former| {
                let aside = swap.map(|swaps| swaps.iter().map(|swap| swap.aside.clone()).collect());
                let last = PreviousGeneration {
                    generation: former.active,
                    collections: aside.unwrap_or(former.collections),
                    projection_version: former.projection_version,
                };
                std::iter::once(last).chain(former.previous)
            });
            let collections: Vec<String> = match swap {
                Some(swaps) => swaps.iter().map(|swap| swap.into.clone()).collect(),
                None => build.targets.iter().map(|target| target.collection.clone()).collect(),
            };
            let active = ActiveGeneration {
                active: build.generation,
                mode: *mode,
                collection: collections.first().cloned().unwrap_or_default(),
                collections,
                projection_version: build.projection_version,
                since: now,
                token,
                undrained: *undrained,
                previous: previous.filter(|former| former.generation != build.generation).collect(),
            };
            let active = bson::serialize_to_document(&active)
                .map_err(|error| Error::Bug(format!("the pointer can't be encoded: {error}")))?;
            set.insert(format!("Generations.{}", build.projection), active);
        }
        let control = self.store.collection(&self.store.names.collection);
        let mut filter = doc! { "_id": &self.store.names.control_id, "LeaseToken": token };
        if let Some((_, attempt)) = fenced {
            filter.insert(format!("Fence.{ATTEMPT}"), attempt);
        }
        mandate.check()?;
        let flip = async move { control.update_one(filter, doc! { "$set": set }).await };
        let flipping = call("setting the pointer", flip);
        let flipped = match fenced {
            None => flipping.await?,
            Some((until, _)) => {
                tokio::time::timeout_at(until.into(), flipping).await.unwrap_or_else(|_| {
                    Err(Error::Deadline { doing: "setting the pointer behind the fence".into(), seconds: 1 })
                })?
            }
        };
        match flipped.matched_count {
            1 => Ok(()),
            _ => Err(Error::Fenced { token, what: "the pointer".into() }),
        }
    }
}

impl Control<'_> {
    /// Notes that everything is folded into the active generation of a projection that a cut-over without a
    /// fence left to be folded after its flip.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the token isn't the newest; the server's error.
    pub(crate) async fn drained(self, projection: &str, mandate: &Mandate) -> Result<()> {
        mandate.check()?;
        let control = self.store.collection(&self.store.names.collection);
        let filter = doc! { "_id": &self.store.names.control_id, "LeaseToken": mandate.token };
        let unset = doc! { "$unset": { format!("Generations.{projection}.Undrained"): "" } };
        let note = async move { control.update_one(filter, unset).await };
        match call("noting the end of the drain", note).await?.matched_count {
            1 => Ok(()),
            _ => Err(Error::Fenced { token: mandate.token, what: "the pointer".into() }),
        }
    }
}

/// The pointer of a projection in the control document.
pub(in crate::store) fn active_in(control: &Document, projection: &str) -> Result<Option<ActiveGeneration>> {
    let generations = control.get_document("Generations").ok();
    let found = generations.and_then(|all| all.get_document(projection).ok());
    found.map(|found| readable(found.clone(), "the pointer")).transpose()
}
