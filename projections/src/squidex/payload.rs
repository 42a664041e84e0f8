//! The events of assets and asset folders, as their payloads are read today.
//!
//! Every property Squidex types is typed here too, also where the fold doesn't need it: a payload
//! that Squidex can't read must not become a snapshot. Older forms are in `legacy`.

use serde::de::{Error, MapAccess};
use serde::{Deserialize, Deserializer};

use super::id::{DomainId, NamedId, RefToken};
use super::json::{Int, IntReader, Object, Properties, Set, Text, properties, value};
use super::value::JsonObject;
use super::{legacy, quick};
use crate::{FoldError, Payload};

/// Properties of every event of an app.
#[derive(Debug, Default)]
pub(super) struct Base<'a> {
    actor: Option<Text<'a>>,
    pub(super) app_id: Option<NamedId<'a>>,
}

impl<'a> Base<'a> {
    const NAMES: [&'static str; 3] = ["appId", "actor", "fromRule"];

    #[inline]
    fn read<A: MapAccess<'a>>(&mut self, number: usize, values: &mut A) -> Result<(), A::Error> {
        match number {
            0 => self.app_id = value("appId", values)?,
            1 => self.actor = value("actor", values)?,
            _ => drop(value::<bool, A>("fromRule", values)?),
        }
        Ok(())
    }

    /// Takes out who caused the event.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if the text names nobody.
    pub(super) fn take_actor(&mut self) -> Result<Option<RefToken<'a>>, FoldError> {
        let parse =
            |text| RefToken::parse(text).ok_or_else(|| FoldError::Refused("the actor is blank".into()));
        self.actor.take().map(parse).transpose()
    }
}

/// An event's own properties beside those of every event.
#[derive(Debug, Default)]
struct WithBase<'a, T> {
    base: Base<'a>,
    own: T,
}

impl<'a, T: Properties<'a>> Properties<'a> for WithBase<'a, T> {
    const COUNT: usize = T::COUNT + Base::NAMES.len();

    #[inline]
    fn name(number: usize) -> Option<&'static str> {
        match number.checked_sub(T::COUNT) {
            None => T::name(number),
            Some(number) => Base::NAMES.get(number).copied(),
        }
    }

    #[inline]
    fn read<A: MapAccess<'a>>(&mut self, number: usize, values: &mut A) -> Result<(), A::Error> {
        match number.checked_sub(T::COUNT) {
            None => self.own.read(number, values),
            Some(number) => self.base.read(number, values),
        }
    }
}

/// Reads a payload into the event that `wrap` makes of it.
fn read<'a, T: Properties<'a>, E>(
    payload: &Payload<'a>,
    wrap: impl FnOnce(T) -> E,
) -> Result<Option<(Base<'a>, E)>, FoldError> {
    let quick = match payload {
        Payload::Json(text) => quick::object(text).ok(),
        Payload::Document(_) => None,
    };
    let WithBase { base, own } = match quick {
        Some(object) => object,
        None => payload.parse::<Object<_>>()?.0,
    };
    Ok(Some((base, wrap(own))))
}

/// Kind of a file, by its number. A number without a name is possible, too.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct AssetType(pub(super) i32);

impl AssetType {
    pub(super) const IMAGE: Self = Self(1);
}

impl<'de> Deserialize<'de> for AssetType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const NAMES: [(&str, i64); 4] = [("Unknown", 0), ("Image", 1), ("Audio", 2), ("Video", 3)];
        let name = |text: &str| {
            NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, number)| *number)
        };
        let number = deserializer.deserialize_any(IntReader { expected: "a type of asset", name })?;
        i32::try_from(number).map(Self).map_err(|_| D::Error::custom("there is no such type of asset"))
    }
}

properties! {
    struct AssetCreated<'a> {
        "parentId" => parent_id: DomainId<'a>,
        "fileName" => file_name: Option<Text<'a>>,
        "fileHash" => file_hash: Option<Text<'a>>,
        "mimeType" => mime_type: Option<Text<'a>>,
        "slug" => slug: Option<Text<'a>>,
        "fileVersion" => file_version: Int<i64>,
        "fileSize" => file_size: Int<i64>,
        "type" => kind: AssetType,
        "metadata" => metadata: Option<JsonObject>,
        "tags" => tags: Option<Set<'a>>,
        "assetId" => asset_id: DomainId<'a>,
    }

    struct AssetUpdated<'a> {
        "mimeType" => mime_type: Option<Text<'a>>,
        "fileHash" => file_hash: Option<Text<'a>>,
        "fileSize" => file_size: Int<i64>,
        "fileVersion" => file_version: Int<i64>,
        "type" => kind: AssetType,
        "metadata" => metadata: Option<JsonObject>,
    }
    checked { "assetId" => DomainId<'a>, }

    /// What is null isn't changed.
    struct AssetAnnotated<'a> {
        "fileName" => file_name: Option<Text<'a>>,
        "slug" => slug: Option<Text<'a>>,
        "isProtected" => is_protected: Option<bool>,
        "metadata" => metadata: Option<JsonObject>,
        "tags" => tags: Option<Set<'a>>,
    }
    checked { "assetId" => DomainId<'a>, }

    struct AssetMoved<'a> {
        "parentId" => parent_id: DomainId<'a>,
    }
    checked { "assetId" => DomainId<'a>, }

    struct AssetDeleted<'a> {}
    checked {
        "deletedSize" => Int<i64>,
        "oldTags" => Option<Set<'a>>,
        "assetId" => DomainId<'a>,
    }

    struct AssetFolderCreated<'a> {
        "parentId" => parent_id: DomainId<'a>,
        "folderName" => folder_name: Option<Text<'a>>,
        "assetFolderId" => folder_id: DomainId<'a>,
    }

    struct AssetFolderRenamed<'a> {
        "folderName" => folder_name: Option<Text<'a>>,
    }
    checked { "assetFolderId" => DomainId<'a>, }

    struct AssetFolderMoved<'a> {
        "parentId" => parent_id: DomainId<'a>,
    }
    checked { "assetFolderId" => DomainId<'a>, }

    struct AssetFolderDeleted<'a> {}
    checked { "assetFolderId" => DomainId<'a>, }
}

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
    /// Reads an event; `None` for a type that assets don't have, whose payload isn't looked at.
    ///
    /// # Errors
    /// [`FoldError::Payload`]
    pub(super) fn read(
        event_type: &str,
        payload: &Payload<'a>,
    ) -> Result<Option<(Base<'a>, Self)>, FoldError> {
        // The length alone tells most types apart, and nearly all foreign ones from ours.
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
    /// Reads an event; `None` for a type that folders don't have, whose payload isn't looked at.
    ///
    /// # Errors
    /// [`FoldError::Payload`]
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
