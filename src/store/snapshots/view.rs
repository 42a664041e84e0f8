//! Views that show the active generation, for readers that know one name.

use bson::{Document, doc};

use crate::error::{Error, Result};
use crate::store::connection::Snapshots;
use crate::store::control::Mandate;

/// Holder of a name in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NameHolder {
    /// Nothing.
    Nothing,
    /// A view of this collection, without a pipeline.
    View(String),
    /// A collection, or any other view.
    Other,
}

impl Snapshots<'_> {
    /// The holder of a name. A view counts as [`NameHolder::View`] only if it shows a collection of ours.
    pub(crate) async fn named(self, name: &str) -> Result<NameHolder> {
        match self.shown(name).await? {
            NameHolder::View(collection) if !self.names_of_ours().await?.contains(&collection) => {
                Ok(NameHolder::Other)
            }
            named => Ok(named),
        }
    }

    /// The holder of a name, with a view of any collection.
    pub(in crate::store) async fn shown(self, name: &str) -> Result<NameHolder> {
        let Some(found) = self.store.list_one("looking at a view", name).await? else {
            return Ok(NameHolder::Nothing);
        };
        let options = found.get_document("options").ok();
        let view_on = options.and_then(|options| options.get_str("viewOn").ok());
        let plain = options.and_then(|options| options.get_array("pipeline").ok()).is_none_or(Vec::is_empty);
        Ok(match view_on {
            Some(collection) if plain => NameHolder::View(collection.to_owned()),
            _ => NameHolder::Other,
        })
    }

    /// Points a view to a collection, atomically for readers. Creates the view if the name is free.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a collection has the name, or a view that isn't ours.
    pub(crate) async fn point_view(self, name: &str, collection: &str, mandate: &Mandate) -> Result<()> {
        mandate.check()?;
        let command = match self.named(name).await? {
            NameHolder::View(shown) if shown == collection => return Ok(()),
            NameHolder::View(_) => doc! { "collMod": name, "viewOn": collection, "pipeline": [] },
            NameHolder::Nothing => doc! { "create": name, "viewOn": collection, "pipeline": [] },
            NameHolder::Other => return Err(view_name_taken(name)),
        };
        let mut command: Document = command;
        command.insert("writeConcern", doc! { "w": "majority" });
        self.store.command_for(name, "switching a view", command).await.map(|_| ())
    }
}

/// The error for a view whose name belongs to a collection or to another view.
pub(crate) fn view_name_taken(name: &str) -> Error {
    Error::Unsupported(format!(
        "{name} is a collection, or a view that statefold didn't make, so no view of statefold can have \
         this name: drop such a view, or use the mode pointer, or the mode rename for an application \
         that reads this name"
    ))
}
