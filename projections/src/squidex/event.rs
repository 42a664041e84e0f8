//! Events of assets and asset folders: their type names, and the payload that each has.
//!
//! Type names match in any case. An event of a former version of Squidex becomes its current form.

use super::legacy;
use super::payload::{
    AssetAnnotated, AssetCreated, AssetDeleted, AssetFolderCreated, AssetFolderDeleted, AssetFolderMoved,
    AssetFolderRenamed, AssetMoved, AssetUpdated, Base, read,
};
use crate::{FoldError, Payload};

/// An event of an asset.
#[derive(Debug)]
pub(super) enum AssetEvent<'a> {
    Created(AssetCreated<'a>),
    Updated(AssetUpdated<'a>),
    Annotated(AssetAnnotated<'a>),
    Moved(AssetMoved<'a>),
    Deleted,
}

impl<'a> AssetEvent<'a> {
    /// Reads an event; `None` for a type that assets don't have, whose payload isn't read.
    ///
    /// # Errors
    /// [`FoldError::Payload`] if Squidex couldn't read the payload.
    pub(super) fn read(
        event_type: &str,
        payload: &Payload<'a>,
    ) -> Result<Option<(Base<'a>, Self)>, FoldError> {
        // The length alone distinguishes most types, and rules out nearly all foreign ones.
        let is = |name: &str| event_type.eq_ignore_ascii_case(name);
        match event_type.len() {
            12 if is("AssetUpdated") => {
                read(payload, |old: legacy::AssetUpdated<'a>| Self::Updated(old.into()))
            }
            15 if is("AssetMovedEvent") => read(payload, Self::Moved),
            16 if is("AssetTaggedEvent") => {
                read(payload, |old: legacy::AssetTagged<'a>| Self::Annotated(old.into()))
            }
            17 if is("AssetDeletedEvent") => read(payload, |_: AssetDeleted<'a>| Self::Deleted),
            17 if is("AssetCreatedEvent") => {
                read(payload, |old: legacy::AssetCreated<'a>| Self::Created(old.into()))
            }
            17 if is("AssetRenamedEvent") => {
                read(payload, |old: legacy::AssetRenamed<'a>| Self::Annotated(old.into()))
            }
            19 if is("AssetCreatedEventV2") => read(payload, Self::Created),
            19 if is("AssetUpdatedEventV2") => read(payload, Self::Updated),
            19 if is("AssetAnnotatedEvent") => read(payload, Self::Annotated),
            _ => Ok(None),
        }
    }
}

/// An event of an asset folder.
#[derive(Debug)]
pub(super) enum AssetFolderEvent<'a> {
    Created(AssetFolderCreated<'a>),
    Renamed(AssetFolderRenamed<'a>),
    Moved(AssetFolderMoved<'a>),
    Deleted,
}

impl<'a> AssetFolderEvent<'a> {
    /// Reads an event; `None` for a type that folders don't have, whose payload isn't read.
    ///
    /// # Errors
    /// [`FoldError::Payload`] if Squidex couldn't read the payload.
    pub(super) fn read(
        event_type: &str,
        payload: &Payload<'a>,
    ) -> Result<Option<(Base<'a>, Self)>, FoldError> {
        let is = |name: &str| event_type.eq_ignore_ascii_case(name);
        match event_type.len() {
            21 if is("AssetFolderMovedEvent") => read(payload, Self::Moved),
            23 if is("AssetFolderCreatedEvent") => read(payload, Self::Created),
            23 if is("AssetFolderRenamedEvent") => read(payload, Self::Renamed),
            23 if is("AssetFolderDeletedEvent") => read(payload, |_: AssetFolderDeleted<'a>| Self::Deleted),
            _ => Ok(None),
        }
    }
}
