//! Assets: the fold of their events, and the documents of `States_Assets`.

use super::entity::{APP_ID, Entity, OWN};
use super::event::AssetEvent;
use super::json::Text;
use super::payload::{AssetAnnotated, AssetCreated, AssetType, AssetUpdated, Base};
use super::shard;
use super::tags::Tags;
use super::text::eq_ignore_case;
use super::value::JsonObject;
use crate::Direction::{Ascending, Descending};
use crate::{
    DocumentWriter, Event, FoldError, IndexDefinition, Lookup, Projection, Sink, Spec, StreamFilter,
    StreamKey, Target,
};

/// Assets of all apps, into `States_Assets`.
///
/// Squidex itself writes generation 2 of that collection, so statefold starts with 3.
#[derive(Debug)]
pub struct Assets {
    spec: Spec,
    /// Number of collections they are divided into; 0 if they aren't.
    shards: u32,
}

impl Assets {
    /// The projection, into one collection.
    #[must_use]
    pub fn new() -> Self {
        Self::with_shards(0)
    }

    /// The projection, for a Squidex that divides its assets into so many collections (`assetShardCount`):
    /// `States_Assets3_0` and so on, by the hash of the app's id.
    #[must_use]
    pub fn with_shards(shards: u32) -> Self {
        let target = Target::new("States_Assets")
            .index(IndexDefinition::on([
                ("mt", Descending),
                ("id", Ascending),
                ("_ai", Ascending),
                ("dl", Ascending),
                ("pi", Ascending),
                ("td", Ascending),
            ]))
            .index(IndexDefinition::on([("_ai", Ascending), ("sl", Ascending)]))
            .index(IndexDefinition::on([("_ai", Ascending), ("fh", Ascending)]))
            .index(IndexDefinition::on([("id", Ascending), ("dl", Ascending)]));
        // A permanent delete empties a stream and leaves one event in another one.
        let streams = StreamFilter::prefix("asset-").without_suffix("--deleted");
        let spec = Spec::new("Assets", 1).first_generation(3).streams(streams);
        Self { spec: shard::divided(spec, &target, shards), shards }
    }
}

impl Default for Assets {
    fn default() -> Self {
        Self::new()
    }
}

const PARENT_ID: usize = OWN;
const MIME_TYPE: usize = OWN + 1;
const FILE_HASH: usize = OWN + 2;
const FILE_NAME: usize = OWN + 3;
const SLUG: usize = OWN + 4;
const TAGS: usize = OWN + 5;
const METADATA: usize = OWN + 6;
const PACKED: usize = OWN + 7;

fn bytes<'t>(text: &'t Option<Text<'_>>) -> Option<&'t [u8]> {
    text.as_ref().map(Text::as_bytes)
}

/// The folded state of one asset.
#[derive(Debug, Default)]
pub struct Asset {
    entity: Entity<PACKED>,
    file_size_bytes: i64,
    file_version: i64,
    total_size_bytes: i64,
    kind: AssetType,
    metadata_has_odd_keys: bool,
    is_protected: bool,
}

impl Projection for Assets {
    type State = Asset;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn apply(&self, asset: &mut Asset, event: &Event<'_>) -> Result<(), FoldError> {
        let Some((mut base, change)) = AssetEvent::read(event.event_type, &event.payload)? else {
            return Ok(());
        };
        let actor = base.take_actor()?;
        if asset.entity.is_deleted && !matches!(change, AssetEvent::Created(_)) {
            return Ok(());
        }
        let changed = match change {
            AssetEvent::Created(created) => asset.create(&base, &created),
            AssetEvent::Updated(updated) => asset.update(&base, &updated),
            AssetEvent::Annotated(annotated) => asset.annotate(&annotated),
            AssetEvent::Moved(moved) => asset.entity.packed.set(PARENT_ID, moved.parent_id.as_bytes()),
            AssetEvent::Deleted => {
                asset.entity.is_deleted = true;
                true
            }
        };
        if changed {
            asset.entity.changed(event, actor);
        }
        Ok(())
    }

    fn snapshots(
        &self,
        _key: &StreamKey<'_>,
        asset: &Asset,
        _others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        let Some(common) = asset.entity.finished()? else { return Ok(()) };
        out.put(shard::target_of(common.app_id(), self.shards), |document| {
            common.begin(document);
            asset.write(document);
            common.end(document);
        })
    }

    fn state_bytes(&self, asset: &Asset) -> usize {
        size_of_val(asset) + asset.entity.heap_bytes()
    }
}

