//! Drops of collections, each by the UUID that was listed: one created later under the same name stays.

use bson::{Bson, Document, Uuid, doc};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::store::connection::{Snapshots, UUID_MISMATCH, is_missing};
use crate::store::control::Mandate;

/// Outcome of a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropOutcome {
    /// It was dropped.
    Dropped,
    /// It had been dropped before.
    Gone,
    /// Another collection has the name by now, and stays.
    AnotherCollection,
}

impl DropOutcome {
    /// The name, as serialized.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Gone => "gone",
            Self::AnotherCollection => "another_collection",
        }
    }
}

/// The collection that has a name now, compared with one that was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Present {
    Same,
    Another,
    Nothing,
}

impl Snapshots<'_> {
    /// Drops a collection if it still is the one that was listed.
    pub(in crate::store) async fn drop_listed(
        self,
        name: &str,
        uuid: Uuid,
        mandate: &Mandate,
    ) -> Result<DropOutcome> {
        mandate.check()?;
        self.drop_uuid(name, uuid).await
    }

    /// Drops a collection if it still has this UUID, under no mandate.
    pub(in crate::store) async fn drop_uuid(self, name: &str, uuid: Uuid) -> Result<DropOutcome> {
        let mut command = doc! { "drop": name, "writeConcern": { "w": "majority" } };
        if self.store.facts.drops_by_uuid() {
            command.insert("collectionUUID", uuid);
        } else {
            match self.present(name, uuid).await? {
                Present::Same => {}
                Present::Another => return Ok(DropOutcome::AnotherCollection),
                Present::Nothing => return Ok(DropOutcome::Gone),
            }
        }
        match self.store.command_for(name, "dropping a collection", command).await {
            Ok(_) => Ok(DropOutcome::Dropped),
            Err(error) if is_missing(&error) => Ok(DropOutcome::Gone),
            Err(Error::Server { code: Some(UUID_MISMATCH), .. }) => {
                // The server reports a missing collection as a mismatch too.
                Ok(match self.present(name, uuid).await? {
                    Present::Nothing => DropOutcome::Gone,
                    Present::Same | Present::Another => DropOutcome::AnotherCollection,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Drops the collection that has a name now, if there is one.
    pub(in crate::store) async fn drop_named(self, name: &str, mandate: &Mandate) -> Result<()> {
        let listed = self.listed(name).await?;
        match listed.as_ref().and_then(listed_uuid) {
            Some(uuid) => self.drop_listed(name, uuid, mandate).await.map(|_| ()),
            None => Ok(()),
        }
    }

    async fn present(self, name: &str, uuid: Uuid) -> Result<Present> {
        Ok(match self.listed(name).await? {
            None => Present::Nothing,
            Some(listed) if listed_uuid(&listed) == Some(uuid) => Present::Same,
            Some(_) => Present::Another,
        })
    }
}

/// UUID of a collection, as the server lists it; a view has none.
pub(in crate::store) fn listed_uuid(listed: &Document) -> Option<Uuid> {
    match listed.get_document("info").ok()?.get("uuid")? {
        Bson::Binary(binary) => binary.to_uuid().ok(),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_serialized_as_its_name() {
        for outcome in [DropOutcome::Dropped, DropOutcome::Gone, DropOutcome::AnotherCollection] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
        }
    }

    #[test]
    fn a_collection_has_a_uuid_and_a_view_has_none() {
        let uuid = Uuid::new();
        assert_eq!(listed_uuid(&doc! { "name": "a", "info": { "uuid": uuid } }), Some(uuid));
        assert_eq!(listed_uuid(&doc! { "name": "a", "info": { "readOnly": true } }), None);
    }
}
