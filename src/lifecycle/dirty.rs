//! Dirty streams, which changed since they were folded, in bounded memory.

use std::collections::{HashMap, VecDeque};

use bson::Timestamp;

/// Memory of an entry besides its name, about.
const ENTRY_BYTES: usize = 64;
/// Seconds within which the commits of a stream are deleted that said that it ends.
const ENDING_SECONDS: u32 = 60;
/// Ends of streams that are remembered, at most: few enough to refold all of them in a round.
const ENDING_MAX: usize = 100;

/// What is known of the streams that aren't dirty by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unnamed {
    /// None of them changed.
    #[default]
    Clean,
    /// Commits were deleted, of streams that aren't known.
    Deleted,
    /// Any of them may have changed.
    Unknown,
}

/// Streams that were dirty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Their names, as far as they are known.
    pub(crate) streams: Vec<String>,
    /// What is known of all other streams.
    pub(crate) unnamed: Unnamed,
}

/// Dirty streams, each once, with the time of the first change that isn't folded.
#[derive(Debug)]
pub(crate) struct Dirty {
    streams: HashMap<String, Timestamp>,
    bytes: usize,
    bytes_max: usize,
    unnamed: Unnamed,
    /// Streams that said lately that they end, with the time: their commits are about to be deleted.
    ending: VecDeque<(String, Timestamp)>,
}