impl Asset {
    /// Sets everything, replacing an asset that exists already.
    fn create(&mut self, base: &Base<'_>, event: &AssetCreated<'_>) -> bool {
        self.entity.create(
            &event.asset_id,
            base.app(),
            [
                event.parent_id.as_bytes(),
                bytes(&event.mime_type),
                bytes(&event.file_hash),
                bytes(&event.file_name),
                bytes(&event.slug),
                event.tags.as_ref().map(Tags::elements),
                event.metadata.as_ref().map(JsonObject::elements),
            ],
        );
        self.file_size_bytes = event.file_size.0;
        self.file_version = event.file_version.0;
        self.total_size_bytes = event.file_size.0;
        self.kind = event.kind;
        self.metadata_has_odd_keys = event.metadata.as_ref().is_some_and(JsonObject::has_odd_keys);
        self.is_protected = false;
        true
    }

    /// Sets a new file, unless its hash is that of the current one.
    fn update(&mut self, base: &Base<'_>, event: &AssetUpdated<'_>) -> bool {
        if !self.entity.packed.set(FILE_HASH, bytes(&event.file_hash)) {
            return false;
        }
        // The total has only the sizes of this file and the one before, as in Squidex.
        self.total_size_bytes = self.file_size_bytes.wrapping_add(event.file_size.0);
        self.file_size_bytes = event.file_size.0;
        self.file_version = event.file_version.0;
        self.kind = event.kind;
        self.set_metadata(event.metadata.as_ref());
        self.entity.packed.set(MIME_TYPE, bytes(&event.mime_type));
        self.entity.packed.set(APP_ID, base.app());
        true
    }

    /// Sets each property that is given and differs.
    fn annotate(&mut self, event: &AssetAnnotated<'_>) -> bool {
        let mut changed = self.set_name(FILE_NAME, event.file_name.as_ref());
        changed |= self.set_name(SLUG, event.slug.as_ref());
        if let Some(is_protected) = event.is_protected.filter(|new| *new != self.is_protected) {
            self.is_protected = is_protected;
            changed = true;
        }
        if let Some(tags) = event.tags.as_ref().filter(|new| !self.tags().equals(new)) {
            self.entity.packed.set(TAGS, Some(tags.elements()));
            changed = true;
        }
        if let Some(metadata) = event.metadata.as_ref().filter(|new| !new.equals(&self.metadata())) {
            self.set_metadata(Some(metadata));
            changed = true;
        }
        changed
    }

    /// Sets a name if one is given that differs in more than case; returns true if it was set.
    fn set_name(&mut self, at: usize, name: Option<&Text<'_>>) -> bool {
        let Some(new) = name else { return false };
        let is_equal = |old: &[u8]| {
            old == new.as_bytes()
                || std::str::from_utf8(old).is_ok_and(|old| eq_ignore_case(old, new.as_str()))
        };
        !self.entity.packed.get(at).is_some_and(is_equal) && self.entity.packed.set(at, Some(new.as_bytes()))
    }

    fn tags(&self) -> Tags<'_> {
        Tags::kept(self.entity.packed.get(TAGS))
    }

    fn metadata(&self) -> JsonObject<'_> {
        JsonObject::kept(self.entity.packed.get(METADATA), self.metadata_has_odd_keys)
    }

    fn set_metadata(&mut self, metadata: Option<&JsonObject<'_>>) {
        self.entity.packed.set(METADATA, metadata.map(JsonObject::elements));
        self.metadata_has_odd_keys = metadata.is_some_and(JsonObject::has_odd_keys);
    }

    fn write(&self, document: &mut DocumentWriter<'_>) {
        let packed = &self.entity.packed;
        if let Some(parent_id) = packed.get(PARENT_ID) {
            document.text("pi", parent_id);
        }
        document.text_or_null("fn", packed.get(FILE_NAME));
        document.text_or_null("fh", packed.get(FILE_HASH));
        document.i64("fs", self.file_size_bytes);
        document.i64("fv", self.file_version);
        if self.is_protected {
            document.bool("pt", true);
        }
        document.document("md", |document| self.metadata().write_plain(document));
        document.text_or_null("mm", packed.get(MIME_TYPE));
        document.text_or_null("sl", packed.get(SLUG));
        self.tags().write(document, "td");
        document.i64("ts", self.total_size_bytes);
        document.i32("at", self.kind.0);
    }
}
