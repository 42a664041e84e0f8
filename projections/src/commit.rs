//! The borrowed view of one document of the event store.

use bson::RawDocument;

use crate::walk::{self, Element, Odd, Walk};
use crate::{CommitError, Event, FoldFailure, Layout, Payload};

mod careful;

/// One commit: consecutive events of one stream, borrowed from the bytes the server sent.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// Name of the stream.
    pub stream: &'a str,
    /// The offset as stored: its meaning is the layout's.
    pub offset: i64,
    /// Number of the first event.
    pub first_number: i64,
    /// Number of events.
    pub count: i64,
    /// The array, as the document it is.
    events: &'a RawDocument,
    layout: &'a Layout,
}

impl<'a> Commit<'a> {
    /// Finds the parts of a commit in one walk over its elements; the events are counted, not read.
    /// Fields the layout doesn't name are passed over without looking at their values.
    ///
    /// # Errors
    /// [`CommitError`] if a field of the layout is absent or has another type.
    pub fn decode(document: &'a RawDocument, layout: &'a Layout) -> Result<Self, CommitError> {
        // What isn't plainly a commit is read once more, to say what is wrong.
        Self::decode_quickly(document, layout).or_else(|Odd| careful::commit(document, layout))
    }

    fn decode_quickly(document: &'a RawDocument, layout: &'a Layout) -> Result<Self, Odd> {
        let (mut stream, mut offset, mut stored, mut events) = (None, None, None, None);
        let mut elements = Walk::over(document);
        while let Some(element) = elements.next()? {
            if element.is(&layout.events) {
                events = Some(element.document(walk::ARRAY)?);
            } else if element.is(&layout.offset) {
                offset = Some(integer(&element)?);
            } else if element.is(&layout.stream) {
                stream = Some(element.text()?);
            } else if layout.count.as_deref().is_some_and(|count| element.is(count)) {
                stored = Some(integer(&element)?);
            }
        }
        let (stream, offset, events) = (stream.ok_or(Odd)?, offset.ok_or(Odd)?, events.ok_or(Odd)?);
        let count = Walk::over(events).count()?;
        if stored.is_some_and(|stored| stored != count) {
            return Err(Odd);
        }
        Ok(Self::new(stream, offset, count, events, layout))
    }

    fn new(stream: &'a str, offset: i64, count: i64, events: &'a RawDocument, layout: &'a Layout) -> Self {
        Self { stream, offset, first_number: layout.first_number(offset), count, events, layout }
    }

    /// Name of the stream a document belongs to, be it a commit otherwise or not: what is needed to
    /// pass it on to whoever folds that stream. Much cheaper than [`decode`](Self::decode), and equal
    /// to its result.
    #[must_use]
    pub fn stream_of(document: &'a RawDocument, layout: &Layout) -> Option<&'a str> {
        let quick = || -> Result<Option<&'a str>, Odd> {
            let (mut elements, mut stream) = (Walk::over(document), None);
            while let Some(element) = elements.next()? {
                if element.is(&layout.stream) {
                    stream = Some(element);
                }
            }
            stream.map(|element| element.text()).transpose()
        };
        quick().unwrap_or_else(|Odd| careful::stream_of(document, layout))
    }

    /// Offset of a document, be it a commit otherwise or not, where it has one.
    #[must_use]
    pub fn offset_of(document: &RawDocument, layout: &Layout) -> Option<i64> {
        careful::integer(document.get(&layout.offset).ok().flatten()?)
    }

    /// Number the next event of the stream has.
    #[must_use]
    pub fn next_number(&self) -> i64 {
        self.first_number.saturating_add(self.count)
    }

    /// The events, in order. An entry that isn't an event is an error in its place.
    pub fn events(&self) -> impl Iterator<Item = Result<Event<'a>, FoldFailure>> + use<'a> {
        Events {
            commit: *self,
            number: self.first_number,
            quick: Walk::over(self.events),
            passed: 0,
            careful: None,
        }
    }
}

struct Events<'a> {
    commit: Commit<'a>,
    /// Number of the next event.
    number: i64,
    quick: Walk<'a>,
    /// Entries that were plainly events.
    passed: usize,
    /// Reads the entries from the first odd one on.
    careful: Option<<&'a RawDocument as IntoIterator>::IntoIter>,
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, FoldFailure>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.careful.is_none() {
            let entry = match self.quick.next() {
                Ok(None) => return None,
                Ok(Some(entry)) => event(self.commit, self.number, &entry),
                Err(odd) => Err(odd),
            };
            if let Ok(event) = entry {
                self.number = self.number.saturating_add(1);
                self.passed += 1;
                return Some(Ok(event));
            }
        }
        careful::next_event(self)
    }
}

#[inline]
fn event<'a>(commit: Commit<'a>, number: i64, entry: &Element<'a>) -> Result<Event<'a>, Odd> {
    let layout = commit.layout;
    let (mut event_type, mut payload, mut metadata) = (None, None, None);
    let mut elements = Walk::over(entry.document(walk::DOCUMENT)?);
    while let Some(element) = elements.next()? {
        if element.is(&layout.event_type) {
            event_type = Some(element.text()?);
        } else if element.is(&layout.payload) {
            payload = Some(match element.kind {
                walk::STRING => Payload::Json(element.text()?),
                _ => Payload::Document(element.document(walk::DOCUMENT)?),
            });
        } else if element.is(&layout.metadata) {
            metadata = Some(element.document(walk::DOCUMENT)?);
        }
    }
    let (event_type, payload) = (event_type.ok_or(Odd)?, payload.ok_or(Odd)?);
    Ok(Event { stream: commit.stream, number, event_type, payload, metadata })
}

fn integer(element: &Element<'_>) -> Result<i64, Odd> {
    match (element.kind, element.value) {
        (walk::INT64, &[a, b, c, d, e, f, g, h]) => Ok(i64::from_le_bytes([a, b, c, d, e, f, g, h])),
        (walk::INT32, &[a, b, c, d]) => Ok(i32::from_le_bytes([a, b, c, d]).into()),
        _ => Err(Odd),
    }
}

#[cfg(test)]
mod tests;
