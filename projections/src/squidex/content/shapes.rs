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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bson::{RawDocumentBuf, doc};

    use super::super::schema::App;
    use super::*;

    /// One snapshot, whatever is asked for.
    struct Only(RawDocumentBuf);

    impl Lookup for Only {
        fn snapshot(&self, _target: &str, _id: &str) -> Option<&RawDocument> {
            Some(&self.0)
        }
    }

    fn app(code: &str, is_deleted: bool, padding: usize) -> Only {
        let languages = doc! { code: {}, "padding": "x".repeat(padding) };
        let snapshot =
            doc! { "_id": "a", "Doc": { "languages": { "languages": languages } }, "_dl": is_deleted };
        Only(RawDocumentBuf::try_from(&snapshot).unwrap())
    }

    fn first_language(apps: &Shapes<App>, id: &str, others: &Only) -> Option<String> {
        apps.find(id, others).unwrap().map(|app| app.languages.first().unwrap().clone())
    }

    #[test]
    fn a_snapshot_that_changed_is_read_again() {
        let apps = Shapes::of("States_Apps");
        for _ in 0..2 {
            assert_eq!(first_language(&apps, "a", &app("en", false, 0)).as_deref(), Some("en"));
            assert_eq!(first_language(&apps, "a", &app("de", false, 0)).as_deref(), Some("de"));
            assert_eq!(first_language(&apps, "a", &app("de", true, 0)), None);
        }
        let known = apps.known.read().unwrap();
        assert_eq!((known.shapes.len(), known.bytes), (1, app("de", true, 0).0.as_bytes().len()));
    }

    #[test]
    fn no_more_than_the_bound_is_remembered() {
        let apps = Shapes::of("States_Apps");
        for at in 0..40 {
            let others = app("en", false, 1 << 20);
            assert_eq!(first_language(&apps, &at.to_string(), &others).as_deref(), Some("en"));
            let known = apps.known.read().unwrap();
            let held: usize = known.shapes.values().map(|shape| shape.snapshot.len()).sum();
            assert_eq!(known.bytes, held);
            assert!(held <= BYTES_MAX);
        }
    }
}
