//! Views that name the active generation, for readers that know one name.

use bson::{Document, doc};
use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::store::connection::{Snapshots, call};
use crate::store::control::Mandate;

/// What has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NameHolder {
    /// Nothing.
    Nothing,
    /// A view of this collection, as it is.
    View(String),
    /// A collection, or a view that does more, or of something else.
    Other,
}

impl Snapshots<'_> {
    /// What has this name; views of what isn't ours are somebody else's.
    pub(crate) async fn named(self, name: &str) -> Result<NameHolder> {
        match self.shown(name).await? {
            NameHolder::View(of) if !self.names_of_ours().await?.contains(&of) => Ok(NameHolder::Other),
            named => Ok(named),
        }
    }

    /// What has this name, with any view as it is.
    pub(in crate::store) async fn shown(self, name: &str) -> Result<NameHolder> {
        let (db, filter) = (self.store.db.clone(), doc! { "name": name });
        let command = doc! { "listCollections": 1, "filter": filter };
        let list = async move { db.run_cursor_command(command).await?.try_collect::<Vec<Document>>().await };
        let found = call("looking at a view", list).await?;
        let Some(found) = found.first() else { return Ok(NameHolder::Nothing) };
        let options = found.get_document("options").ok();
        let of = options.and_then(|options| options.get_str("viewOn").ok());
        let plain = options.and_then(|options| options.get_array("pipeline").ok()).is_none_or(Vec::is_empty);
        Ok(match of {
            Some(of) if plain => NameHolder::View(of.to_owned()),
            _ => NameHolder::Other,
        })
    }

    /// Makes a view name this collection; readers see the one or the other, never neither.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a collection has the name, or a view that isn't ours.
    pub(crate) async fn point_view(self, name: &str, collection: &str, mandate: &Mandate) -> Result<()> {
        mandate.check()?;
        let command = match self.named(name).await? {
            NameHolder::View(of) if of == collection => return Ok(()),
            NameHolder::View(_) => doc! { "collMod": name, "viewOn": collection, "pipeline": [] },
            NameHolder::Nothing => doc! { "create": name, "viewOn": collection, "pipeline": [] },
            NameHolder::Other => return Err(view_name_taken(name)),
        };
        let mut command: Document = command;
        command.insert("writeConcern", doc! { "w": "majority" });
        self.store.command("switching a view", command).await.map(|_| ())
    }
}

/// The name of a view is a collection's, or another view's.
pub(crate) fn view_name_taken(name: &str) -> Error {
    Error::Unsupported(format!(
        "{name} is a collection, or a view that statefold didn't make, so no view of statefold can have this name: drop \
         such a view, or use --mode pointer, or --mode rename for an application that reads this name"
    ))
}
