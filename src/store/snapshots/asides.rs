//! Copies of the collections whose names another generation takes, so that it can be rolled back to.
//!
//! A copy is made under a staging name and then renamed, which the server refuses if the name is taken: what
//! isn't ours is never overwritten. It is ours if a record of ours has its UUID, or was written before it was
//! made, when nothing had the name.

use bson::{Document, Uuid, doc};
use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::lifecycle::aside_name;
use crate::plan::staging_name;
use crate::store::builds::BuildStore;
use crate::store::connection::{LONG_CALL_SECONDS, NAMESPACE_EXISTS, Snapshots, Store, call_within};
use crate::store::control::ActiveGeneration;
use crate::store::records::AsideRecord;
use crate::store::snapshots::dropping::listed_uuid;

impl Snapshots<'_> {
    /// Refuses to copy the collections of the active generation to names that something else has.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the name and a remedy.
    pub(crate) async fn check_asides(self, active: &ActiveGeneration) -> Result<()> {
        for name in &active.collections {
            let aside = aside_name(name, active.active);
            if let Some(listed) = self.listed(&aside).await?
                && !self.is_ours(&aside, listed_uuid(&listed)).await?
            {
                return Err(taken(name, &aside, self.store));
            }
        }
        Ok(())
    }

    async fn is_ours(self, name: &str, uuid: Option<Uuid>) -> Result<bool> {
        let Some(uuid) = uuid else { return Ok(false) };
        let records = self.store.builds().records(None).await?;
        let copies = records.iter().flat_map(|record| &record.asides).filter(|aside| aside.name == name);
        let uuids: Vec<Option<Uuid>> = copies.map(|aside| aside.uuid).collect();
        if uuids.is_empty() {
            // Older versions recorded the names alone.
            return Ok(self.names_of_ours().await?.contains(name));
        }
        Ok(uuids.contains(&Some(uuid)) || uuids.contains(&None))
    }
}

impl BuildStore {
    /// Copies the collections of the active generation, with their indexes and options, and records the
    /// copies. Older copies of ours are replaced.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if something that isn't ours has such a name; the server's error.
    pub(crate) async fn copy_asides(&mut self, active: &ActiveGeneration) -> Result<()> {
        let snapshots = self.store.clone();
        let snapshots = snapshots.snapshots();
        snapshots.check_asides(active).await?;
        let mut asides = Vec::new();
        for name in &active.collections {
            let aside = aside_name(name, active.active);
            snapshots.drop_named(&aside, &self.mandate).await?;
            asides.push(AsideRecord { name: aside, uuid: None });
        }
        self.note_asides(asides.clone()).await?;
        for (name, aside) in active.collections.iter().zip(&mut asides) {
            // Before each copy: a process that was stopped meanwhile must not copy a newer collection of
            // that name.
            self.mandate.check()?;
            tracing::info!(collection = %name, to = %aside.name, "copying what will be replaced");
            let staged = staging_name(&aside.name, self.record.token);
            snapshots.drop_named(&staged, &self.mandate).await?;
            let (source, pipeline) =
                (self.store.database_of(name).collection::<Document>(name), [doc! { "$out": &staged }]);
            let copy = async move { source.aggregate(pipeline).await?.try_collect::<Vec<Document>>().await };
            call_within(LONG_CALL_SECONDS, "copying a generation aside", copy).await?;
            snapshots.carry_options(name, &staged, &self.mandate).await?;
            snapshots.carry_indexes(name, &staged, &self.mandate).await?;
            match self.rename(&staged, &aside.name).await {
                Err(Error::Server { code: Some(NAMESPACE_EXISTS), .. }) => {
                    // It isn't ours: the note that it is about to be made must not say so.
                    let (name, foreign) = (name.clone(), aside.name.clone());
                    asides.retain(|aside| aside.name != foreign);
                    self.note_asides(asides).await?;
                    return Err(taken(&name, &foreign, &self.store));
                }
                other => other?,
            }
            aside.uuid = snapshots.listed(&aside.name).await?.as_ref().and_then(listed_uuid);
        }
        self.note_asides(asides).await
    }
}

fn taken(name: &str, aside: &str, store: &Store) -> Error {
    Error::Unsupported(format!(
        "{aside} is where {name} would be copied to, but statefold didn't make what has that name: \
         rename it, or drop it ({}.{aside}.drop())",
        store.in_shell(aside)
    ))
}
