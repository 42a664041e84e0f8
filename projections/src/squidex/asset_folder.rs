//! Asset folders: the fold of their events, and the documents of `States_AssetFolders`.

use super::entity::{Entity, OWN};
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

const PARENT_ID: usize = OWN;
const FOLDER_NAME: usize = OWN + 1;
const PACKED: usize = OWN + 2;

/// The folded state of one folder.
#[derive(Debug, Default)]
pub struct AssetFolder {
    entity: Entity<PACKED>,
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
                let name = created.folder_name.as_ref().map(Text::as_bytes);
                folder.entity.create(&created.folder_id, base.app(), [created.parent_id.as_bytes(), name]);
                true
            }
            AssetFolderEvent::Renamed(renamed) => {
                let nameless = || FoldError::Refused("a folder was renamed to null".into());
                let name = renamed.folder_name.ok_or_else(nameless)?;
                folder.entity.packed.set(FOLDER_NAME, Some(name.as_bytes()))
            }
            AssetFolderEvent::Moved(moved) => folder.entity.packed.set(PARENT_ID, moved.parent_id.as_bytes()),
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
            if let Some(parent_id) = folder.entity.packed.get(PARENT_ID) {
                document.text("pi", parent_id);
            }
            document.text_or_null("fn", folder.entity.packed.get(FOLDER_NAME));
            common.end(document);
        })
    }

    fn state_bytes(&self, folder: &AssetFolder) -> usize {
        size_of_val(folder) + folder.entity.heap_bytes()
    }
}
