//! Reads the snapshots of required projections that are looked up.

use std::collections::HashMap;

use bson::RawDocumentBuf;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::{Error, Result};
use crate::fold::LookupKey;
use crate::lifecycle::BuildState;
use crate::pipeline::ports::{Found, RequiredSnapshots};
use crate::store::connection::Store;

/// Attempts at reading collections that are renamed meanwhile.
const TRIES: u32 = 20;

/// A projection that another one requires.
#[derive(Debug, Clone)]
pub(crate) struct RequiredProjection {
    /// Its name.
    pub(crate) name: String,
    /// Id of the build to look into; the active generation if there is none.
    pub(crate) build: Option<String>,
}

/// The snapshots of the projections that a projection requires, as they are now.
pub(crate) struct SnapshotLookup {
    pub(crate) store: Store,
    /// The projection that requires the others.
    pub(crate) projection: String,
    pub(crate) required: Vec<RequiredProjection>,
}

impl SnapshotLookup {
    /// Present collection of each target. A cut-over renames them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a required projection has no active generation.
    pub(crate) async fn collections(&self) -> Result<HashMap<String, String>> {
        let (mut collections, mut uuids) = (HashMap::new(), None);
        let records = self.store.builds().records(None).await?;
        for required in &self.required {
            let mut of_it =
                records.iter().filter(|record| record.projection.eq_ignore_ascii_case(&required.name));
            let found = match &required.build {
                Some(id) => records.iter().find(|record| record.id == *id),
                None => {
                    // Its record may not say yet what the pointer says.
                    let name = of_it.clone().next().map_or(&required.name, |record| &record.projection);
                    let pointer = self.store.control().active(name).await?;
                    let active = of_it.clone().find(|record| record.state == BuildState::Active);
                    pointer.and_then(|active| of_it.find(|one| one.generation == active.active)).or(active)
                }
            };
            let Some(record) = found else {
                let (projection, required) = (&self.projection, &required.name);
                return Err(Error::Unsupported(format!(
                    "{projection} requires {required}, which has no active generation: rebuild {required} too"
                )));
            };
            if record.swap.is_some() && uuids.is_none() {
                uuids = Some(self.store.snapshots().uuids().await?);
            }
            for (at, target) in record.targets.iter().enumerate() {
                // Its record may not say yet that it was renamed: the collection itself does.
                let swap = record.swap.as_ref().and_then(|all| all.get(at)).zip(uuids.as_ref());
                let collection = match swap {
                    Some((swap, uuids)) if uuids.get(&swap.into) == Some(&swap.uuid) => &swap.into,
                    Some((swap, _)) => &swap.from,
                    None => record.collection_of(at).unwrap_or(&target.collection),
                };
                collections.insert(target.target.clone(), collection.to_owned());
            }
        }
        Ok(collections)
    }

    async fn read(&self, keys: Vec<LookupKey>) -> Result<Vec<Found>> {
        let mut collections = self.collections().await?;
        for _ in 0..TRIES {
            let mut ids: HashMap<&str, Vec<&str>> = HashMap::new();
            for key in &keys {
                ids.entry(&key.target).or_default().push(&key.id);
            }
            let mut snapshots: HashMap<&str, HashMap<String, RawDocumentBuf>> = HashMap::new();
            for (target, ids) in ids {
                // Of a projection that it doesn't require it finds nothing.
                if let Some(collection) = collections.get(target) {
                    snapshots.insert(target, self.store.snapshots().of(collection, &ids).await?);
                }
            }
            let now = self.collections().await?;
            if now == collections {
                let mut take = |key: &LookupKey| snapshots.get_mut(key.target.as_str())?.remove(&key.id);
                let found: Vec<_> = keys.iter().map(&mut take).collect();
                return Ok(keys.into_iter().zip(found).collect());
            }
            collections = now;
        }
        Err(Error::Server {
            doing: "reading what another projection requires".into(),
            code: None,
            transient: true,
            source: format!("its collections were renamed {TRIES} times meanwhile").into(),
        })
    }
}

impl RequiredSnapshots for SnapshotLookup {
    fn load(&self, keys: Vec<LookupKey>) -> BoxFuture<'_, Result<Vec<Found>>> {
        self.read(keys).boxed()
    }
}
