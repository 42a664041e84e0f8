//! Payloads of events of former Squidex versions, and their conversion to the current form.

use super::id::{DomainId, Guid};
use super::json::{Int, Text, properties};
use super::payload::{self, AssetType};
use super::tags::Tags;
use super::value::JsonObject;

properties! {
    /// The first form: the only kind of file is an image, and folders have GUIDs.
    struct AssetCreated<'a> {
        "parentId" => parent_id: Guid<'a>,
        "fileName" => file_name: Option<Text<'a>>,
        "fileHash" => file_hash: Option<Text<'a>>,
        "mimeType" => mime_type: Option<Text<'a>>,
        "slug" => slug: Option<Text<'a>>,
        "fileVersion" => file_version: Int<i64>,
        "fileSize" => file_size: Int<i64>,
        "isImage" => is_image: bool,
        "pixelWidth" => pixel_width: Option<Int<i32>>,
        "pixelHeight" => pixel_height: Option<Int<i32>>,
        "tags" => tags: Option<Tags<'a>>,
        "assetId" => asset_id: DomainId<'a>,
    }

    struct AssetUpdated<'a> {
        "mimeType" => mime_type: Option<Text<'a>>,
        "fileHash" => file_hash: Option<Text<'a>>,
        "fileSize" => file_size: Int<i64>,
        "fileVersion" => file_version: Int<i64>,
        "isImage" => is_image: bool,
        "pixelWidth" => pixel_width: Option<Int<i32>>,
        "pixelHeight" => pixel_height: Option<Int<i32>>,
    }
    checked { "assetId" => DomainId<'a>, }

    struct AssetRenamed<'a> {
        "fileName" => file_name: Option<Text<'a>>,
    }
    checked { "assetId" => DomainId<'a>, }

    struct AssetTagged<'a> {
        "tags" => tags: Option<Tags<'a>>,
    }
    checked { "assetId" => DomainId<'a>, }
}

/// Type and metadata of a file: it counts as an image only if both sizes are given.
fn image(
    is_image: bool,
    width: Option<Int<i32>>,
    height: Option<Int<i32>>,
) -> (AssetType, Option<JsonObject<'static>>) {
    match (is_image, width, height) {
        (true, Some(Int(width)), Some(Int(height))) => {
            let sizes = [("pixelWidth", width.into()), ("pixelHeight", height.into())];
            (AssetType::IMAGE, Some(JsonObject::of(sizes)))
        }
        _ => (AssetType::default(), None),
    }
}

impl<'a> From<AssetCreated<'a>> for payload::AssetCreated<'a> {
    fn from(old: AssetCreated<'a>) -> Self {
        let (kind, metadata) = image(old.is_image, old.pixel_width, old.pixel_height);
        Self {
            parent_id: old.parent_id.0,
            file_name: old.file_name,
            file_hash: old.file_hash,
            mime_type: old.mime_type,
            slug: old.slug,
            file_version: old.file_version,
            file_size: old.file_size,
            kind,
            metadata,
            tags: old.tags,
            asset_id: old.asset_id,
            ..Self::default()
        }
    }
}

impl<'a> From<AssetUpdated<'a>> for payload::AssetUpdated<'a> {
    fn from(old: AssetUpdated<'a>) -> Self {
        let (kind, metadata) = image(old.is_image, old.pixel_width, old.pixel_height);
        Self {
            mime_type: old.mime_type,
            file_hash: old.file_hash,
            file_size: old.file_size,
            file_version: old.file_version,
            kind,
            metadata,
            ..Self::default()
        }
    }
}

impl<'a> From<AssetRenamed<'a>> for payload::AssetAnnotated<'a> {
    fn from(old: AssetRenamed<'a>) -> Self {
        Self { file_name: old.file_name, ..Self::default() }
    }
}

impl<'a> From<AssetTagged<'a>> for payload::AssetAnnotated<'a> {
    fn from(old: AssetTagged<'a>) -> Self {
        Self { tags: old.tags, ..Self::default() }
    }
}