impl Dirty {
    /// An empty set, which remembers names of so many bytes; any other stream may be dirty beyond that.
    #[must_use]
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            streams: HashMap::new(),
            bytes: 0,
            bytes_max,
            unnamed: Unnamed::Clean,
            ending: VecDeque::new(),
        }
    }

    /// Marks a stream that changed at that time.
    pub(crate) fn mark(&mut self, stream: &str, at: Timestamp) {
        if self.streams.contains_key(stream) {
            return;
        }
        let bytes = self.bytes + stream.len() + ENTRY_BYTES;
        if bytes > self.bytes_max {
            self.mark_unnamed(Unnamed::Unknown);
        } else {
            self.bytes = bytes;
            self.streams.insert(stream.to_owned(), at);
        }
    }

    /// Remembers that a stream said at that time that it ends.
    pub(crate) fn ends(&mut self, stream: &str, at: Timestamp) {
        self.ending
            .retain(|(ended, since)| ended != stream && at.time.saturating_sub(since.time) <= ENDING_SECONDS);
        if self.ending.len() == ENDING_MAX {
            self.ending.pop_front();
        }
        self.ending.push_back((stream.to_owned(), at));
    }

    /// Marks that a commit was deleted at that time, nobody says of which stream: probably of one that ended
    /// right before, so that these are refolded soon; all others have to be compared.
    pub(crate) fn mark_deleted(&mut self, at: Timestamp) {
        self.mark_unnamed(Unnamed::Deleted);
        let ending = std::mem::take(&mut self.ending);
        for (stream, since) in &ending {
            if at.time.saturating_sub(since.time) <= ENDING_SECONDS {
                self.mark(stream, at);
            }
        }
        self.ending = ending;
    }

    /// Marks streams whose names aren't known: only a comparison with the event store can tell which ones are
    /// dirty. The names that are known stay: a comparison of heads doesn't find all that they tell, for
    /// example a commit that was replaced.
    pub(crate) fn mark_unnamed(&mut self, unnamed: Unnamed) {
        self.unnamed = self.unnamed.max(unnamed);
    }

    /// Takes everything that is dirty.
    pub(crate) fn take(&mut self) -> Taken {
        self.bytes = 0;
        let streams = std::mem::take(&mut self.streams).into_keys().collect();
        Taken { streams, unnamed: std::mem::take(&mut self.unnamed) }
    }

    /// Takes the streams that were dirty at that time, and what is known of the others.
    pub(crate) fn take_until(&mut self, until: Timestamp) -> Taken {
        let streams: Vec<String> =
            self.streams.iter().filter(|(_, at)| **at <= until).map(|(stream, _)| stream.clone()).collect();
        for stream in &streams {
            self.streams.remove(stream);
            self.bytes = self.bytes.saturating_sub(stream.len() + ENTRY_BYTES);
        }
        Taken { streams, unnamed: std::mem::take(&mut self.unnamed) }
    }

    /// Whether a stream is dirty, or may be.
    #[must_use]
    pub(crate) fn has(&self, stream: &str) -> bool {
        self.unnamed != Unnamed::Clean || self.streams.contains_key(stream)
    }

    /// Number of dirty streams, as far as they are known by name.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether certainly nothing is dirty.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.unnamed == Unnamed::Clean
    }

    /// Time of the oldest change that isn't folded, as far as it is known.
    #[must_use]
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.streams.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: u32) -> Timestamp {
        Timestamp { time, increment: 0 }
    }

    fn taken(names: &[&str], unnamed: Unnamed) -> Taken {
        Taken { streams: names.iter().map(|name| (*name).to_owned()).collect(), unnamed }
    }

    fn sorted(mut taken: Taken) -> Taken {
        taken.streams.sort();
        taken
    }

    #[test]
    fn a_stream_is_dirty_once_since_its_first_change() {
        let mut dirty = Dirty::new(10_000);
        dirty.mark("a", at(2));
        dirty.mark("a", at(3));
        dirty.mark("b", at(4));
        assert_eq!((dirty.len(), dirty.oldest()), (2, Some(at(2))));
        assert_eq!(sorted(dirty.take()), taken(&["a", "b"], Unnamed::Clean));
        assert!(dirty.is_empty() && dirty.oldest().is_none());
    }

    #[test]
    fn what_was_touched_later_stays() {
        let mut dirty = Dirty::new(10_000);
        dirty.mark("a", at(2));
        dirty.mark("b", at(4));
        dirty.mark("a", at(5));
        assert_eq!(dirty.take_until(at(3)), taken(&["a"], Unnamed::Clean));
        assert_eq!(dirty.take(), taken(&["b"], Unnamed::Clean));
    }

    #[test]
    fn names_are_known_beside_the_unnamed() {
        let mut dirty = Dirty::new(10_000);
        dirty.mark("a", at(1));
        dirty.mark_unnamed(Unnamed::Unknown);
        dirty.mark_unnamed(Unnamed::Deleted);
        dirty.mark("b", at(2));
        assert!(dirty.has("c"));
        assert_eq!(sorted(dirty.take()), taken(&["a", "b"], Unnamed::Unknown));
        dirty.mark_unnamed(Unnamed::Deleted);
        assert!(!dirty.is_empty());
        assert_eq!(dirty.take(), taken(&[], Unnamed::Deleted));
    }

    #[test]
    fn beyond_its_memory_any_stream_may_be_dirty_and_the_known_names_stay() {
        let mut dirty = Dirty::new(3 * ENTRY_BYTES);
        ["a", "b", "c"].into_iter().for_each(|name| dirty.mark(name, at(1)));
        assert_eq!(sorted(dirty.take()), taken(&["a", "b"], Unnamed::Unknown));
        assert!(dirty.is_empty());
        dirty.mark("d", at(2));
        assert_eq!(dirty.take(), taken(&["d"], Unnamed::Clean));
    }

    #[test]
    fn a_stream_that_ended_right_before_a_delete_is_dirty_once_more() {
        let mut dirty = Dirty::new(1_000_000);
        for time in [10, 100] {
            let name = format!("ended-{time}");
            dirty.mark(&name, at(time));
            dirty.ends(&name, at(time));
        }
        dirty.take();
        dirty.mark_deleted(at(101));
        assert_eq!(dirty.take(), taken(&["ended-100"], Unnamed::Deleted));
        for number in 0..2 * ENDING_MAX {
            dirty.ends(&format!("{number}"), at(200));
        }
        dirty.mark_deleted(at(200));
        assert_eq!(dirty.take().streams.len(), ENDING_MAX);
    }
}
