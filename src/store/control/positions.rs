//! The control document of `follow`: a lease of its own, and the position of each followed generation.
//!
//! `Positions.{build}` is the operation time up to which all events are folded into that generation. It is
//! written under the token of this lease.

use std::collections::HashMap;

use bson::{Document, Timestamp, doc};

use crate::error::{Error, Result};
use crate::store::connection::{Control, FORMAT, call};
use crate::store::control::mandate::Mandate;

/// Positions of followed generations: operation times by build.
pub(crate) type Positions = HashMap<String, Timestamp>;

impl Control<'_> {
    /// The position of each followed generation. To be called on [the follower's](Store::follow_control)
    /// store.
    pub(crate) async fn positions(self) -> Result<Positions> {
        let control = self.document().await?.unwrap_or_default();
        let positions = control.get_document("Positions").cloned().unwrap_or_default();
        let position = |(build, position): (String, bson::Bson)| Some((build, position.as_timestamp()?));
        Ok(positions.into_iter().filter_map(position).collect())
    }

    /// Saves the positions of followed generations. To be called on [the follower's](Store::follow_control)
    /// store.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process holds the lease of `follow` by now.
    pub(crate) async fn save_positions(self, positions: &Positions, mandate: &Mandate) -> Result<()> {
        mandate.check()?;
        let all: Document = positions.iter().map(|(build, at)| (build.clone(), (*at).into())).collect();
        let control = self.store.collection(&self.store.names.collection);
        let filter = doc! { "_id": &self.store.names.control_id, "LeaseToken": mandate.token };
        let set = doc! { "$set": { "Format": FORMAT, "Positions": all }, "$currentDate": { "At": true } };
        let save = async move { control.update_one(filter, set).await };
        match call("noting how far is followed", save).await?.matched_count {
            1 => Ok(()),
            _ => Err(Error::Fenced { token: mandate.token, what: "following".into() }),
        }
    }
}
