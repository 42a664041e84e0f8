//! Snapshots of required projections, held in memory while a projection is built.

use std::collections::HashMap;

use bson::{RawDocument, RawDocumentBuf, doc};
use futures::TryStreamExt;
use mongodb::Collection;
use statefold_projections::Lookup;

use crate::error::{Error, Result};
use crate::store::connection::{LONG_CALL_SECONDS, Store, call_within, classify};

/// Finished snapshots by target and id.
#[derive(Default)]
pub(crate) struct SnapshotLookup(HashMap<String, HashMap<String, RawDocumentBuf>>);

impl Lookup for SnapshotLookup {
    fn snapshot(&self, target: &str, id: &str) -> Option<&RawDocument> {
        self.0.get(target)?.get(id).map(AsRef::as_ref)
    }
}

impl SnapshotLookup {
    /// Loads a collection as the snapshots of a target. `budget` is the remaining memory in bytes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the budget doesn't suffice.
    pub(crate) async fn load(
        &mut self,
        store: &Store,
        target: &str,
        collection: &str,
        budget: &mut usize,
    ) -> Result<()> {
        let doing = format!("reading {collection}, which another projection requires");
        let snapshots: Collection<RawDocumentBuf> = store.db.collection(collection);
        let open = async move { snapshots.find(doc! {}).await };
        let mut cursor = call_within(LONG_CALL_SECONDS, &doing, open).await?;
        let loaded = self.0.entry(target.to_owned()).or_default();
        while let Some(document) = cursor.try_next().await.map_err(|error| classify(&doing, error))? {
            let Some(left) = budget.checked_sub(document.as_bytes().len()) else {
                return Err(Error::Unsupported(format!(
                    "{collection} is required by another projection, but larger than the memory allowed \
                     for that \
                     (Tuning::lookup_bytes_max)"
                )));
            };
            *budget = left;
            let id = document.get_str("_id").unwrap_or_default().to_owned();
            loaded.insert(id, document);
        }
        Ok(())
    }
}
