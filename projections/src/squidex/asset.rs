//! Assets: the fold of their events, and the documents of `States_Assets`.

use super::entity::{APP_ID, Entity, OWN};
use super::event::AssetEvent;
use super::json::Text;
use super::payload::{AssetAnnotated, AssetCreated, AssetType, AssetUpdated, Base};
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
pub struct Assets(Spec);

impl Assets {
    /// The projection.
    #[must_use]
    pub fn new() -> Self {
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
        Self(Spec::new("Assets", 1).first_generation(3).streams(streams).target(target))
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
const TEXTS: usize = OWN + 5;

fn text<'t>(text: &'t Option<Text<'_>>) -> Option<&'t str> {
    text.as_ref().map(Text::as_str)
}

/// The folded state of one asset.
#[derive(Debug, Default)]
pub struct Asset {
    entity: Entity<TEXTS>,
    file_size_bytes: i64,
    file_version: i64,
    total_size_bytes: i64,
    metadata: JsonObject,
    tags: Tags,
    kind: AssetType,
    is_protected: bool,
}

impl Projection for Assets {
    type State = Asset;

    fn spec(&self) -> &Spec {
        &self.0
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
            AssetEvent::Created(created) => asset.create(base, created),
            AssetEvent::Updated(updated) => asset.update(base, updated),
            AssetEvent::Annotated(annotated) => asset.annotate(annotated),
            AssetEvent::Moved(moved) => asset.entity.texts.set(PARENT_ID, text(&moved.parent_id.0)),
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
        out.put(0, |document| {
            common.begin(document);
            asset.write(document);
            common.end(document);
        })
    }

    fn state_bytes(&self, asset: &Asset) -> usize {
        size_of_val(asset) + asset.heap_bytes()
    }
}

impl Asset {
    /// Sets everything, replacing an asset that exists already.
    fn create(&mut self, base: Base<'_>, event: AssetCreated<'_>) -> bool {
        *self = Self {
            entity: self.entity.created(
                text(&event.asset_id.0),
                base.app_id.as_ref().map(|app| app.0.as_str()),
                [&event.parent_id.0, &event.mime_type, &event.file_hash, &event.file_name, &event.slug]
                    .map(text),
            ),
            file_size_bytes: event.file_size.0,
            file_version: event.file_version.0,
            total_size_bytes: event.file_size.0,
            metadata: event.metadata.unwrap_or_default().kept(),
            tags: Tags::new(&event.tags.unwrap_or_default()),
            kind: event.kind,
            is_protected: false,
        };
        true
    }

    /// Sets a new file, unless its hash is that of the current one.
    fn update(&mut self, base: Base<'_>, event: AssetUpdated<'_>) -> bool {
        if !self.entity.texts.set(FILE_HASH, text(&event.file_hash)) {
            return false;
        }
        // The total has only the sizes of this file and the one before, as in Squidex.
        self.total_size_bytes = self.file_size_bytes.wrapping_add(event.file_size.0);
        self.file_size_bytes = event.file_size.0;
        self.file_version = event.file_version.0;
        self.kind = event.kind;
        self.metadata = event.metadata.unwrap_or_default().kept();
        self.entity.texts.set(MIME_TYPE, text(&event.mime_type));
        self.entity.texts.set(APP_ID, base.app_id.as_ref().map(|app| app.0.as_str()));
        true
    }

    /// Sets each property that is given and differs.
    fn annotate(&mut self, event: AssetAnnotated<'_>) -> bool {
        let mut changed = self.set_name(FILE_NAME, event.file_name);
        changed |= self.set_name(SLUG, event.slug);
        if let Some(is_protected) = event.is_protected.filter(|new| *new != self.is_protected) {
            self.is_protected = is_protected;
            changed = true;
        }
        if let Some(tags) = event.tags.filter(|new| !self.tags.equals(new)) {
            self.tags = Tags::new(&tags);
            changed = true;
        }
        if let Some(metadata) = event.metadata.filter(|new| !new.equals(&self.metadata)) {
            self.metadata = metadata.kept();
            changed = true;
        }
        changed
    }

    /// Sets a name if one is given that differs in more than case; returns true if it was set.
    fn set_name(&mut self, at: usize, name: Option<Text<'_>>) -> bool {
        let Some(new) = name else { return false };
        let is_equal = |old: &str| eq_ignore_case(old, new.as_str());
        !self.entity.texts.get(at).is_some_and(is_equal) && self.entity.texts.set(at, Some(new.as_str()))
    }

    fn write(&self, document: &mut DocumentWriter<'_>) {
        let texts = &self.entity.texts;
        if let Some(parent_id) = texts.get(PARENT_ID) {
            document.str("pi", parent_id);
        }
        document.str_or_null("fn", texts.get(FILE_NAME));
        document.str_or_null("fh", texts.get(FILE_HASH));
        document.i64("fs", self.file_size_bytes);
        document.i64("fv", self.file_version);
        if self.is_protected {
            document.bool("pt", true);
        }
        document.document("md", |metadata| self.metadata.write_plain(metadata));
        document.str_or_null("mm", texts.get(MIME_TYPE));
        document.str_or_null("sl", texts.get(SLUG));
        self.tags.write(document, "td");
        document.i64("ts", self.total_size_bytes);
        document.i32("at", self.kind.0);
    }

    fn heap_bytes(&self) -> usize {
        self.entity.heap_bytes() + self.metadata.heap_bytes() + self.tags.heap_bytes()
    }
}
