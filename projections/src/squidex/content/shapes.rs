//! Apps and schemas, read from their snapshots once and not once for each of their contents.
//!
//! Invariant: what is returned depends on the given bytes alone; how much is remembered only changes how fast
//! it is.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bson::RawDocument;
use serde::Deserialize;

use super::schema;
use crate::{FoldError, Lookup};

/// Size of all remembered snapshots at which they are forgotten.
const BYTES_MAX: usize = 16 << 20;

/// The states of finished snapshots, by their `_id`.
#[derive(Debug)]
pub(super) struct Shapes<T> {
    /// The collection.
    target: &'static str,
    known: RwLock<Known<T>>,
}

#[derive(Debug)]
struct Known<T> {
    shapes: HashMap<String, Shape<T>>,
    bytes: usize,
}

/// The state of a snapshot; `None` if it is deleted.
#[derive(Debug)]
struct Shape<T> {
    snapshot: Box<[u8]>,
    state: Option<Arc<T>>,
}

impl<T: for<'de> Deserialize<'de>> Shapes<T> {
    pub(super) fn of(target: &'static str) -> Self {
        Self { target, known: RwLock::new(Known { shapes: HashMap::new(), bytes: 0 }) }
    }

    /// The state with this id; `None` if it isn't known, not loaded yet, or deleted.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if the snapshot can't be read.
    pub(super) fn find(&self, id: &str, others: &dyn Lookup) -> Result<Option<Arc<T>>, FoldError> {
        let Some(snapshot) = others.snapshot(self.target, id) else { return Ok(None) };
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(shape) = known.shapes.get(id).filter(|shape| *shape.snapshot == *snapshot.as_bytes())
            {
                return Ok(shape.state.clone());
            }
        }
        let state = schema::read(snapshot)?.map(Arc::new);
        self.remember(id, snapshot, state.clone());
        Ok(state)
    }

    #[cold]
    fn remember(&self, id: &str, snapshot: &RawDocument, state: Option<Arc<T>>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let snapshot: Box<[u8]> = snapshot.as_bytes().into();
        if known.bytes + snapshot.len() > BYTES_MAX {
            known.shapes.clear();
            known.bytes = 0;
        }
        known.bytes += snapshot.len();
        if let Some(former) = known.shapes.insert(id.to_owned(), Shape { snapshot, state }) {
            known.bytes -= former.snapshot.len();
        }
    }
}
