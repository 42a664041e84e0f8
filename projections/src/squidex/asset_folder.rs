//! Asset folders: the fold of their events, and the documents of `States_AssetFolders`.

use super::entity::{Entity, set_text, text_bytes};
use super::event::AssetFolderEvent;
use super::json::Text;
use crate::Direction::Ascending;
use crate::{
    Event, FoldError, IndexDefinition, Lookup, Projection, Sink, Spec, StreamFilter, StreamKey, Target,
};

/// Asset folders of all apps, into `States_AssetFolders`.
///
/// Squidex itself writes generation 2 of that collection, so statefold starts with 3.
#[derive(Debug)]
pub struct AssetFolders(Spec);

impl AssetFolders {
    /// The projection.
    #[must_use]
    pub fn new() -> Self {
        let index = IndexDefinition::on([("_ai", Ascending), ("pi", Ascending), ("dl", Ascending)]);
        let target = Target::new("States_AssetFolders").index(index);
        let streams = StreamFilter::prefix("assetFolder-");
        Self(Spec::new("AssetFolders", 1).first_generation(3).streams(streams).target(target))
    }
}

impl Default for AssetFolders {
    fn default() -> Self {
        Self::new()
    }
}

/// The folded state of one folder.
#[derive(Debug, Default)]
pub struct AssetFolder {
    entity: Entity,
    parent_id: Option<Box<str>>,
    folder_name: Option<Box<str>>,
}

impl Projection for AssetFolders {
    type State = AssetFolder;

    fn spec(&self) -> &Spec {
        &self.0
    }

    fn apply(&self, folder: &mut AssetFolder, event: &Event<'_>) -> Result<(), FoldError> {
        let Some((mut base, change)) = AssetFolderEvent::read(event.event_type, &event.payload)? else {
            return Ok(());
        };
        let actor = base.take_actor()?;
        // Unlike an asset, a deleted folder can't be created again.
        if folder.entity.is_deleted {
            return Ok(());
        }
        let changed = match change {
            AssetFolderEvent::Created(created) => {
                *folder = AssetFolder {
                    entity: folder.entity.created(created.folder_id.0, base.app_id.map(|app| app.0)),
                    parent_id: created.parent_id.0.map(Text::into_boxed),
                    folder_name: created.folder_name.map(Text::into_boxed),
                };
                true
            }
            AssetFolderEvent::Renamed(renamed) => {
                let nameless = || FoldError::Refused("a folder was renamed to null".into());
                let name = renamed.folder_name.ok_or_else(nameless)?;
                set_text(&mut folder.folder_name, Some(name))
            }
            AssetFolderEvent::Moved(moved) => set_text(&mut folder.parent_id, moved.parent_id.0),
            AssetFolderEvent::Deleted => {
                folder.entity.is_deleted = true;
                true
            }
        };
        if changed {
            folder.entity.changed(event, actor);
        }
        Ok(())
    }

    fn snapshots(
        &self,
        _key: &StreamKey<'_>,
        folder: &AssetFolder,
        _others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError> {
        let Some(common) = folder.entity.finished()? else { return Ok(()) };
        out.put(0, |document| {
            common.begin(document);
            if let Some(parent_id) = folder.parent_id.as_deref() {
                document.str("pi", parent_id);
            }
            document.str_or_null("fn", folder.folder_name.as_deref());
            common.end(document);
        })
    }

    fn state_bytes(&self, folder: &AssetFolder) -> usize {
        let heap =
            folder.entity.heap_bytes() + text_bytes(&folder.parent_id) + text_bytes(&folder.folder_name);
        size_of_val(folder) + heap
    }
}
