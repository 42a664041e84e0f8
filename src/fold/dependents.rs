//! Which streams looked up which snapshots of other projections, in bounded memory: those that have to be
//! refolded when a snapshot changes.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::fold::lookup_key::{LookedUp, LookupKey};

/// Memory of a stream or a key beside its text, about.
const ENTRY_BYTES: usize = 96;

/// The streams that looked up one snapshot.
#[derive(Debug)]
struct LookedUpBy {
    /// Print of what all of them found; `None` if they found different things.
    print: Option<u64>,
    streams: HashSet<u32>,
}

fn bytes_of(key: &LookupKey) -> usize {
    key.target.len() + key.id.len() + ENTRY_BYTES
}

/// The streams of a generation by what they looked up.
#[derive(Debug)]
pub(crate) struct Dependents {
    by_key: HashMap<Arc<LookupKey>, LookedUpBy>,
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
    bytes: usize,
    bytes_max: usize,
    /// Whether every stream of the generation is noted.
    complete: bool,
}

impl Dependents {
    /// Knows of no stream yet. Remembers so many bytes of names.
    #[must_use]
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            by_key: HashMap::new(),
            numbers: HashMap::new(),
            names: Vec::new(),
            bytes: 0,
            bytes_max,
            complete: false,
        }
    }

    /// Begins anew, before all streams are folded and noted.
    pub(crate) fn begin(&mut self) {
        *self = Self { complete: true, ..Self::new(self.bytes_max) };
    }

    /// Forgets everything: nothing is complete then.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.bytes_max);
    }

    /// Whether every stream of the generation is noted; not if there are too many for the memory.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Notes what a stream looked up, and what it found.
    pub(crate) fn note(&mut self, stream: &str, looked_up: &[LookedUp]) {
        if !self.complete {
            return;
        }
        let number = self.number(stream);
        for (key, print) in looked_up {
            let by = match self.by_key.entry(Arc::clone(key)) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    self.bytes += bytes_of(key);
                    entry.insert(LookedUpBy { print: Some(*print), streams: HashSet::new() })
                }
            };
            if by.print != Some(*print) {
                by.print = None;
            }
            if by.streams.insert(number) {
                self.bytes += 2 * size_of::<u32>();
            }
        }
        if self.bytes > self.bytes_max {
            self.forget();
        }
    }

    fn number(&mut self, stream: &str) -> u32 {
        if let Some(number) = self.numbers.get(stream) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = stream.into();
        self.bytes += name.len() + ENTRY_BYTES;
        self.numbers.insert(Arc::clone(&name), number);
        self.names.push(name);
        number
    }

    /// Everything that was looked up; with `ids` only what has one of these.
    pub(crate) fn keys(&self, ids: Option<&HashSet<String>>) -> Vec<LookupKey> {
        let wanted = |key: &&Arc<LookupKey>| ids.is_none_or(|ids| ids.contains(&key.id));
        self.by_key.keys().filter(wanted).map(|key| LookupKey::clone(key)).collect()
    }

    /// Forgets the snapshots that differ from what was found, given the prints of the present ones, and
    /// returns the streams that looked them up. These are noted again when they are refolded.
    pub(crate) fn take_changed(&mut self, present: &[(LookupKey, u64)]) -> Vec<String> {
        let mut numbers = HashSet::new();
        for (key, print) in present {
            if self.by_key.get(key).is_some_and(|by| by.print != Some(*print))
                && let Some(by) = self.by_key.remove(key)
            {
                let bytes = by.streams.len() * 2 * size_of::<u32>() + bytes_of(key);
                self.bytes = self.bytes.saturating_sub(bytes);
                numbers.extend(by.streams);
            }
        }
        let name = |number: u32| self.names.get(number as usize).map(|name| name.to_string());
        numbers.into_iter().filter_map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> LookupKey {
        LookupKey { target: "Orders".into(), id: id.into() }
    }

    fn found(id: &str, print: u64) -> LookedUp {
        (Arc::new(key(id)), print)
    }

    fn sorted(mut names: Vec<String>) -> Vec<String> {
        names.sort();
        names
    }

    #[test]
    fn streams_that_looked_a_changed_snapshot_up_are_found_once() {
        let mut dependents = Dependents::new(10_000);
        dependents.begin();
        dependents.note("a", &[found("1", 7), found("2", 8)]);
        dependents.note("b", &[found("1", 7)]);
        dependents.note("c", &[found("3", 0)]);
        assert!(dependents.take_changed(&[(key("1"), 7), (key("3"), 0)]).is_empty());
        assert_eq!(sorted(dependents.take_changed(&[(key("1"), 9), (key("2"), 8)])), ["a", "b"]);
        assert!(dependents.take_changed(&[(key("1"), 9)]).is_empty());
        // It didn't exist, and does now.
        assert_eq!(dependents.take_changed(&[(key("3"), 5)]), ["c"]);
        assert_eq!(dependents.keys(None), [key("2")]);
    }

    #[test]
    fn streams_that_found_different_versions_are_all_out_of_date() {
        let mut dependents = Dependents::new(10_000);
        dependents.begin();
        dependents.note("a", &[found("1", 7)]);
        dependents.note("b", &[found("1", 8)]);
        assert_eq!(sorted(dependents.take_changed(&[(key("1"), 8)])), ["a", "b"]);
    }

    #[test]
    fn only_what_is_asked_for_is_looked_at_again() {
        let mut dependents = Dependents::new(10_000);
        dependents.begin();
        dependents.note("a", &[found("1", 7), found("2", 8)]);
        assert_eq!(dependents.keys(Some(&HashSet::from(["2".to_owned(), "3".to_owned()]))), [key("2")]);
    }

    #[test]
    fn what_changes_again_and_again_needs_no_more_memory() {
        let mut dependents = Dependents::new(10 * ENTRY_BYTES);
        dependents.begin();
        for round in 0..1000 {
            dependents.note("a", &[found("1", round)]);
            assert_eq!(dependents.take_changed(&[(key("1"), round + 1)]), ["a"]);
        }
        assert!(dependents.is_complete());
    }

    #[test]
    fn beyond_its_memory_it_is_not_complete() {
        let mut dependents = Dependents::new(5 * ENTRY_BYTES);
        dependents.note("before", &[found("1", 7)]);
        assert!(!dependents.is_complete() && dependents.keys(None).is_empty());
        dependents.begin();
        dependents.note("a", &[found("1", 7)]);
        assert!(dependents.is_complete());
        ["b", "c", "d", "e"].iter().for_each(|stream| dependents.note(stream, &[found("1", 7)]));
        assert!(!dependents.is_complete() && dependents.keys(None).is_empty());
    }
}
