//! What a projection that requires others needs while its streams are folded: their snapshots, loaded when
//! they are looked up, and the streams to refold when one of these changes.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::fold::{Dependents, Folded, LookupKey, Lookups, print_of};
use crate::pipeline::ports::{Found, RequiredSnapshots};

/// Snapshots that are read with one call.
const TOGETHER: usize = 500;

/// The projections that a projection requires.
#[derive(Clone)]
pub(crate) struct Required {
    snapshots: Arc<dyn RequiredSnapshots>,
    dependents: Arc<Mutex<Dependents>>,
    /// Most bytes that one fold keeps.
    bytes_max: usize,
}

impl Required {
    /// Keeps at most about so many bytes: half for the names of streams, half for what `folds` folds at the
    /// same time have loaded.
    pub(crate) fn new(snapshots: Arc<dyn RequiredSnapshots>, bytes_max: usize, folds: usize) -> Self {
        let half = bytes_max / 2;
        let dependents = Arc::new(Mutex::new(Dependents::new(half)));
        Self { snapshots, dependents, bytes_max: half / folds.max(1) }
    }

    fn dependents(&self) -> MutexGuard<'_, Dependents> {
        self.dependents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to note what streams look up, before all of them are folded.
    pub(crate) fn begin(&self) {
        self.dependents().begin();
    }

    /// Forgets what streams looked up: some of them are out of date, and which ones isn't known.
    pub(crate) fn forget(&self) {
        self.dependents().forget();
    }

    /// Whether it is known what every stream of the generation looked up.
    pub(crate) fn is_known(&self) -> bool {
        self.dependents().is_complete()
    }

    /// Notes what folded streams looked up.
    pub(crate) fn note(&self, folded: &mut Folded) {
        let looked_up = std::mem::take(&mut folded.looked_up);
        if !looked_up.is_empty() {
            let mut dependents = self.dependents();
            let was_complete = dependents.is_complete();
            looked_up.iter().for_each(|(stream, found)| dependents.note(stream, found));
            if was_complete && !dependents.is_complete() {
                tracing::warn!(
                    "more streams look up snapshots of other projections than there is memory for \
                     (Tuning::lookup_bytes_max): when these change, only a comparison of everything tells"
                );
            }
        }
    }

    /// An empty set of lookups for a fold.
    pub(in crate::pipeline) fn lookups(&self) -> Lookups {
        Lookups::new(self.bytes_max)
    }

    /// Loads what a fold misses.
    pub(in crate::pipeline) async fn load(&self, keys: Vec<LookupKey>) -> Result<Vec<Found>> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(TOGETHER) {
            found.extend(self.snapshots.load(keys.to_vec()).await?);
        }
        Ok(found)
    }

    /// The streams that looked up a snapshot that is another one now. They have to be refolded.
    ///
    /// # Errors
    /// If the snapshots can't be read.
    pub(crate) async fn changed(&self) -> Result<Vec<String>> {
        let keys = self.dependents().keys(None);
        self.changed_of(keys).await
    }

    /// As [`Self::changed`], of the snapshots with these ids.
    ///
    /// # Errors
    /// If the snapshots can't be read.
    pub(crate) async fn changed_among(&self, ids: &HashSet<String>) -> Result<Vec<String>> {
        let keys = self.dependents().keys(Some(ids));
        self.changed_of(keys).await
    }

    async fn changed_of(&self, keys: Vec<LookupKey>) -> Result<Vec<String>> {
        let mut streams = Vec::new();
        for keys in keys.chunks(TOGETHER) {
            let found = self.snapshots.load(keys.to_vec()).await?;
            let present: Vec<_> =
                found.into_iter().map(|(key, snapshot)| (key, print_of(snapshot.as_deref()))).collect();
            streams.extend(self.dependents().take_changed(&present));
        }
        streams.sort_unstable();
        streams.dedup();
        Ok(streams)
    }
}
