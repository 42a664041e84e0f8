//! Payloads of events: how they are read, and those of assets and asset folders in their current form.
//!
//! Every property that Squidex types is typed here too, even if the fold doesn't need it: a payload
//! that Squidex can't read must not become a snapshot. `legacy` holds the older forms, `event` chooses
//! between both by the type name.

use serde::de::{Error, MapAccess};
use serde::{Deserialize, Deserializer};

use super::id::{DomainId, NamedId, RefToken};
use super::json::{Int, IntReader, Object, Properties, Text, plain_object, properties};
use super::quick::{NotPlain, Plain, Reader};
use super::tags::Tags;
use super::value::{DEPTH_MAX, JsonObject};
use crate::{FoldError, Payload};

properties! {
    /// Properties of every event of an app.
    struct Base<'a> {
        "appId" => app_id: Option<NamedId<'a>>,
        "actor" => actor: Option<Text<'a>>,
    }
    checked { "fromRule" => bool, }
}

impl<'a> Base<'a> {
    /// Id and name of the app, `id,name`.
    pub(super) fn app(&self) -> Option<&[u8]> {
        self.app_id.as_ref().map(|app| app.0.as_bytes())
    }

    /// Takes the actor who caused the event.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if the text has only spaces and colons.
    pub(super) fn take_actor(&mut self) -> Result<Option<RefToken<'a>>, FoldError> {
        actor(self.actor.take())
    }
}

/// The actor of a base property.
///
/// # Errors
/// [`FoldError::Refused`] if the text has only spaces and colons.
pub(super) fn actor(text: Option<Text<'_>>) -> Result<Option<RefToken<'_>>, FoldError> {
    let parse = |text| RefToken::parse(text).ok_or_else(|| FoldError::Refused("the actor is blank".into()));
    text.map(parse).transpose()
}

/// The properties of one event type, and those of every event of its aggregate.
#[derive(Debug, Default)]
struct WithBase<B, T> {
    base: B,
    own: T,
}

impl<'a, B: Properties<'a>, T: Properties<'a>> Properties<'a> for WithBase<B, T> {
    const COUNT: usize = T::COUNT + B::COUNT;

    #[inline]
    fn name(number: usize) -> Option<&'static str> {
        match number.checked_sub(T::COUNT) {
            None => T::name(number),
            Some(number) => B::name(number),
        }
    }

    #[inline]
    fn read<A: MapAccess<'a>>(&mut self, number: usize, values: &mut A) -> Result<(), A::Error> {
        match number.checked_sub(T::COUNT) {
            None => self.own.read(number, values),
            Some(number) => self.base.read(number, values),
        }
    }

    fn read_plain(&mut self, number: usize, reader: &mut Reader<'a>) -> Result<(), NotPlain> {
        match number.checked_sub(T::COUNT) {
            None => self.own.read_plain(number, reader),
            Some(number) => self.base.read_plain(number, reader),
        }
    }

    #[inline]
    fn read_in_order(&mut self, reader: &mut Reader<'a>) -> Result<bool, NotPlain> {
        Ok(self.own.read_in_order(reader)? || self.base.read_in_order(reader)?)
    }
}

/// The properties of an event type that has none of its own.
#[derive(Debug, Default)]
pub(super) struct Nothing;

impl<'a> Properties<'a> for Nothing {
    const COUNT: usize = 0;

    fn name(_number: usize) -> Option<&'static str> {
        None
    }

    fn read<A: MapAccess<'a>>(&mut self, _number: usize, _values: &mut A) -> Result<(), A::Error> {
        Ok(())
    }

    fn read_plain(&mut self, _number: usize, _reader: &mut Reader<'a>) -> Result<(), NotPlain> {
        Ok(())
    }

    fn read_in_order(&mut self, _reader: &mut Reader<'a>) -> Result<bool, NotPlain> {
        Ok(false)
    }
}

/// Reads a payload: the properties of every event, and the event that `wrap` makes of its own ones.
///
/// # Errors
/// [`FoldError::Payload`] if Squidex couldn't read it.
pub(super) fn read<'a, B: Properties<'a>, T: Properties<'a>, E>(
    payload: &Payload<'a>,
    wrap: impl FnOnce(T) -> E,
) -> Result<Option<(B, E)>, FoldError> {
    let quick = match payload {
        Payload::Json(text) => plain_object(text).ok(),
        Payload::Document(_) => None,
    };
    let WithBase::<B, T> { base, own } = match quick {
        Some(object) => object,
        None => {
            check_levels(payload)?;
            payload.parse::<Object<_>>()?.0
        }
    };
    Ok(Some((base, wrap(own))))
}

/// That a payload isn't nested deeper than Squidex reads it, what it skips included.
fn check_levels(payload: &Payload<'_>) -> Result<(), FoldError> {
    let Payload::Json(text) = payload else { return Ok(()) };
    // Few payloads have so many objects and arrays at all, and counting them is quick.
    if text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() <= DEPTH_MAX {
        return Ok(());
    }
    let (mut levels, mut in_text, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => levels += 1,
            b'}' | b']' if !in_text => levels = levels.saturating_sub(1),
            _ => {}
        }
        if levels > DEPTH_MAX {
            return Err(FoldError::Payload("nested too deeply".into()));
        }
    }
    Ok(())
}

/// Kind of a file, by its number; numbers without a name are valid, too.
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

impl<'de> Plain<'de> for AssetType {
    #[inline]
    fn read(reader: &mut Reader<'de>) -> Result<Self, NotPlain> {
        // The most frequent names; all others, and these in another case, are left to serde.
        if reader.take(b"\"Image\"") {
            return Ok(Self::IMAGE);
        }
        if reader.take(b"\"Unknown\"") {
            return Ok(Self::default());
        }
        Int::read(reader).map(|number| Self(number.0))
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
        "metadata" => metadata: Option<JsonObject<'a>>,
        "tags" => tags: Option<Tags<'a>>,
        "assetId" => asset_id: DomainId<'a>,
    }

    struct AssetUpdated<'a> {
        "mimeType" => mime_type: Option<Text<'a>>,
        "fileHash" => file_hash: Option<Text<'a>>,
        "fileSize" => file_size: Int<i64>,
        "fileVersion" => file_version: Int<i64>,
        "type" => kind: AssetType,
        "metadata" => metadata: Option<JsonObject<'a>>,
    }
    checked { "assetId" => DomainId<'a>, }

    /// A null property isn't changed.
    struct AssetAnnotated<'a> {
        "fileName" => file_name: Option<Text<'a>>,
        "slug" => slug: Option<Text<'a>>,
        "isProtected" => is_protected: Option<bool>,
        "metadata" => metadata: Option<JsonObject<'a>>,
        "tags" => tags: Option<Tags<'a>>,
    }
    checked { "assetId" => DomainId<'a>, }

    struct AssetMoved<'a> {
        "parentId" => parent_id: DomainId<'a>,
    }
    checked { "assetId" => DomainId<'a>, }

    struct AssetDeleted<'a> {}
    checked {
        "deletedSize" => Int<i64>,
        "oldTags" => Option<Tags<'a>>,
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
