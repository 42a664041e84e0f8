//! The snapshots of other projections that a fold looks up, and what it asked for but doesn't have yet.
//!
//! Folding never waits. A stream whose snapshots were written without all that they looked up is not written
//! yet: it is asked for again once the missing snapshots are there.

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bson::{RawDocument, RawDocumentBuf};
use statefold_projections::{FoldError, Lookup, NoLookup, Slot, States, StreamKey};

use crate::fold::folded::Folded;
use crate::fold::lookup_key::{LookedUp, LookupKey, print_of};

struct Loaded {
    key: Arc<LookupKey>,
    print: u64,
    snapshot: Option<RawDocumentBuf>,
}

/// What was asked for.
#[derive(Default)]
struct Asked {
    /// Of what is loaded, by the present stream.
    found: Vec<LookedUp>,
    /// What isn't loaded, by the present stream: how often.
    misses: usize,
    /// What isn't loaded, by any stream.
    missing: BTreeSet<LookupKey>,
}

/// Loaded snapshots of other projections, by target and id.
#[derive(Default)]
pub(crate) struct Lookups {
    /// Most bytes to keep between batches; `None` if the projection requires no other.
    bytes_max: Option<usize>,
    loaded: HashMap<String, HashMap<String, Loaded>>,
    bytes: usize,
    asked: Mutex<Asked>,
}

impl Lookup for Lookups {
    fn snapshot(&self, target: &str, id: &str) -> Option<&RawDocument> {
        let loaded = self.loaded.get(target).and_then(|loaded| loaded.get(id));
        let mut asked = self.asked();
        match loaded {
            Some(loaded) => asked.found.push((Arc::clone(&loaded.key), loaded.print)),
            None => {
                asked.misses += 1;
                asked.missing.insert(LookupKey { target: target.to_owned(), id: id.to_owned() });
            }
        }
        loaded?.snapshot.as_deref()
    }
}

impl Lookups {
    /// Nothing loaded yet, for a projection that requires others.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max: Some(bytes_max), ..Self::default() }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the keys of what was asked for and isn't loaded.
    pub(crate) fn take_missing(&mut self) -> Vec<LookupKey> {
        mem::take(&mut self.asked().missing).into_iter().collect()
    }

    /// Loads snapshots; `None` for those that don't exist.
    pub(crate) fn load(&mut self, found: Vec<(LookupKey, Option<RawDocumentBuf>)>) {
        for (key, snapshot) in found {
            let print = print_of(snapshot.as_deref());
            self.bytes += key.target.len() + 2 * key.id.len() + size_of::<Loaded>();
            self.bytes += snapshot.as_ref().map_or(0, |snapshot| snapshot.as_bytes().len());
            let of_target = self.loaded.entry(key.target.clone()).or_default();
            of_target.insert(key.id.clone(), Loaded { key: Arc::new(key), print, snapshot });
        }
    }

    /// Forgets what is loaded if it is too much. While streams wait for more, nothing may be forgotten.
    pub(crate) fn trim(&mut self) {
        if self.bytes_max.is_some_and(|bytes_max| self.bytes > bytes_max) {
            self.loaded.clear();
            self.bytes = 0;
        }
    }
}

/// Outcome of writing the snapshots of a stream.
pub(super) enum Emitted {
    /// They are written; the number of them.
    Written(usize),
    /// They can't be written.
    Failed(FoldError),
    /// Nothing is written: what the stream looked up isn't loaded.
    Waits,
}

/// Writes the snapshots of a complete stream, and notes what it looked up.
pub(super) fn emit(
    states: &dyn States,
    slot: Slot,
    (stream, key): (&str, &StreamKey<'_>),
    lookups: &Lookups,
    out: &mut Folded,
) -> Emitted {
    let emitted = |result: Result<usize, FoldError>| match result {
        Ok(written) => Emitted::Written(written),
        Err(error) => Emitted::Failed(error),
    };
    if lookups.bytes_max.is_none() {
        return emitted(states.emit(slot, key, &NoLookup, &mut out.snapshots));
    }
    let result = states.emit(slot, key, lookups, &mut out.snapshots);
    let (found, misses) = {
        let mut asked = lookups.asked();
        (mem::take(&mut asked.found), mem::take(&mut asked.misses))
    };
    if misses > 0 {
        out.snapshots.undo();
        return Emitted::Waits;
    }
    if !found.is_empty() {
        out.looked_up.push((stream.to_owned(), found));
    }
    emitted(result)
}
