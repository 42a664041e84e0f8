//! The control document of `follow`: a lease of its own, and how far each followed generation is.
//!
//! `Positions.{build}` is the operation time up to which everything is folded into that generation. It is
//! written under the token of this lease.

use std::collections::HashMap;

use bson::{Document, Timestamp, doc};

use crate::error::{Error, Result};
use crate::fold::{Digest, FoldCounts};
use crate::store::builds::BuildStore;
use crate::store::connection::{FORMAT, Store, call};
use crate::store::control::mandate::Mandate;
use crate::store::records::BuildRecord;

/// How far generations are followed: operation times by build.
pub(crate) type Positions = HashMap<String, Timestamp>;

impl Store {
    /// The same store, whose lease is that of `follow`: it stands beside the one of whoever leads, and
    /// its holder never touches a fence.
    pub(crate) fn of_follower(&self) -> Self {
        let mut store = self.clone();
        store.names.control_id.push_str(".Follow");
        store.leads = false;
        store
    }

    /// How far each generation is followed. To be asked of [the follower's](Self::of_follower) store.
    pub(crate) async fn positions(&self) -> Result<Positions> {
        let control = self.control().await?.unwrap_or_default();
        let positions = control.get_document("Positions").cloned().unwrap_or_default();
        let position = |(build, position): (String, bson::Bson)| Some((build, position.as_timestamp()?));
        Ok(positions.into_iter().filter_map(position).collect())
    }

    /// Notes how far generations are followed. To be asked of [the follower's](Self::of_follower) store.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process follows by now.
    pub(crate) async fn save_positions(&self, positions: &Positions, mandate: &Mandate) -> Result<()> {
        mandate.check()?;
        let all: Document = positions.iter().map(|(build, at)| (build.clone(), (*at).into())).collect();
        let control = self.collection(&self.names.collection);
        let filter = doc! { "_id": &self.names.control_id, "LeaseToken": mandate.token };
        let set = doc! { "$set": { "Format": FORMAT, "Positions": all }, "$currentDate": { "At": true } };
        let save = async move { control.update_one(filter, set).await };
        match call("noting how far is followed", save).await?.matched_count {
            1 => Ok(()),
            _ => Err(Error::Fenced { token: mandate.token, what: "following".into() }),
        }
    }

    /// A build to write into, under the token that its record has.
    pub(crate) fn work_on(&self, record: BuildRecord, prefix: &str, mandate: &Mandate) -> BuildStore {
        BuildStore { mandate: mandate.clone(), ..self.build_store(record, prefix) }
    }
}

impl BuildStore {
    /// Counts and digest of all partitions, as they are now.
    pub(crate) async fn sums(&self) -> Result<(FoldCounts, Digest)> {
        let (mut counts, mut digest) = (FoldCounts::default(), Digest::default());
        for checkpoint in self.checkpoints().await? {
            counts.add(checkpoint.counts.into());
            digest.merge(checkpoint.digest().ok_or_else(|| {
                Error::Mismatch(format!("the digest of checkpoint {} is broken", checkpoint.id))
            })?);
        }
        Ok((counts, digest))
    }
}
