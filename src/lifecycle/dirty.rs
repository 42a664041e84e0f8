//! Dirty streams, which changed since they were folded, in bounded memory.

use std::collections::HashMap;

use bson::Timestamp;

/// Memory of an entry besides its name, about.
const ENTRY_BYTES: usize = 64;

/// Dirty streams, each once, with the time of the first change that isn't folded.
#[derive(Debug)]
pub(crate) struct Dirty {
    streams: HashMap<String, Timestamp>,
    bytes: usize,
    bytes_max: usize,
    all: bool,
}

impl Dirty {
    /// An empty set, which considers all streams dirty when its names exceed so many bytes.
    #[must_use]
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { streams: HashMap::new(), bytes: 0, bytes_max, all: false }
    }

    /// Marks a stream that changed at that time. When the memory is exceeded, marks all, as
    /// [`Self::mark_all`] does.
    pub(crate) fn mark(&mut self, stream: &str, at: Timestamp) {
        if self.streams.contains_key(stream) {
            return;
        }
        self.bytes += stream.len() + ENTRY_BYTES;
        if self.bytes > self.bytes_max {
            self.mark_all();
        } else {
            self.streams.insert(stream.to_owned(), at);
        }
    }

    /// Marks all streams: only a comparison with the event store can tell which ones are dirty.
    pub(crate) fn mark_all(&mut self) {
        self.all = true;
        self.streams = HashMap::new();
        self.bytes = 0;
    }

    /// Takes the dirty streams, and whether any other stream may be dirty.
    pub(crate) fn take(&mut self) -> (Vec<String>, bool) {
        self.bytes = 0;
        (std::mem::take(&mut self.streams).into_keys().collect(), std::mem::take(&mut self.all))
    }

    /// Takes the streams that were dirty at that time, and whether any other stream may be dirty.
    pub(crate) fn take_until(&mut self, until: Timestamp) -> (Vec<String>, bool) {
        let taken: Vec<String> =
            self.streams.iter().filter(|(_, at)| **at <= until).map(|(stream, _)| stream.clone()).collect();
        for stream in &taken {
            self.streams.remove(stream);
            self.bytes = self.bytes.saturating_sub(stream.len() + ENTRY_BYTES);
        }
        (taken, std::mem::take(&mut self.all))
    }

    /// Whether a stream is dirty, or may be.
    #[must_use]
    pub(crate) fn has(&self, stream: &str) -> bool {
        self.all || self.streams.contains_key(stream)
    }

    /// Number of dirty streams, as far as they are known by name.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether certainly nothing is dirty.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty() && !self.all
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

    #[test]
    fn a_stream_is_dirty_once_since_its_first_change() {
        let mut dirty = Dirty::new(10_000);
        dirty.mark("a", at(2));
        dirty.mark("a", at(3));
        dirty.mark("b", at(4));
        assert_eq!((dirty.len(), dirty.oldest()), (2, Some(at(2))));
        let (mut streams, all) = dirty.take();
        streams.sort();
        assert_eq!((streams, all), (vec!["a".to_owned(), "b".to_owned()], false));
        assert!(dirty.is_empty() && dirty.oldest().is_none());
    }

    #[test]
    fn what_was_touched_later_stays() {
        let mut dirty = Dirty::new(10_000);
        dirty.mark("a", at(2));
        dirty.mark("b", at(4));
        dirty.mark("a", at(5));
        assert_eq!(dirty.take_until(at(3)), (vec!["a".to_owned()], false));
        assert_eq!(dirty.take(), (vec!["b".to_owned()], false));
    }

    #[test]
    fn beyond_its_memory_everything_is_dirty() {
        let mut dirty = Dirty::new(3 * ENTRY_BYTES);
        ["a", "b", "c"].into_iter().for_each(|name| dirty.mark(name, at(1)));
        assert!(!dirty.is_empty());
        assert_eq!(dirty.take(), (Vec::new(), true));
        assert!(dirty.is_empty());
        dirty.mark("d", at(2));
        assert_eq!(dirty.take(), (vec!["d".to_owned()], false));
    }
}
